"""3DC-Seg's decoder blocks: RF3D refinement and the ablations' alternatives (BMVC 2020, section 3.2, Table 4).

One refinement module serves all variants that differ only in what stands for a 3x3x3 convolution: the variant is a
function `(in_channels, out_channels) -> module`, given by name in `CONVOLUTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.refine3d import Interpolate, Light, Refine3d, depthwise_conv, full


def factored(in_channels: int, out_channels: int, middle: int = 544) -> nn.Module:
    """(2+1)D: space, batch norm, ReLU, time."""
    return nn.Sequential(
        nn.Conv3d(in_channels, middle, (1, 3, 3), padding=(0, 1, 1), bias=False),
        nn.BatchNorm3d(middle),
        nn.ReLU(inplace=True),
        nn.Conv3d(middle, out_channels, (3, 1, 1), padding=(1, 0, 0), bias=False),
    )


def light_group_norm(in_channels: int, out_channels: int) -> nn.Module:
    """Depth-wise 3x3x3 and 1x1x1, each with group norm, ReLU after both."""
    return nn.Sequential(
        depthwise_conv(in_channels, bias=False),
        nn.GroupNorm(32, in_channels),
        nn.ReLU(inplace=True),
        nn.Conv3d(in_channels, out_channels, 1, bias=False),
        nn.GroupNorm(32, out_channels),
        nn.ReLU(inplace=True),
    )


def depthwise(in_channels: int, out_channels: int) -> nn.Module:
    """Depth-wise 3x3x3 alone; a 1x1x1 in front where the width changes."""
    return nn.Sequential(depthwise_conv(out_channels))


def depthwise_skip(in_channels: int, out_channels: int) -> nn.Module:
    """The depth-wise variant's first convolution, which always has its 1x1x1."""
    return nn.Sequential(nn.Conv3d(in_channels, out_channels, 1), depthwise_conv(out_channels))


class Transposed(nn.Module):
    """ReLU of a transposed convolution, kernel and stride 2: needs every size exactly doubled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose3d(channels, channels, 2, 2)

    def forward(self, coarse: Tensor, size: tuple[int, int, int]) -> Tensor:
        """(B, C, t, h, w) -> (B, C, 2t, 2h, 2w).

        Raises:
            ValueError: `size` is not the double.
        """
        enlarged: Tensor = functional.relu(self.conv(coarse))
        if enlarged.shape[2:] != size:
            raise ValueError(
                f"the transposed refinement doubles {tuple(coarse.shape[2:])} to {tuple(enlarged.shape[2:])}, but the "
                f"skip map is {tuple(size)}: feed 8 frames and sides that are multiples of 32, or use another variant"
            )
        return enlarged


class ConcatRefine(nn.Module):
    """The row "Upsampling": concatenate the encoder map and the enlarged decoder map, two convolutions.

    Args:
        skip_channels: channels of the encoder map.
        channels: width of the decoder.
    """

    def __init__(self, skip_channels: int, channels: int) -> None:
        super().__init__()
        self.enlarge = Interpolate()
        self.conv1 = full(skip_channels + channels, channels)
        self.conv2 = full(channels, channels)

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        """As `Refine3d.forward`."""
        x = torch.cat([skip, self.enlarge(coarse, skip.shape[2:])], dim=1)
        return self.conv2(functional.relu(self.conv1(x), inplace=True))  # type: ignore[no-any-return]


Refinement = Callable[[int, int], nn.Module]

REFINEMENTS: dict[str, Refinement] = {
    "refine3d": lambda skip, width: Refine3d(skip, width),
    "upsampling": lambda skip, width: ConcatRefine(skip, width),
    "factored": lambda skip, width: Refine3d(skip, width, factored),
    "transposed": lambda skip, width: Refine3d(skip, width, enlarge=Transposed(width)),
    "light": lambda skip, width: Refine3d(skip, width, Light),
    "light_group_norm": lambda skip, width: Refine3d(skip, width, light_group_norm, activate_first=False),
    "depthwise": lambda skip, width: Refine3d(skip, width, depthwise, depthwise_skip),
}
