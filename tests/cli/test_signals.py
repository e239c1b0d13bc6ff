"""A signal ends the command line with one line and its exit code, from the first moment on."""

import signal
import subprocess
import sys
from importlib import import_module

import pytest

from rotoscope.cli import app
from tests import children
from tests.inference import bright

# The command line, which gets a signal as it begins to import a module.
STRUCK = """
import os, sys
from rotoscope.__main__ import main

module, number = sys.argv[1], int(sys.argv[2])
del sys.argv[1:3]

class Striking:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), number)

sys.meta_path.insert(0, Striking())
main()
"""
EARLY = ("rotoscope.cli.app", "rotoscope.cli.segment", "tyro", "numpy", "numpy.linalg", "torch", "torch.nn", "av")
LATE = ("rotoscope.cli.memory", "rotoscope.models.three_dc_seg.system")


def struck(module, number, *arguments):
    with children.listening():
        command = [sys.executable, "-c", STRUCK, module, str(int(number)), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=children.LIMIT)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("module", EARLY)
def test_while_it_begins(tmp_path, module):
    source = bright.clip(tmp_path / "a.mp4", 2)
    code, out, err = struck(module, signal.SIGINT, "segment", source, "-o", tmp_path / "o")
    assert (code, out, err) == (130, "", "rotoscope: stopped; files already written are whole\n")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("number", children.ASKING, ids=lambda number: number.name)
def test_every_signal_that_asks_to_stop(tmp_path, number):
    code, out, err = struck("numpy", number, "segment", tmp_path, "-o", tmp_path / "o")
    assert (code, out, err) == (128 + number, "", "rotoscope: stopped; files already written are whole\n")


@pytest.mark.parametrize("module", LATE)
def test_while_it_works(tmp_path, module):
    source = bright.clip(tmp_path / "a.mp4", 2)
    code, out, err = struck(module, signal.SIGINT, "segment", source, "-o", tmp_path / "o", "--size", "48")
    assert (code, out) == (130, "")
    assert err == "rotoscope: stopped; files already written are whole (--resume goes on)\n"
    assert not [path for path in tmp_path.rglob("*") if ".part" in path.name]


@pytest.mark.parametrize("name", sorted(app._ROOMS))
def test_what_a_command_works_with_is_known(name):
    """It is imported before the work: a signal that comes in the middle of an import may get lost."""
    assert callable(app._command(name))
    assert import_module(f"rotoscope.{app._ROOMS[name]}")
    assert f"\n  {name} " in app.USAGE


def test_nothing_that_takes_long_comes_before_the_handlers():
    show = "import sys; old = set(sys.modules); import rotoscope.__main__; print(*set(sys.modules) - old)"
    new = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout.split()
    assert "rotoscope.interrupts" in new
    assert not {"numpy", "typing", "threading", "torch"} & set(new)
