"""What goes wrong around a training: a full disk, nobody who listens, a process that was killed."""

import errno
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from rotoscope.inference.checkpoint import read_weights
from rotoscope.training.log import read_log
from tests import children
from tests.cli.test_train import RECIPE

DEAD = 2**22 + 1  # above the largest process number


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(RECIPE.format(steps=1))
    return path


def refused(result, name):
    code, _, err = result
    last = err.splitlines()[-1]
    return code == 2 and last.startswith("rotoscope: cannot write") and f"{name}: " in last and "run again" in last


def test_a_checkpoint_that_finds_no_room_is_one_line(run, recipe, tmp_path):
    with children.largest_file(1_000_000):
        code, _, err = run("train", recipe, "-o", tmp_path / "run")
    assert code == 2
    assert err.splitlines()[-1].startswith(f"rotoscope: cannot write {tmp_path}/run/last.pt: the file would be larger")
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {"recipe.json", "clips.png", "log.jsonl"}
    assert len(read_log(tmp_path / "run")) == 1


@pytest.mark.parametrize("name", ["last.pt", "last.safetensors"])
def test_a_disk_that_fills_up_leaves_the_checkpoint_before(run, recipe, tmp_path, monkeypatch, name):
    replace, times = Path.replace, []

    def full(self, target):
        times.extend([1] * (Path(target).name == name))
        if len(times) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    folder = tmp_path / "run"
    recipe.write_text(RECIPE.format(steps=2))
    monkeypatch.setattr(Path, "replace", full)
    assert refused(run("train", recipe, "-o", folder), name)
    monkeypatch.undo()
    assert read_weights(folder / "last.safetensors")[1].scores["validation"]["step"] == 1
    code, out, err = run("train", recipe, "-o", folder, "--resume")
    assert (code, "finished at step 2" in out) == (0, True), err


@pytest.mark.parametrize("name", ["recipe.json", "clips.png", "log.jsonl", "last.pt", "last.safetensors"])
def test_a_full_disk_is_one_line(run, recipe, tmp_path, monkeypatch, name):
    replace = Path.replace

    def full(self, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    assert refused(run("train", recipe, "-o", tmp_path / "run"), name)
    assert not (tmp_path / "run" / name).exists()
    assert not list((tmp_path / "run").glob(".*.part*"))


@pytest.mark.parametrize("call", ["SummaryWriter", "add_scalar", "close"])
def test_a_full_disk_under_tensorboard_is_one_line(run, recipe, tmp_path, monkeypatch, call):
    class SummaryWriter:
        def __init__(self, folder, purge_step):
            self._meet("SummaryWriter")

        def add_scalar(self, name, value, step):
            self._meet("add_scalar")

        def close(self):
            self._meet("close")

        def _meet(self, name):
            if name == call:
                raise OSError(errno.ENOSPC, "No space left on device")

    board = types.ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    assert refused(run("train", recipe, "-o", tmp_path / "run"), "tensorboard")
    assert len(read_log(tmp_path / "run")) == (call != "SummaryWriter")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("streams", ["2>/dev/full", "2>&-", ">/dev/full"])
def test_words_that_find_no_room_do_not_end_it(recipe, tmp_path, streams):
    command = [sys.executable, "-m", "rotoscope", "train", str(recipe), "-o", str(tmp_path / "run")]
    with children.listening():
        done = subprocess.run(["sh", "-c", f'exec "$@" {streams}', "sh", *command], capture_output=True, text=True)
    assert done.returncode == 0
    assert (tmp_path / "run" / "last.safetensors").is_file()
    if streams == ">/dev/full":
        assert "the output stream cannot be written to" in done.stderr
        assert "Error" not in done.stderr
    else:
        assert "finished at step 1" in done.stdout
        assert "rotoscope:" not in done.stdout


def test_nobody_reads_the_error_stream(recipe, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "rotoscope", "train", str(recipe), "-o", str(tmp_path / "run")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=writing, text=True, check=False)
    os.close(writing)
    assert done.returncode == 0
    assert "finished at step 1" in done.stdout


def test_a_training_killed_before_its_first_checkpoint_begins_anew(run, tmp_path):
    recipe = tmp_path / "long.toml"
    recipe.write_text(RECIPE.format(steps=100_000).replace("save_every = 1", "save_every = 100_000"))
    folder = tmp_path / "run"
    process = children.start([sys.executable, "-m", "rotoscope", "train", str(recipe), "-o", str(folder)])
    while not read_log(folder):
        assert process.poll() is None
    process.kill()
    process.wait()
    assert not (folder / "last.pt").exists()
    code, out, err = run("train", recipe, "-o", folder, "--resume", "--set", "run.steps=2")
    assert code == 0, err
    assert err.splitlines()[0] == f"rotoscope: {folder} has no checkpoint yet: the training begins anew"
    assert "finished at step 2" in out
    assert [line["step"] for line in read_log(folder)] == [1, 2]


def test_what_a_killed_training_left_is_removed_but_not_what_another_is_writing(run, recipe, tmp_path):
    folder = tmp_path / "run"
    assert run("train", recipe, "-o", folder)[0] == 0
    old = folder / f".last.{DEAD}.part.safetensors"
    others = [folder / f".last.{os.getppid()}.part.pt", folder / f".last.{DEAD}-01234567.part.pt"]
    for path in (old, *others):
        path.write_bytes(b"x")
    assert run("train", recipe, "-o", folder, "--resume")[0] == 0
    assert set(folder.glob(".*.part*")) == set(others)
