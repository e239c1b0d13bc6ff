"""Convolutions whose gradients in bfloat16 on a CPU are not to be trusted, run in float32 in a training.

Seen with torch 2.13 on x86; the weights' gradient may hold numbers that were never written, or be wrong altogether:

- of a 3D convolution where a side of the input is shorter than the kernel (3x3x3 on two frames, 1x7x1 on two rows).
  3DC-Seg's decoder has such maps: eight frames are two at stride 16.
- of a depth-wise dilated convolution, 2D or 3D, in channels-last memory from about 29 columns on. MobileNetV2 with
  DeepLab's dilation has three of them.

Both are a small part of their networks, so that float32 costs little there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rotoscope.ops.conv_swap import on_the_same, swap


def _doubtful(conv: nn.Conv2d | nn.Conv3d, x: Tensor) -> bool:
    if not torch.is_autocast_enabled("cpu") or not torch.is_grad_enabled():
        return False
    short = conv.weight.ndim == 5 and any(side < taps for side, taps in zip(x.shape[2:], conv.kernel_size, strict=True))
    return short or (conv.groups == conv.in_channels > 1 and max(conv.dilation) > 1)


class CarefulConv2d(nn.Conv2d):
    """`nn.Conv2d` that leaves autocast where its gradient is doubtful; same parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> as `nn.Conv2d`."""
        if not _doubtful(self, x):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


class CarefulConv3d(nn.Conv3d):
    """`nn.Conv3d` that leaves autocast where its gradient is doubtful; same parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> as `nn.Conv3d`."""
        if not _doubtful(self, x):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


def replace_in(network: nn.Module) -> None:
    """Replace every plain `nn.Conv2d` and `nn.Conv3d` of more than one tap, in place; parameters stay the same."""
    swap(network, nn.Conv2d, _has_taps, lambda conv: on_the_same(conv, CarefulConv2d))
    swap(network, nn.Conv3d, _has_taps, lambda conv: on_the_same(conv, CarefulConv3d))


def _has_taps(conv: nn.Conv2d | nn.Conv3d) -> bool:
    return max(conv.kernel_size) > 1
