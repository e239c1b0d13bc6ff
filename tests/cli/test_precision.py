"""bfloat16 that the processor cannot run is refused in one line by every command, before anything is written."""

import subprocess
import sys

import pytest
import torch

from rotoscope.inference import prepare
from rotoscope.training import sources
from rotoscope.training.dry_run import dry_run
from rotoscope.training.group import Group
from rotoscope.training.recipe_file import read_recipe
from rotoscope.training.runs import build
from rotoscope.training.trainer import Hooks
from tests.inference import bright
from tests.processor import HELD_TO_AVX2, x86_only

REFUSED = "rotoscope: precision bf16 does not run on this machine's cpu ({}); choose fp32\n"
REASON = "it needs more"
RECIPE = """
system = "3dc-seg"
network = "mobile"
[clips]
length = 2
size = [32, 48]
[[data]]
kind = "rendered"
[run]
steps = 1
workers = 0
precision = "bf16"
[card]
bf16 = true
"""


@pytest.fixture
def lacking(monkeypatch):
    """A processor without bfloat16."""
    monkeypatch.setattr(prepare, "why_no_bfloat16", lambda device: REASON)


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return path


@pytest.mark.usefixtures("lacking")
def test_segmenting_and_timing(run, tmp_path):
    source = bright.clip(tmp_path / "a.mp4", 2)
    commands = (
        ("segment", source, "-o", tmp_path / "o"),
        ("bench", "--size", "48x64"),
        ("bench", "-m", "stm/mobile", "--size", "48x64"),
    )
    for command in commands:
        assert run(*command, "--precision", "bf16", "--device", "cpu") == (2, "", REFUSED.format(REASON))
    assert not (tmp_path / "o").exists()


@pytest.mark.usefixtures("lacking")
def test_training(run, recipe, tmp_path):
    command = ("train", recipe, "-o", tmp_path / "run", "--device", "cpu")
    for more in ((), ("--dry-run",), ("--stand-in",)):
        assert run(*command, *more) == (2, "", REFUSED.format(REASON))
    assert not (tmp_path / "run").exists()
    code, _, err = run(*command, "--set", "run.precision=fp32")
    assert code == 0, err
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert run(*command, "--resume") == (2, "", REFUSED.format(REASON))
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


@pytest.mark.usefixtures("lacking")
def test_training_from_python(recipe, tmp_path):
    read = read_recipe(recipe)
    with pytest.raises(ValueError, match=REASON):
        dry_run(read, device="cpu")
    with pytest.raises(ValueError, match=REASON):
        build(read, sources.mixture(read), tmp_path / "run", Group(0, 1, torch.device("cpu")), Hooks())
    assert not (tmp_path / "run").exists()


@x86_only
def test_a_processor_held_to_avx2(tmp_path):
    source = bright.clip(tmp_path / "a.mp4", 2)
    command = [sys.executable, "-m", "rotoscope", "segment", str(source), "-o", str(tmp_path / "o"), "--device", "cpu"]
    done = subprocess.run([*command, "--precision", "bf16"], env=HELD_TO_AVX2, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "bf16 path needs the cpu support" in done.stderr
    assert not (tmp_path / "o").exists()
    done = subprocess.run([*command, "--size", "48"], env=HELD_TO_AVX2, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
