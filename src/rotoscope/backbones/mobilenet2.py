"""MobileNetV2 for single pictures, with DeepLabv3's dilation and head where they are wanted: the encoder for CPUs.

Papers: Sandler et al., "MobileNetV2" (CVPR 2018); Chen et al., "Rethinking Atrous Convolution" (DeepLabv3, 2017).

Intended difference: batch norm is folded into the convolutions of the public weights, so there is none here. Names are
those of `MobileNet3D`, whose kernels have one more side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.mobilenet3d import BLOCKS, FIRST_DILATED
from rotoscope.backbones.pixels import PixelNorm
from rotoscope.errors import WeightsError

_STRIDED = 13  # the block that goes to stride 32 where nothing is dilated
_MAPS = (2, 5, 12, 16)  # blocks whose outputs are given


class InvertedResidual2d(nn.Module):
    """1x1 expansion, depth-wise 3x3 convolution, 1x1 projection, ReLU6 after the first two.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        expansion: factor of the middle width; 1 leaves the expansion out.
        stride: of the depth-wise convolution.
        dilation: of the depth-wise convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expand = nn.Conv2d(in_channels, width, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(width, width, 3, stride, dilation, dilation, groups=width)
        self.project = nn.Conv2d(width, out_channels, 1)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride), sizes rounded up."""
        y = x if self.expand is None else functional.relu6(self.expand(x), inplace=True)
        y = self.project(functional.relu6(self.depthwise(y), inplace=True))
        return y + x if self.residual else y  # type: ignore[no-any-return]


class PictureHead2d(nn.Module):
    """DeepLabv3's small head: the mean over the map and a 1x1 convolution, concatenated and projected.

    Args:
        in_channels: channels of the input.
        width: channels of the output.
    """

    def __init__(self, in_channels: int = 320, width: int = 256) -> None:
        super().__init__()
        self.pool = nn.Conv2d(in_channels, width, 1)
        self.conv = nn.Conv2d(in_channels, width, 1)
        self.project = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, width, h, w)."""
        mean = functional.relu(self.pool(x.mean(dim=(2, 3), keepdim=True)))  # (B, width, 1, 1)
        # A 1x1 convolution of a concatenation is the sum of two; the pooled part need not be spread out first.
        weight, width = self.project.weight, mean.shape[1]
        pooled = functional.conv2d(mean, weight[:, :width], self.project.bias)
        local = functional.conv2d(functional.relu(self.conv(x)), weight[:, width:])
        return functional.relu(local + pooled)


class MobileNet2(nn.Module):
    """Maps of strides 4, 8, 16 and 32, or 16 again where the last blocks are dilated.

    Args:
        in_channels: of the input; the first three are RGB.
        dilated: keep stride 16 to the end, as DeepLab does, instead of going to 32, as the classifier does.
        head: put DeepLab's head on the last map.
    """

    def __init__(self, in_channels: int = 3, dilated: bool = False, head: bool = False) -> None:
        super().__init__()
        self.pixels = PixelNorm((128.0,), (128.0,), scale=1.0, dimensions=2)
        self.stem = nn.Conv2d(in_channels, 32, 3, 2, 1)
        before, blocks = 32, []
        for number, (channels, stride) in enumerate(BLOCKS):
            if number == _STRIDED and not dilated:
                stride = 2
            dilation = 2 if dilated and number >= FIRST_DILATED else 1
            blocks.append(InvertedResidual2d(before, channels, 6 if number else 1, stride, dilation))
            before = channels
        self.blocks = nn.ModuleList(blocks)
        self.head = PictureHead2d(before) if head else None
        self.channels = (24, 32, 96, 256 if head else before)
        self.strides = (4, 8, 16, 16 if dilated else 32)

    def forward(self, frames: Tensor, more: Tensor | None = None) -> list[Tensor]:
        """Encode pictures.

        Args:
            frames: (B, 3, H, W) RGB, uint8 or float in [0, 1].
            more: (B, in_channels - 3, H, W), what the input has besides the pixels, as it is to be seen.

        Returns:
            Maps of `channels` and `strides`, finest first, sizes rounded up.
        """
        x = self.pixels(frames)
        x = self.stem(x if more is None else torch.cat([x, more.to(x.dtype)], dim=1))
        x = functional.relu6(x, inplace=True)
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in _MAPS:
                maps.append(x)
        return maps if self.head is None else [*maps[:-1], self.head(maps[-1])]

    def picture_state(self, weights: Mapping[str, Any]) -> dict[str, Tensor]:
        """This encoder's weights from public picture weights, under its names.

        Args:
            weights: arrays of MobileNetV2 or of DeepLabv3 on it, `stem.*`, `blocks.N.*`, `aspp.*`; others are left out.
                What the stem sees besides RGB starts at zero.

        Returns:
            The whole state but for the constants of `pixels`.

        Raises:
            WeightsError: a weight is missing or of another shape.
        """
        state = {}
        for key, target in self.state_dict().items():
            if key.startswith("pixels."):
                continue
            name = key.replace("head.", "aspp.")
            if name not in weights:
                raise WeightsError(f"the picture weights lack {name}; expected MobileNetV2, for a head DeepLabv3 on it")
            value = torch.from_numpy(np.asarray(weights[name], np.float32))
            if key == "stem.weight" and target.shape[1] > 3:
                value = functional.pad(value, (0, 0, 0, 0, 0, target.shape[1] - 3))
            if value.shape != target.shape:
                raise WeightsError(f"picture weight {name} has shape {tuple(value.shape)}, not {tuple(target.shape)}")
            state[key] = value
        return state
