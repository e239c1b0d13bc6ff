"""Peak resident memory of `rotoscope segment` on 300 and on 3,000 frames of 854x480 video: their ratio.

    python benchmarks/bench_memory.py [--frames 300 3000]

Each run is a process of its own; its peak is what the operating system reports for it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rotoscope.data.synthetic import SyntheticClip
from rotoscope.video import VideoWriter


def write(path: Path, count: int) -> None:
    frames = [frame.image for frame, _ in SyntheticClip(frames=24, seed=2)]
    loop = [*frames, *frames[::-1]]
    with VideoWriter(path, frames[0].shape[:2], 24.0) as writer:
        for number in range(count):
            writer.write(loop[number % len(loop)])


def peak_of(command: list[str]) -> float:
    """MiB of the process, as wait4 reports it."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed with status {status}")
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, nargs=2, default=(300, 3000))
    given = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for count in given.frames:
            video = Path(folder) / f"clip{count}.mp4"
            write(video, count)
            command = [sys.executable, "-m", "rotoscope", "segment", str(video), "-o", str(Path(folder) / "out")]
            peaks.append(peak_of(command))
            print(f"{count:6} frames: peak {peaks[-1]:.0f} MiB", flush=True)
    print(f"ratio {peaks[1] / peaks[0]:.3f} for {given.frames[1] / given.frames[0]:.0f} times the frames")


if __name__ == "__main__":
    main()
