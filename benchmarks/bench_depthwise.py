"""Depth-wise 3x3x3 convolution on this machine: layouts forward, gradients by the library and by taps; ratios of one
run.

python benchmarks/bench_depthwise.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional

from rotoscope.ops.bfloat16 import why_no_bfloat16
from rotoscope.ops.depthwise import DepthwiseConv3d

SITES = ((144, 6, 48, 84), (384, 6, 12, 21), (64, 6, 48, 84))
REPEAT = 5


def median_ms(*actions: Callable[[], object]) -> list[float]:
    """Interleaved, so that a machine that slows down slows all of them."""
    times: list[list[float]] = [[] for _ in actions]
    for number in range(REPEAT + 1):
        for action, found in zip(actions, times, strict=True):
            start = time.perf_counter()
            action()
            if number:
                found.append(time.perf_counter() - start)
    return [statistics.median(found) * 1e3 for found in times]


def forward(dtype: torch.dtype) -> None:
    for channels, frames, height, width in SITES:
        x = torch.randn(1, channels, frames, height, width, dtype=dtype)
        last = x.contiguous(memory_format=torch.channels_last_3d)
        weight = torch.randn(channels, 1, 3, 3, 3, dtype=dtype)
        with torch.inference_mode():
            plain, fast = median_ms(
                lambda x=x, w=weight: functional.conv3d(x, w, padding=1, groups=len(w)),
                lambda x=last, w=weight: functional.conv3d(x, w, padding=1, groups=len(w)),
            )
        print(
            f"forward   {dtype!s:15} {channels:4} channels {frames}x{height}x{width}: contiguous {plain:7.2f} ms, "
            f"channels-last {fast:7.2f} ms, {plain / fast:4.1f}x"
        )


def backward(dtype: torch.dtype) -> None:
    for channels, frames, height, width in SITES:
        layer = DepthwiseConv3d(channels, (3, 3, 3)).to(dtype)
        x = torch.randn(2, channels, frames, height, width, dtype=dtype)
        x = x.contiguous(memory_format=torch.channels_last_3d).requires_grad_()

        def library(x: torch.Tensor = x, layer: DepthwiseConv3d = layer) -> None:
            functional.conv3d(x, layer.weight, layer.bias, padding=1, groups=x.shape[1]).sum().backward()

        def taps(x: torch.Tensor = x, layer: DepthwiseConv3d = layer) -> None:
            layer(x).sum().backward()

        plain, fast = median_ms(library, taps)
        print(
            f"and back  {dtype!s:15} {channels:4} channels 2x{frames}x{height}x{width}: library {plain:7.1f} ms, "
            f"by taps {fast:7.1f} ms, {plain / fast:4.1f}x"
        )


if __name__ == "__main__":
    torch.manual_seed(0)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    lacking = why_no_bfloat16(torch.device("cpu"))
    for kind in (torch.float32, torch.bfloat16) if lacking is None else (torch.float32,):
        forward(kind)
        backward(kind)
    if lacking is not None:
        print(f"{torch.bfloat16} left out: {lacking}")
