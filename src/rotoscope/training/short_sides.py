"""Convolutions whose gradients in bfloat16 on a CPU are not to be trusted, run in float32 in a training.

Where a side of the input is shorter than the kernel, the weights' gradient of a bfloat16 3D convolution may hold
numbers that were never written (torch 2.13, x86: 3x3x3 on two frames, 1x7x1 on two rows). 3DC-Seg's decoder has such
maps: eight frames are two at stride 16. They are small, so that float32 costs next to nothing there.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn


class ShortSideConv3d(nn.Conv3d):
    """`nn.Conv3d` that leaves autocast where a side of its input is shorter than its kernel; same parameters."""

    @classmethod
    def from_conv(cls, conv: nn.Conv3d) -> Self:
        """The same convolution on the same parameters."""
        module = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            conv.groups,
            conv.bias is not None,
            conv.padding_mode,
            device="meta",
        )
        module.weight, module.bias = conv.weight, conv.bias
        return module.train(conv.training)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> as `nn.Conv3d`."""
        mixed = torch.is_autocast_enabled("cpu") and torch.is_grad_enabled()
        if mixed and any(side < taps for side, taps in zip(x.shape[2:], self.kernel_size, strict=True)):
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float())
        return super().forward(x)


def replace_in(network: nn.Module) -> None:
    """Replace every plain `nn.Conv3d` that has more than one tap, in place."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Conv3d and max(child.kernel_size) > 1:
                setattr(parent, name, ShortSideConv3d.from_conv(child))
