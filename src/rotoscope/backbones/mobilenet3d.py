"""MobileNetV2 turned into a channel-separated 3D network, with DeepLabv3's picture head: the encoder for CPUs.

Papers: Sandler et al., "MobileNetV2" (CVPR 2018); Chen et al., "Rethinking Atrous Convolution" (DeepLabv3, 2017); the
channel separation in time follows ir-CSN (Tran et al., ICCV 2019): 1x1x1 convolutions mix channels, depth-wise 3x3x3
convolutions mix space and time.

Each depth-wise 3x3 kernel is inflated to 3x3x3 with the identity in time (the picture kernel in the middle, zeros
before and after), so the network starts as the picture network applied to every frame. Batch norm is folded into the
convolutions of the public weights, so there is none here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.pixels import PixelNorm
from rotoscope.ops.depthwise import DepthwiseConv3d
from rotoscope.ops.fused import convolve

# output channels and spatial stride of the 17 inverted residuals; DeepLab keeps stride 16 by dilating the last three
BLOCKS = (
    *((16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1)),
    *((96, 1), (96, 1), (96, 1), (160, 1), (160, 1), (160, 1), (320, 1)),
)
FIRST_DILATED = 14
PYRAMID = {2: "s4", 5: "s8", 12: "s16"}  # blocks whose output the decoder sees


class InvertedResidual(nn.Module):
    """1x1x1 expansion, depth-wise convolution, 1x1x1 projection, ReLU6 after the first two.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        expansion: factor of the middle width; 1 leaves the expansion out.
        stride: in space.
        dilation: in space.
        temporal: taps of the depth-wise convolution in time, 1 or 3.
    """

    def __init__(
        self, in_channels: int, out_channels: int, expansion: int, stride: int, dilation: int, temporal: int
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        self.expand = nn.Conv3d(in_channels, width, 1) if expansion > 1 else None
        self.depthwise = DepthwiseConv3d(width, (temporal, 3, 3), (1, stride, stride), (1, dilation, dilation))
        self.project = nn.Conv3d(width, out_channels, 1)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H / stride, W / stride), sizes rounded up."""
        y = x if self.expand is None else convolve(x, self.expand, "relu6")
        y = self.project(convolve(y, self.depthwise, "relu6"))
        return cast(Tensor, y.add_(x) if self.residual else y)


class PictureHead(nn.Module):
    """DeepLabv3's small head, frame by frame: mean over the map and a 1x1 convolution, concatenated and projected."""

    def __init__(self, in_channels: int = 320, width: int = 256) -> None:
        super().__init__()
        self.pool = nn.Conv3d(in_channels, width, 1)
        self.conv = nn.Conv3d(in_channels, width, 1)
        self.project = nn.Conv3d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 320, T, h, w) -> (B, 256, T, h, w)."""
        mean = functional.relu(self.pool(x.mean(dim=(3, 4), keepdim=True)))  # (B, 256, T, 1, 1)
        # A 1x1x1 convolution of a concatenation is the sum of two; the pooled part need not be spread out first.
        weight, width = self.project.weight, mean.shape[1]
        pooled = functional.conv3d(mean, weight[:, :width], self.project.bias)
        local = functional.conv3d(convolve(x, self.conv, "relu"), weight[:, width:])
        return functional.relu(local + pooled)


class MobileNet3D(nn.Module):
    """The mobile encoder: maps of strides 4, 8, 16, 16; time is kept throughout.

    Args:
        temporal: taps in time of the depth-wise convolutions, 3, or 1 for a picture network.
    """

    channels = (24, 32, 96, 256)
    strides = (4, 8, 16, 16)

    def __init__(self, temporal: int = 3) -> None:
        super().__init__()
        self.pixels = PixelNorm((128.0,), (128.0,), scale=1.0)
        self.stem = nn.Conv3d(3, 32, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        in_channels, blocks = 32, []
        for number, (channels, stride) in enumerate(BLOCKS):
            dilation = 2 if number >= FIRST_DILATED else 1
            # Block 0 runs at half resolution, where time costs most and shows least.
            taps = temporal if number else 1
            blocks.append(InvertedResidual(in_channels, channels, 6 if number else 1, stride, dilation, taps))
            in_channels = channels
        self.blocks = nn.ModuleList(blocks)
        self.head = PictureHead()

    def forward(self, clip: Tensor, guidance: Tensor | None = None) -> list[Tensor]:
        """Encode a clip.

        Args:
            clip: (B, 3, T, H, W) RGB, float in [0, 1] or uint8.
            guidance: not offered by this encoder.

        Returns:
            [r2, r3, r4, r5]: 24, 32, 96, 256 channels at strides 4, 8, 16, 16, sizes rounded up.

        Raises:
            ValueError: a guidance mask was given.
        """
        if guidance is not None:
            raise ValueError("the mobile encoder takes no guidance mask; use the CSN encoder")
        x = convolve(self.pixels(clip), self.stem, "relu6")
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in PYRAMID:
                maps.append(x)
        return [*maps, self.head(x)]

    def load_picture_weights(self, weights: Mapping[str, NDArray[np.floating]]) -> list[str]:
        """Start as the picture network: copy 2D kernels, the identity in time.

        Args:
            weights: arrays of DeepLabv3 on MobileNetV2, `stem.*`, `blocks.N.*`, `aspp.*`; others are left out.

        Returns:
            The names in `weights` that this encoder has no place for.

        Raises:
            ValueError: a weight is missing or of another shape.
        """
        state = self.state_dict()
        names = {key.replace("aspp.", "head."): key for key in weights}
        for key, target in state.items():
            if key.startswith("pixels."):
                continue
            if key not in names:
                raise ValueError(f"the picture weights lack {key!r}")
            _inflate_into(target, torch.from_numpy(np.asarray(weights[names[key]], np.float32)), key)
        self.load_state_dict(state)
        return sorted(original for key, original in names.items() if key not in state)


def _inflate_into(target: Tensor, source: Tensor, key: str) -> None:
    if target.ndim == 1:
        target.copy_(source)
        return
    if target.shape[:2] != source.shape[:2] or target.shape[3:] != source.shape[2:]:
        raise ValueError(f"picture weight {key!r} has shape {tuple(source.shape)}, no match for {tuple(target.shape)}")
    target.zero_()
    target[:, :, target.shape[2] // 2] = source
