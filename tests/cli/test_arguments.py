"""Arguments that a command does not take: what was found, what was expected, in one line."""

import pytest

from rotoscope.cli.app import main


@pytest.mark.parametrize("columns", ["30", "200"])
@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("segment a.mp4 --memory-budgt 3", "not understood: --memory-budgt, 3 (is it --memory-budget?)"),
        ("segment a.mp4 --anything=3", "not understood: --anything=3"),
        ("segment a.mp4 --memory-budget x", "--memory-budget: 'x' was given, expected INT"),
        ("make-clips a.json -o b --seed x", "--seed: 'x' was given, expected INT"),
        ("segment a.mp4 --model", "Missing value for argument '-m/--model'. Expected 1 values"),
        (
            "segment a.mp4 --format bogus",
            "invalid choice 'bogus' for argument '--format'. Expected one of ('davis', 'ytvis', 'mots')",
        ),
        ("convert", "what must be given is missing: PATH; --system STR; --output PATH"),
    ],
)
def test_an_argument_that_is_not_taken_is_one_line(given, line, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit) as leaving:
        main(given.split())
    told = capsys.readouterr()
    assert (leaving.value.code, told.out) == (2, "")
    assert told.err == f"rotoscope: {line}; `rotoscope {given.split()[0]} --help` tells what it takes\n"


def test_help_is_printed_as_wide_as_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    with pytest.raises(SystemExit) as leaving:
        main(["info", "--help"])
    told = capsys.readouterr()
    assert (leaving.value.code, told.err) == (0, "")
    assert "usage: rotoscope info" in told.out
    assert max(map(len, told.out.splitlines())) <= 60
