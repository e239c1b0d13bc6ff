"""RF3D, the refinement of 3DC-Seg, and its light form for CPUs, which the small networks of two systems share.

Paper: Mahadevan, Athar, Osep, Hennen, Leal-Taixe, Leibe, "Making a Case for 3D Convolutions for Object Segmentation in
Videos" (BMVC 2020), section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from rotoscope.ops.depthwise import DepthwiseConv3d
from rotoscope.ops.fused import convolve

Convolution = Callable[[int, int], nn.Module]


def full(in_channels: int, out_channels: int) -> nn.Module:
    """The published choice: a full 3x3x3 convolution."""
    return nn.Conv3d(in_channels, out_channels, 3, padding=1)


def depthwise_conv(channels: int, bias: bool = True) -> nn.Conv3d:
    """A depth-wise 3x3x3 convolution that keeps the size."""
    return DepthwiseConv3d(channels, (3, 3, 3), bias=bias)


class Light(nn.Sequential):
    """1x1x1 convolution, ReLU, depth-wise 3x3x3."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(nn.Conv3d(in_channels, out_channels, 1), nn.ReLU(inplace=True), depthwise_conv(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H, W)."""
        return cast(Tensor, self[2](convolve(x, cast(nn.Conv3d, self[0]), "relu")))


class ResidualPair(nn.Module):
    """x + conv2(ReLU(conv1(ReLU(x)))).

    Args:
        channels: width.
        convolution: what stands for a 3x3x3 convolution.
        activate_first: leave the first ReLU out where the convolution ends with one.
    """

    def __init__(self, channels: int, convolution: Convolution = full, activate_first: bool = True) -> None:
        super().__init__()
        self.conv1 = convolution(channels, channels)
        self.conv2 = convolution(channels, channels)
        self.activate_first = activate_first

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> the same shape."""
        if self.activate_first:
            y = self.conv2(functional.relu(self.conv1(functional.relu(x)), inplace=True))
        else:
            y = self.conv2(self.conv1(x))
        return cast(Tensor, y.add_(x))


class Interpolate(nn.Module):
    """Trilinear enlargement to the size of the skip map, pixel centres (align_corners False)."""

    def forward(self, coarse: Tensor, size: tuple[int, int, int]) -> Tensor:
        """(B, C, t, h, w) -> (B, C, *size)."""
        if coarse.shape[2:] == size:
            return coarse
        return functional.interpolate(coarse, size=size, mode="trilinear", align_corners=False)


class Refine3d(nn.Module):
    """RF3D (Fig. 2): s = pair(skip(f)); m = pair(s + enlarged p).

    Args:
        skip_channels: channels of the encoder map f.
        channels: width of the decoder.
        convolution: what stands for a 3x3x3 convolution.
        skip_convolution: the first convolution, where it differs.
        enlarge: module `(p, size) -> p of that size`.
        activate_first: see `ResidualPair`.
    """

    def __init__(
        self,
        skip_channels: int,
        channels: int,
        convolution: Convolution = full,
        skip_convolution: Convolution | None = None,
        enlarge: nn.Module | None = None,
        activate_first: bool = True,
    ) -> None:
        super().__init__()
        self.skip = (skip_convolution or convolution)(skip_channels, channels)
        self.skip_pair = ResidualPair(channels, convolution, activate_first)
        self.enlarge = enlarge or Interpolate()
        self.merge_pair = ResidualPair(channels, convolution, activate_first)

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        """Encoder map (B, C, T, H, W) and coarser decoder map (B, C', t, h, w) -> (B, C', T, H, W)."""
        s = self.skip_pair(self.skip(skip))
        return self.merge_pair(s + self.enlarge(coarse, s.shape[2:]))  # type: ignore[no-any-return]
