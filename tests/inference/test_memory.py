"""Memory does not grow with the video: ten times the frames, the same peak."""

import os
import subprocess
import sys

import numpy as np
import pytest

from rotoscope.data.synthetic import moving_disc_clip
from rotoscope.video import VideoWriter


def write(path, size, count):
    loop = [frame.image for frame in moving_disc_clip(24, size, seed=0)[0]]
    with VideoWriter(path, size, 25.0) as writer:
        for number in range(count):
            writer.write(np.roll(loop[number % 24], number, axis=1))


def peak_of(tmp_path, size, count, *options):
    video = tmp_path / f"clip{count}.mp4"
    write(video, size, count)
    command = [sys.executable, "-m", "rotoscope", "segment", str(video), "-o", str(tmp_path / "out"), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    assert status == 0
    assert len(list((tmp_path / "out" / f"clip{count}").glob("*.png"))) == count
    return usage.ru_maxrss


def test_ten_times_the_frames(tmp_path):
    short, long = (peak_of(tmp_path, (96, 128), count, "--size", "64") for count in (80, 800))
    assert long < 1.05 * short


@pytest.mark.slow
def test_ten_times_the_frames_at_480p(tmp_path):
    # Not met yet: measured 1.10 (docs/architecture.md, "Memory and truth").
    short, long = (peak_of(tmp_path, (480, 854), count) for count in (300, 3000))
    assert long < 1.05 * short
