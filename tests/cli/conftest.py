"""Running the command line in this process, with or without a model that needs no weights."""

import pytest

from rotoscope.cli.app import main
from rotoscope.inference import loading
from tests.inference import bright


@pytest.fixture
def bright_model(monkeypatch):
    monkeypatch.setattr(loading, "load", lambda *_, **__: bright.model())


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return call
