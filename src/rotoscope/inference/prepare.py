"""Making a network fast to run without changing what it computes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rotoscope.backbones.pixels import PixelNorm
from rotoscope.errors import OptionError
from rotoscope.ops.bfloat16 import why_no_bfloat16
from rotoscope.ops.pointwise import PointwiseConv2d
from rotoscope.ops.winograd import WinogradConv3d
from rotoscope.ops.winograd2d import WinogradConv2d

Precision = Literal["auto", "fp32", "bf16"]


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes CUDA where there is one.

    Raises:
        OptionError: the device is unknown or not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OptionError(f"device {name!r} is not known; choose auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise OptionError(f"device {name!r} is not supported; choose auto, cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise OptionError("no CUDA device is there; use --device cpu, or install a CUDA build of torch")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise OptionError(f"device {name!r} is not there; {torch.cuda.device_count()} CUDA devices are, counted from 0")
    return device


def choose_precision(wanted: Precision, device: torch.device, measured_equal: bool) -> torch.dtype:
    """float32, or bfloat16 where it was asked for, or where it was measured equal and the device is fast in it.

    Raises:
        OptionError: `wanted` is none of auto, fp32, bf16, or it is bf16 and the device cannot run that.
    """
    if wanted not in ("auto", "fp32", "bf16"):
        raise OptionError(f"precision {wanted!r} is not known; choose auto, fp32 or bf16")
    if wanted == "fp32":
        return torch.float32
    if wanted == "auto":
        chosen = measured_equal and _in_hardware(device) and why_no_bfloat16(device) is None
        return torch.bfloat16 if chosen else torch.float32
    reason = why_no_bfloat16(device)
    if reason is not None:
        raise OptionError(f"precision bf16 does not run on this machine's {device} ({reason}); choose fp32")
    return torch.bfloat16


def _in_hardware(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 itself; what is emulated may run too, but is no faster than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)


def prepare(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Turn a network into its fast form for inference, in place.

    Batch norms are folded into the convolutions before them, memory is laid out channels-last, and on a CPU the large
    3x3x3 and 3x3 convolutions take Winograd's form in float32, and the 1x1 ones go to oneDNN. Pixels are normalised in
    float32 whatever the type.

    Args:
        network: in eval mode from here on; it can no longer be trained.
        device: where to put it.
        dtype: torch.float32 or torch.bfloat16.
    """
    network.eval().requires_grad_(False)
    fold_batch_norms(network)
    channels_last(network.to(device=device, dtype=dtype))
    for module in network.modules():
        if isinstance(module, PixelNorm):
            module.to(torch.float32)
            module.output = dtype
    if device.type == "cpu" and dtype == torch.float32:
        WinogradConv3d.replace_in(network)
        WinogradConv2d.replace_in(network)
    if device.type == "cpu":
        PointwiseConv2d.replace_in(network)
    return network


def channels_last(network: nn.Module) -> nn.Module:
    """Lay the weights of convolutions out so that channels are together, in place."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            layout = torch.channels_last if isinstance(module, nn.Conv2d) else torch.channels_last_3d
            module.to(memory_format=layout)  # type: ignore[call-overload]
    return network


def fold_batch_norms(network: nn.Module) -> None:
    """Fold every batch norm into the convolution registered just before it; norms without one stay.

    A guidance convolution that adds to a folded one would no longer fit, so it is removed.
    """
    for conv, norm, parent, name in list(_conv_norm_pairs(network)):
        fused = fuse_conv_bn_eval(conv, norm)
        conv.weight, conv.bias = fused.weight, fused.bias
        setattr(parent, name, nn.Identity())
    for module in network.modules():
        if getattr(module, "guidance", None) is not None:
            module.guidance = None  # type: ignore[assignment]


def _conv_norm_pairs(
    network: nn.Module,
) -> Iterator[tuple[nn.Conv2d | nn.Conv3d, nn.BatchNorm2d | nn.BatchNorm3d, nn.Module, str]]:
    """Convolution, norm, the norm's parent and its name there; the convolution may end a Sequential before the norm."""
    for parent in network.modules():
        children = list(parent.named_children())
        for (_, conv), (name, norm) in pairwise(children):
            while isinstance(conv, nn.Sequential) and len(conv):
                conv = conv[len(conv) - 1]
            if (isinstance(conv, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d)) or (
                isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            ):
                yield conv, norm, parent, name
