"""A convolution and the activation after it in one pass over memory, where the CPU library offers that.

On a CPU the activation of a wide map is one more pass over memory, which the convolution before it could save. oneDNN
applies it while the result is still in registers; torch reaches that through an operator that its own compiler uses.
Elsewhere, with gradients, and in layouts that the operator would copy, this is the convolution followed by the
activation: the same values.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.ops.frame_conv import convolve_frames, frames_apart

Activation = Literal["relu", "relu6"]


def convolve(x: Tensor, conv: nn.Conv3d, activation: Activation) -> Tensor:
    """Convolve and activate: (B, C, T, H, W) -> (B, K, T', H', W').

    Args:
        x: input.
        conv: a plain convolution; subclasses with a path of their own keep it.
        activation: max(0, y), or that and at most 6.
    """
    if _fusible(x, conv):
        name, bounds = ("relu", []) if activation == "relu" else ("hardtanh", [0.0, 6.0])
        fused = torch.ops.mkldnn._convolution_pointwise(
            x, conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, conv.groups, name, bounds, ""
        )
        return cast(Tensor, fused)
    if frames_apart(x, conv):
        return convolve_frames(x, conv, activation)
    y = conv(x)
    if activation == "relu":
        return functional.relu(y, inplace=True)
    return functional.relu6(y, inplace=True)


def _fusible(x: Tensor, conv: nn.Conv3d) -> bool:
    return (
        x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and x.dtype == conv.weight.dtype
        and x.dtype in (torch.float32, torch.bfloat16)
        and x.is_contiguous(memory_format=torch.channels_last_3d)
        and x.numel() > 0
        and getattr(conv, "fusible", type(conv) is nn.Conv3d)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )
