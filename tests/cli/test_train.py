"""`rotoscope train`: what it shows, how it stops, how it refuses."""

import os
import pty
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from rotoscope.data.synthetic import moving_disc_clip
from rotoscope.training.log import read_log
from tests import children

RECIPE = """
system = "3dc-seg"
network = "mobile"
[clips]
length = 2
size = [32, 48]
[[data]]
kind = "rendered"
[run]
steps = {steps}
workers = 0
log_every = 1
save_every = 1
[optimiser]
kind = "adamw"
rate = 1e-4
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(RECIPE.format(steps=2))
    return path


def test_a_dry_run_trains_and_writes_nothing(run, recipe, tmp_path):
    code, out, _ = run("train", recipe, "--dry-run", "-o", tmp_path / "run")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["data", "batch", "steps", "memory"]
    assert "4 clips an epoch" in out
    assert not (tmp_path / "run").exists()


def test_training_going_on_and_refusing_to_replace(run, recipe, tmp_path):
    folder = tmp_path / "run"
    code, out, _ = run("train", recipe, "-o", folder)
    assert code == 0
    assert "finished at step 2" in out
    saved = (folder / "last.pt").read_bytes()
    code, _, err = run("train", recipe, "-o", folder)
    assert (code, err.count("\n")) == (2, 1)
    assert "holds a training already" in err
    assert (folder / "last.pt").read_bytes() == saved
    code, _, err = run("train", recipe, "-o", folder, "--resume", "--set", "optimiser.rate=1")
    assert code == 2
    assert "optimiser.rate differ" in err
    code, _, err = run("train", recipe, "-o", tmp_path / "none", "--resume")
    assert code == 2
    assert "leave --resume out" in err
    code, out, err = run("segment", "-m", folder / "last.safetensors", *_video(tmp_path), "-o", tmp_path / "masks")
    assert code == 0, err


def _video(folder):
    frames, _ = moving_disc_clip(3, (32, 48), seed=0)
    (folder / "frames").mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame.image).save(folder / "frames" / f"{number}.png")
    return [folder / "frames"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["system=5dc-seg"], "5dc-seg"),
        (["network=huge"], "huge"),
        (["start=nowhere.pth"], "nowhere.pth"),
        (["start=none.safetensors"], "none.safetensors"),
        (["run.steps=many"], "run.steps is 'many'"),
        (["model={form=1}"], "model.form is 1"),
        (["inference={clip=0}"], "clip has at least 1 frame"),
        (["optimiser.rates={bridge=1.0}"], "optimiser.rates names bridge"),
        (['data=[{kind="videos", sets=[{kind="davis", path="DAVIS"}]}]'], "DAVIS"),
        (['data=[{kind="stills", pictures=[{kind="coco", path="none.json"}]}]'], "none.json"),
    ],
)
def test_what_cannot_be_trained_is_one_line(run, recipe, tmp_path, changes, words):
    sets = [word for change in changes for word in ("--set", change)]
    code, _, err = run("train", recipe, "-o", tmp_path / "run", *sets)
    assert code == 2
    assert err.strip().count("\n") == 0
    assert words in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("torn.npz", b"PK\x03\x04 no archive", "torn.npz"),
        ("empty.npz", b"", "empty.npz"),
        ("torn.safetensors", b"\x08", "torn.safetensors"),
        ("other.npz", {"a": np.zeros(3)}, "lack"),
        ("other.safetensors", {"a": torch.zeros(3)}, "other.safetensors"),
        ("other.pth", {"encoder.conv1.weight": torch.zeros(3)}, "other.pth"),
    ],
)
def test_weights_that_do_not_fit_are_one_line(run, recipe, tmp_path, name, content, words):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".npz":
        np.savez(path, **content)
    elif path.suffix == ".pth":
        torch.save(content, path)
    else:
        save_file(content, path)
    code, _, err = run("train", recipe, "-o", tmp_path / "run", "--set", f"start={path}")
    assert code == 2
    assert err.strip().count("\n") == 0
    assert words in err


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_training_stopped_with_its_workers_saves(tmp_path, number):
    """A key on a terminal, or a job scheduler's signal: both reach every process of the group."""
    recipe = tmp_path / "long.toml"
    recipe.write_text(RECIPE.format(steps=100_000).replace("workers = 0", "workers = 1"))
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "rotoscope", "train", str(recipe), "-o", str(folder)]
    with children.listening():
        child, terminal = pty.fork()
        if child == 0:
            os.execv(command[0], command)  # leads a process group of its own
    shown = b""
    deadline = time.monotonic() + children.LIMIT
    pressed = False
    while time.monotonic() < deadline:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the terminal is gone
            break
        if not pressed and len(read_log(folder)) >= 2:
            if number == signal.SIGINT:
                os.write(terminal, b"\x03")
            else:
                os.killpg(child, number)
            pressed = True
    else:
        os.killpg(child, signal.SIGKILL)  # it did not stop; without this the next line would wait for ever
    _, status = os.waitpid(child, 0)
    assert pressed
    assert os.waitstatus_to_exitcode(status) == 128 + number
    assert b"Traceback" not in shown
    assert b"internal error" not in shown
    assert b"stopped at step" in shown
    done = read_log(folder)[-1]["step"]
    again = [*command[:-2], "-o", str(folder), "--resume", "--set", f"run.steps={done + 1}"]
    result = subprocess.run(again, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "run.steps differ" in result.stderr
