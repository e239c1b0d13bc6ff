"""Resident memory of `rotoscope segment` on short and long videos: peaks, their ratio, and the level along the way.

    python benchmarks/bench_memory.py [--frames 300 3000]
    python benchmarks/bench_memory.py --model stm/mobile --size 64x96 --frames 500 5000
    python benchmarks/bench_memory.py --model dmn-aoa/mobile --size 64x96 --frames 500 5000 --more --memory-every 1

Each run is a process of its own; its peak is what the operating system reports for it, its level what it holds while it
runs. A model written as system/network has random weights. Systems that follow objects get masks of the first frame;
tiny frames let thousands pass in some minutes, and what a frame leaves behind shows as well.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from rotoscope.data.synthetic import SyntheticClip, moving_disc_clip
from rotoscope.inference.checkpoint import Card, save_weights
from rotoscope.masks.label_map import write_label_png
from rotoscope.models import system
from rotoscope.video import VideoWriter

SIZE = (480, 854)
PARTS = 5  # of a run, each with its level


def write(path: Path, count: int, size: tuple[int, int]) -> Path:
    """Write a video that goes to and fro, and the objects of its first frame beside it."""
    clip = (
        list(SyntheticClip(frames=24, seed=2)) if size == SIZE else list(zip(*moving_disc_clip(24, size), strict=True))
    )
    frames = [frame.image for frame, _ in clip]
    loop = [*frames, *frames[::-1]]
    with VideoWriter(path, size, 24.0) as writer:
        for number in range(count):
            writer.write(loop[number % len(loop)])
    masks = path.with_suffix(".png")
    write_label_png(masks, clip[0][1].astype("uint8"))
    return masks


def weights(model: str, folder: Path) -> tuple[str, bool]:
    """What -m takes, and whether the model follows given objects."""
    if "/" not in model or model.endswith(".safetensors"):
        return model, False
    name, network = model.split("/")
    torch.manual_seed(0)
    path = folder / "random.safetensors"
    save_weights(path, system(name).networks[network]().state_dict(), Card("random", name, network))
    return str(path), system(name).task == "propagate"


def memory_of(command: list[str]) -> tuple[float, list[float]]:
    """MiB at the peak of a process, and its median level in each part of its run (empty where /proc does not tell)."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    levels: list[float] = []
    while True:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if done:
            break
        levels += _resident(process.pid)
        time.sleep(0.05)
    if status:
        sys.exit(f"{' '.join(command)} failed with status {status}")
    size = len(levels) // PARTS
    medians = [statistics.median(levels[part * size : (part + 1) * size]) for part in range(PARTS)] if size else []
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), medians


def _resident(process: int) -> list[float]:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return []
    return [pages * os.sysconf("SC_PAGE_SIZE") / 2**20]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs=2, default=(300, 3000))
    parser.add_argument("--model", default="3dc-seg-mobile")
    parser.add_argument("--follow", action="store_true", help="give masks of the first frame to a weights file's model")
    parser.add_argument("--size", default="480x854", help="height x width")
    parser.add_argument("--more", nargs=argparse.REMAINDER, default=[], help="further words for rotoscope segment")
    given = parser.parse_args()
    height, width = map(int, given.size.split("x"))
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        model, follows = weights(given.model, Path(folder))
        for count in given.frames:
            video = Path(folder) / f"clip{count}.mp4"
            masks = write(video, count, (height, width))
            command = [sys.executable, "-m", "rotoscope", "segment", str(video), "-m", model, "-o", f"{folder}/out"]
            command += ["--masks", str(masks)] if follows or given.follow else []
            command += ["--size", "unchanged"] if follows else []
            peak, levels = memory_of([*command, *given.more])
            peaks.append(peak)
            along = ", ".join(f"{level:.0f}" for level in levels)
            print(f"{count:6} frames: peak {peak:.0f} MiB, level in each fifth of the run {along} MiB", flush=True)
    print(f"ratio {peaks[1] / peaks[0]:.3f} for {given.frames[1] / given.frames[0]:.0f} times the frames")


if __name__ == "__main__":
    main()
