"""Whether a device can run networks in bfloat16, found out by trying.

oneDNN, to which the convolutions of a CPU go, takes bfloat16 on some processors only. What it takes depends on the
processor, the library's version and the environment (`ONEDNN_MAX_CPU_ISA`), so no list of names would be right. torch's
own convolutions would take it anywhere, but without the instructions they are slower than float32 by a factor of 3 to
20. Whether a device is fast in bfloat16 is another question: here runs too what the library only emulates.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from rotoscope.ops.depthwise import DepthwiseConv3d
from rotoscope.ops.fused import convolve
from rotoscope.ops.pointwise import PointwiseConv2d

_CHANNELS = 8


@cache
def why_no_bfloat16(device: torch.device) -> str | None:
    """Try one small convolution of every kind that networks have, on the way that a prepared network takes.

    Takes milliseconds, once a process and device; draws no random numbers and keeps nothing.

    Args:
        device: where the network would run.

    Returns:
        None where all of them run; else what the library says, in one line.

    Raises:
        torch.OutOfMemoryError: the device has no memory left even for this.
    """
    try:
        with torch.inference_mode(), torch.autocast(device.type, enabled=False), torch.random.fork_rng(devices=[]):
            _run_pictures(device)
            _run_clips(device)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        return str(error).strip().split("\n")[0] or type(error).__name__
    return None


def _run_pictures(device: torch.device) -> None:
    x = torch.ones(1, _CHANNELS, 8, 8, device=device, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    for layer in (
        PointwiseConv2d(_CHANNELS, _CHANNELS, 1),
        nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1),
        nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=2, dilation=2),
        nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, groups=_CHANNELS),
        nn.ConvTranspose2d(_CHANNELS, _CHANNELS, 2, 2),
    ):
        layer.to(device, torch.bfloat16)(x)


def _run_clips(device: torch.device) -> None:
    x = torch.ones(1, _CHANNELS, 4, 8, 8, device=device, dtype=torch.bfloat16).to(memory_format=torch.channels_last_3d)
    for layer in (
        nn.Conv3d(_CHANNELS, _CHANNELS, 1),
        nn.Conv3d(_CHANNELS, _CHANNELS, 3, padding=1),
        nn.Conv3d(_CHANNELS, _CHANNELS, 3, padding=2, dilation=2),
        DepthwiseConv3d(_CHANNELS, (3, 3, 3)),
        DepthwiseConv3d(_CHANNELS, (3, 3, 3), dilation=(1, 2, 2)),
    ):
        convolve(x, layer.to(device, torch.bfloat16), "relu")
