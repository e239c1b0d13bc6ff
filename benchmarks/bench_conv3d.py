"""Full 3x3x3 convolution in float32 on this machine: direct in two layouts against Winograd's form; ratios of one run.

python benchmarks/bench_conv3d.py            the layers of 3DC-Seg's decoder at 240x432
python benchmarks/bench_conv3d.py network    a whole clip through the published network, plain against prepared
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.models.three_dc_seg.network import NETWORKS
from rotoscope.ops.winograd import WinogradConv3d, pays, winograd_conv3d

LAST = torch.channels_last_3d
SITES = (  # channels in and out, frames, height, width
    (256, 256, 8, 60, 108),
    (256, 256, 4, 30, 54),
    (512, 256, 4, 30, 54),
    (256, 256, 2, 15, 27),
    (256, 256, 1, 8, 14),
    (64, 64, 4, 30, 54),
)
LARGEST_EXACT = 4 * 30 * 54  # positions up to which the error is measured on the whole map; beyond, on its first frames


def medians(actions: list[Callable[[], object]], repeat: int) -> list[float]:
    """Median seconds, interleaved, so that a machine that slows down slows all of them."""
    times: list[list[float]] = [[] for _ in actions]
    for number in range(repeat + 1):
        for action, found in zip(actions, times, strict=True):
            start = time.perf_counter()
            action()
            if number:
                found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]


def error(y: Tensor, expected: Tensor) -> float:
    """Largest error, relative to the largest value."""
    return float((y.double() - expected.double()).abs().max() / expected.abs().max())


def errors(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[float, float]:
    """Of the direct form and of Winograd's, against float64."""
    frames = max(1, min(x.shape[2], LARGEST_EXACT // (x.shape[3] * x.shape[4])))
    x = x[:, :, :frames].contiguous(memory_format=LAST)
    exact = functional.conv3d(x.double(), weight.double(), bias.double(), padding=1)
    direct = functional.conv3d(x, weight, bias, padding=1)
    return error(direct, exact), error(winograd_conv3d(x, weight, bias), exact)


def layers() -> None:
    for inputs, outputs, *size in SITES:
        x = torch.randn(1, inputs, *size).relu()
        weight = torch.randn(outputs, inputs, 3, 3, 3) / (27 * inputs) ** 0.5
        bias = torch.randn(outputs) * 0.1
        last, weight_last = x.contiguous(memory_format=LAST), weight.contiguous(memory_format=LAST)
        plain, direct, fast = medians(
            [
                lambda x=x, w=weight, b=bias: functional.conv3d(x, w, b, padding=1),
                lambda x=last, w=weight_last, b=bias: functional.conv3d(x, w, b, padding=1),
                lambda x=last, w=weight_last, b=bias: winograd_conv3d(x, w, b),
            ],
            5 if x.numel() > 1e7 else 15,
        )
        own, theirs = errors(last, weight_last, bias)
        used = "used" if pays(last, outputs, torch.get_num_threads()) else "left direct"
        print(
            f"{inputs}->{outputs} {'x'.join(map(str, size)):>9}: contiguous {plain * 1e3:7.1f} ms, channels-last "
            f"{direct * 1e3:7.1f} ms, Winograd {fast * 1e3:7.1f} ms: {plain / fast:.2f}x and {direct / fast:.2f}x; "
            f"largest error {own:.1e} direct, {theirs:.1e} Winograd; {used}"
        )


def network(frames: int = 8, height: int = 240, width: int = 432, repeat: int = 3) -> None:
    plain, fast = (NETWORKS["csn_gc3d"]().eval().requires_grad_(False) for _ in range(2))
    fast.load_state_dict(plain.state_dict())
    fast.to(memory_format=LAST)  # type: ignore[call-overload]
    replaced = WinogradConv3d.replace_in(fast)
    clip = torch.rand(1, 3, frames, height, width)
    slow, quick = medians([lambda: plain(clip), lambda: fast(clip)], repeat)
    apart = error(fast(clip), plain(clip))
    print(
        f"3DC-Seg {frames}x{height}x{width}, {replaced} layers replaced: plain {slow:.2f} s, channels-last and "
        f"Winograd {quick:.2f} s, {slow / quick:.2f}x; logits differ by {apart:.1e} of the largest"
    )


if __name__ == "__main__":
    torch.manual_seed(0)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    with torch.inference_mode():
        if sys.argv[1:] == ["network"]:
            network()
        else:
            layers()
