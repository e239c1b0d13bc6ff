"""Deformable 3x3x3 convolution on this machine against an ordinary one (cuDNN's on a GPU); ratios of one run.

python benchmarks/bench_deform_conv3d.py [HEIGHTxWIDTH ...] [--threads 1] [--device cpu|cuda] [--channels 256]

On a CPU: the fast and the plain path. On CUDA, which is taken where there is one: Triton's kernels and the plain path,
in float32 and bfloat16, with what they reach of the card's limits. Beside each time stands the memory added at the
peak.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.ops.deform_conv3d import Path as Way
from rotoscope.ops.deform_conv3d import deform_conv3d

SIZES = {"cpu": ("30x54", "60x107"), "cuda": ("30x54", "60x107", "120x214")}
NAMES: dict[str, tuple[str, ...]] = {"cpu": ("fast", "plain", "conv"), "cuda": ("triton", "plain", "conv")}
TYPES = {"cpu": (torch.float32,), "cuda": (torch.float32, torch.bfloat16)}
# What makers state for each card, dense: TFLOP/s in float32, TF32, bfloat16; GB/s of memory.
CARDS = {
    "NVIDIA H200": (67, 494, 989, 4800),
    "NVIDIA H100 80GB HBM3": (67, 494, 989, 3350),
    "NVIDIA H100 PCIe": (51, 378, 756, 2000),
    "NVIDIA A100-SXM4-80GB": (19.5, 156, 312, 2039),
    "NVIDIA A100 80GB PCIe": (19.5, 156, 312, 1935),
    "NVIDIA A100-SXM4-40GB": (19.5, 156, 312, 1555),
    "NVIDIA A100-PCIE-40GB": (19.5, 156, 312, 1555),
    "NVIDIA L40S": (91.6, 183, 362, 864),
    "NVIDIA L4": (30.3, 60, 121, 300),
}


@dataclass(frozen=True)
class Case:
    """One measurement: a map, whether gradients are taken, and in what."""

    size: str
    gradients: bool
    device: str
    kind: torch.dtype
    channels: int
    frames: int
    repeat: int

    @property
    def places(self) -> int:
        """Of the map, which is the result's too."""
        height, width = map(int, self.size.split("x"))
        return self.frames * height * width

    def arguments(self) -> list[Tensor]:
        """x, offsets of a standard deviation of one voxel, modulation, weight."""
        height, width = map(int, self.size.split("x"))
        generator = torch.Generator().manual_seed(0)
        x, offset = (torch.randn(n, self.frames, height, width, generator=generator)[None] for n in (self.channels, 81))
        modulation = torch.rand(27, self.places, generator=generator).view(1, -1, self.frames, height, width)
        weight = torch.randn(self.channels, self.channels, 3, 3, 3, generator=generator) / (27 * self.channels) ** 0.5
        x = x.to(self.device, self.kind).contiguous(memory_format=torch.channels_last_3d)
        found = [x, offset.to(self.device), modulation.to(self.device), weight.to(self.device, self.kind)]
        return [value.requires_grad_(self.gradients) for value in found]

    def arithmetic(self) -> int:
        """Of the products alone: one forward, two more backward. Forming columns again is not counted as work."""
        return (6 if self.gradients else 2) * self.places * 27 * self.channels**2

    def traffic(self) -> int:
        """The least bytes: each argument read once and each result written once, forward and backward."""
        wide = self.channels * self.places * self.kind.itemsize  # of x, of the result and of their gradients
        rest = 108 * 4 * self.places + 27 * self.channels**2 * self.kind.itemsize
        return 2 * wide + rest + (3 * wide + 2 * rest if self.gradients else 0)


def action(name: str, case: Case) -> Callable[[], object]:
    x, offset, modulation, weight = case.arguments()
    way: Way = "plain" if name == "plain" else "auto"
    if case.device == "cuda" and name == "triton":
        way = "triton"

    def forward() -> Tensor:
        if name == "conv":
            return functional.conv3d(x, weight, padding=1)
        return deform_conv3d(x, offset, weight, None, modulation, padding=1, path=way)

    def both() -> None:
        output = forward()
        output.backward(output.detach())

    return both if case.gradients else forward


def seconds(one: Callable[[], object], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    one()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def times(case: Case) -> list[float]:
    """Median seconds of each, interleaved, so that a machine that slows down slows all of them."""
    actions = [action(name, case) for name in NAMES[case.device]]
    found: list[list[float]] = [[] for _ in actions]
    for number in range(case.repeat + 1):
        for one, taken in zip(actions, found, strict=True):
            passed = seconds(one, case.device)
            if number:
                taken.append(passed)
    return [statistics.median(taken) for taken in found]


def highest() -> float:
    """MiB that this process has held at most (Linux)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def added(name: str, case: Case) -> float:
    """MiB that one run adds at its peak, in this process."""
    one = action(name, case)
    if case.device == "cuda":
        one()  # what is compiled and found by trying is not the operator's memory
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated() / 2**20
        torch.cuda.reset_peak_memory_stats()
        one()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() / 2**20 - before
    before = highest()
    one()
    return highest() - before


def peak(name: str, case: Case) -> float:
    """The same; on a CPU, of a fresh process."""
    if case.device == "cuda":
        return added(name, case)
    options = [f"--channels={case.channels}", f"--frames={case.frames}", f"--threads={torch.get_num_threads()}"]
    command = [sys.executable, __file__, case.size, *options, "--device=cpu", "--peak", name]
    command += ["--gradients"] if case.gradients else []
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def reached(case: Case, passed: float) -> str:
    """Arithmetic and least traffic a second, and their shares of the card's limits where these are known."""
    flops, traffic = case.arithmetic() / passed / 1e12, case.traffic() / passed / 1e9
    limits = CARDS.get(torch.cuda.get_device_name())
    if limits is None:
        return f"{flops:.1f} TFLOP/s, {traffic:.0f} GB/s at least (no limits known of this card)"
    column = 2 if case.kind == torch.bfloat16 else int(torch.backends.cuda.matmul.allow_tf32)
    return (
        f"{flops:.1f} TFLOP/s ({flops / limits[column]:.0%} of {limits[column]}), "
        f"{traffic:.0f} GB/s at least ({traffic / limits[3]:.0%} of {limits[3]})"
    )


def show(case: Case) -> None:
    names = NAMES[case.device]
    ours, plain, conv = times(case)
    memory = ", ".join(f"{name} {peak(name, case):.0f}" for name in names)
    kind, unit, scale = str(case.kind).removeprefix("torch."), *(("ms", 1e3) if case.device == "cuda" else ("s", 1))
    print(
        f"{case.size:7} {kind:8} {'and back' if case.gradients else 'forward ':8} {names[0]} {ours * scale:6.2f} "
        f"{unit}, plain {plain * scale:6.2f} {unit} ({plain / ours:.1f}x), conv {conv * scale:6.2f} {unit} ("
        f"{names[0]} takes {ours / conv:.1f}x); MiB more: {memory}",
        flush=True,
    )
    if case.device == "cuda":
        for name, passed in zip(names, (ours, plain, conv), strict=True):
            print(f"        {name:6} {reached(case, passed)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", help="maps, HEIGHTxWIDTH")
    parser.add_argument("--threads", type=int, help="of a CPU; torch's own choice otherwise")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--repeat", type=int, help="runs of each; 3 on a CPU, 20 on a GPU")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--gradients", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    repeat = given.repeat or (20 if given.device == "cuda" else 3)

    def case(size: str, gradients: bool, kind: torch.dtype) -> Case:
        return Case(size, gradients, given.device, kind, given.channels, given.frames, repeat)

    sizes = given.sizes or SIZES[given.device]
    if given.peak:
        print(added(given.peak, case(sizes[0], given.gradients, torch.float32)))
        return
    where = torch.cuda.get_device_name() if given.device == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{where}, torch {torch.__version__}, {given.channels} channels, {given.frames} frames")
    for kind in TYPES[given.device]:
        for size in sizes:
            for gradients in (False, True):
                show(case(size, gradients, kind))


if __name__ == "__main__":
    main()
