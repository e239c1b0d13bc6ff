"""The command that does the work: what it writes, how it stops, and how it goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rotoscope.cli import progress
from rotoscope.cli.app import main
from rotoscope.inference.pipeline import Progress
from rotoscope.masks.davis import read_davis
from rotoscope.video import open_video
from tests import children
from tests.inference import bright

ROOT = Path(__file__).parent.parent.parent
FRAMES = 24
CLIPS = 8  # of 4 frames, with one in common


@pytest.fixture(autouse=True)
def _without_weights(bright_model):
    """Every test here runs the model that needs no weights."""


def unfinished(folder):
    return [path.name for path in folder.rglob("*") if ".part" in path.name]


def test_what_is_written(run, tmp_path):
    source = bright.clip(tmp_path / "a.mp4", 3)
    code, out, err = run("segment", source, "-o", tmp_path / "o", "--soft", "--cutout", tmp_path / "o" / "cut")
    assert (code, err) == (0, "")
    assert out.startswith("a: 3 frames in ")
    masks = [f"{index:05d}.png" for index in range(3)]
    for folder in ("a", "a.soft", "cut"):
        assert sorted(path.name for path in (tmp_path / "o" / folder).iterdir()) == masks
    names = {path.name for path in (tmp_path / "o").iterdir()}
    assert names == {"a", "a.soft", "cut", "a.overlay.mp4", "a.sheet.png", "a.done.json"}
    code, out, _ = run("segment", source, "-o", tmp_path / "o2", "--no-pictures", "--format", "mots")
    assert {path.name for path in (tmp_path / "o2").iterdir()} == {"a.txt", "a.done.json"}


def test_the_bundled_model_segments(capsys, tmp_path):
    source = bright.clip(tmp_path / "a.mp4", 2)
    with pytest.raises(SystemExit) as stopped:
        main(["segment", str(source), "-o", str(tmp_path / "o"), "--size", "48", "--precision", "fp32"])
    assert stopped.value.code == 0
    assert open_video(tmp_path / "o" / "a").count().frames == 2


def test_resume_does_what_is_left(run, tmp_path):
    sources = [bright.clip(tmp_path / f"{name}.mp4", 2) for name in "ab"]
    assert run("segment", sources[0], "-o", tmp_path / "o")[0] == 0
    code, out, _ = run("segment", *sources, "-o", tmp_path / "o", "--resume")
    assert code == 0
    assert out.splitlines()[0] == "a: finished before"
    assert out.splitlines()[1].startswith("b: 2 frames")
    _, out, _ = run("segment", *sources, "-o", tmp_path / "o", "--resume", "--overlap", "0")
    assert "finished before" not in out
    _, out, _ = run("segment", *sources, "-o", tmp_path / "o")
    assert "finished before" not in out


def begin(folder, *arguments, clips=2, ignored=()):
    """The command line in a process of its own, with a model that hangs after `clips` clips."""
    command = [sys.executable, "-m", "tests.inference.bright", str(clips), "segment", *map(str, arguments)]
    return children.start([*command, "-o", str(folder)], ignored, cwd=ROOT, stderr=subprocess.PIPE)


def first_mask(process, folder, name="a"):
    limit = time.monotonic() + children.LIMIT
    while not (folder / name / "00000.png").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.parametrize("stop", children.ASKING, ids=lambda number: number.name)
def test_stopped_in_the_middle(tmp_path, stop):
    source, folder = bright.clip(tmp_path / "a.mp4", FRAMES), tmp_path / "o"
    process = begin(folder, source)
    first_mask(process, folder)
    process.send_signal(stop)
    process.send_signal(stop)  # impatience must not leave anything behind
    _, err = process.communicate(timeout=children.LIMIT)
    assert process.returncode == 128 + stop
    assert err.startswith("rotoscope: stopped")
    assert err.count("\n") == 1
    assert unfinished(folder) == []
    assert not (folder / "a.overlay.mp4").exists()
    assert not (folder / "a.done.json").exists()
    assert 1 <= len(read_davis(folder / "a")[0].masks) < FRAMES


def test_what_is_ignored_stays_ignored_and_sigterm_stops(tmp_path):
    """In the background of a shell script Ctrl-C is for others; under nohup so is the end of the terminal."""
    source, folder = bright.clip(tmp_path / "a.mp4", FRAMES), tmp_path / "o"
    process = begin(folder, source, ignored=(signal.SIGINT, signal.SIGHUP))
    first_mask(process, folder)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):  # handled in this order where all come at once
        process.send_signal(number)
    _, err = process.communicate(timeout=children.LIMIT)
    assert (process.returncode, err) == (
        143,
        "rotoscope: stopped; files already written are whole (--resume goes on)\n",
    )
    assert unfinished(folder) == []


def test_a_killed_run_goes_on(tmp_path):
    sources = [bright.clip(tmp_path / f"{name}.mp4", FRAMES) for name in "ab"]
    folder = tmp_path / "o"
    process = begin(folder, *sources, clips=CLIPS + 2)
    first_mask(process, folder, "b")
    process.kill()
    process.communicate(timeout=children.LIMIT)
    assert (folder / "a.done.json").exists()
    assert unfinished(folder) != []
    before = (folder / "a.overlay.mp4").stat().st_mtime_ns
    process = begin(folder, *sources, "--resume", clips=CLIPS)
    _, err = process.communicate(timeout=children.LIMIT)
    assert (process.returncode, err) == (0, "")
    assert (folder / "a.overlay.mp4").stat().st_mtime_ns == before
    assert unfinished(folder) == []
    for name in "ab":
        assert len(read_davis(folder / name)[0].masks) == FRAMES
        assert open_video(folder / f"{name}.overlay.mp4").count().frames == FRAMES


def test_lines_are_told_now_and_then_where_there_is_no_terminal(capsys, monkeypatch):
    clock = iter([0.0, 5.0, 11.0, 12.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.watched("clip") as report:
        for done in (1, 2, 3):
            report(Progress(done, 10, 2.0 * done))
    assert capsys.readouterr().err == "rotoscope: clip: 2 of 10 frames, 0.500 frames/s, 16 s left\n"


def test_work_goes_on_when_nobody_listens(tmp_path, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        progress.tell("one")
        progress.tell("two")
        assert os.fstat(pipe.fileno()).st_rdev == Path(os.devnull).stat().st_rdev  # what follows is thrown away
