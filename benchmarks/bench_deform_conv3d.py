"""Deformable 3x3x3 convolution on this machine: the fast path, the plain path and an ordinary convolution; ratios of
one run, and the memory that each adds at its peak.

python benchmarks/bench_deform_conv3d.py [HEIGHTxWIDTH ...]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.ops.deform_conv3d import Path as Way
from rotoscope.ops.deform_conv3d import deform_conv3d

SIZES = ("30x54", "60x107")
CHANNELS, FRAMES, REPEAT = 256, 8, 3
NAMES = ("fast", "plain", "conv")


def arguments(size: str, gradients: bool) -> list[Tensor]:
    """x, offsets of a standard deviation of one voxel, modulation, weight."""
    height, width = map(int, size.split("x"))
    generator = torch.Generator().manual_seed(0)
    places = (1, -1, FRAMES, height, width)
    x, offset = (torch.randn(n, FRAMES, height, width, generator=generator)[None] for n in (CHANNELS, 81))
    modulation = torch.rand(27, FRAMES * height * width, generator=generator).view(places)
    weight = torch.randn(CHANNELS, CHANNELS, 3, 3, 3, generator=generator) / (27 * CHANNELS) ** 0.5
    x = x.contiguous(memory_format=torch.channels_last_3d)
    return [value.requires_grad_(gradients) for value in (x, offset, modulation, weight)]


def action(name: str, size: str, gradients: bool) -> Callable[[], object]:
    x, offset, modulation, weight = arguments(size, gradients)
    path: Way = "plain" if name == "plain" else "fast"

    def forward() -> Tensor:
        if name == "conv":
            return functional.conv3d(x, weight, padding=1)
        return deform_conv3d(x, offset, weight, None, modulation, padding=1, path=path)

    def both() -> None:
        output = forward()
        output.backward(output.detach())

    return both if gradients else forward


def times(size: str, gradients: bool) -> list[float]:
    """Median seconds of each, interleaved, so that a machine that slows down slows all of them."""
    actions = [action(name, size, gradients) for name in NAMES]
    found: list[list[float]] = [[] for _ in actions]
    for number in range(REPEAT + 1):
        for one, seconds in zip(actions, found, strict=True):
            start = time.perf_counter()
            one()
            if number:
                seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in found]


def highest() -> float:
    """MiB that this process has held at most (Linux)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def peak_of(name: str, size: str, gradients: bool) -> None:
    one = action(name, size, gradients)
    before = highest()
    one()
    print(highest() - before)


def peak(name: str, size: str, gradients: bool) -> float:
    """MiB that a fresh process grows by."""
    command = [sys.executable, __file__, "--peak", name, size, str(int(gradients))]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main(sizes: list[str]) -> None:
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {CHANNELS} channels, {FRAMES} frames, float32"
    )
    for size in sizes:
        for gradients in (False, True):
            fast, plain, conv = times(size, gradients)
            memory = ", ".join(f"{name} {peak(name, size, gradients):.0f}" for name in NAMES)
            print(
                f"{size:7} {'and back' if gradients else 'forward ':8} fast {fast:6.2f} s, plain {plain:6.2f} s "
                f"({plain / fast:.1f}x), conv {conv:6.2f} s (fast takes {fast / conv:.1f}x); MiB more: {memory}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        peak_of(sys.argv[2], sys.argv[3], sys.argv[4] == "1")
    else:
        main(sys.argv[1:] or list(SIZES))
