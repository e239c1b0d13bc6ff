"""ir-CSN: a 3D ResNet whose 3x3x3 convolutions are depth-wise (interaction-reduced channel-separated network).

Paper: Tran et al., "Video Classification with Channel-Separated Convolutional Networks" (ICCV 2019); used as the
encoder of 3DC-Seg (BMVC 2020, section 3.1) and of D2Conv3D (WACV 2022). Attribute names are those of the classifier
files, so that they load unchanged.

Intended differences to the 3DC-Seg authors' class: the classifier's own head and its second copy of every tensor are
not kept; the guidance convolution (`conv1_p` there) is called `guidance`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.pixels import PixelNorm
from rotoscope.ops.depthwise import DepthwiseConv3d

Norm = Callable[[int], nn.Module]


class FrozenBatchNorm3d(nn.BatchNorm3d):
    """A batch norm that nothing changes: its statistics are used in training too, and it gets no gradient.

    Args:
        channels: of the map.
        eps: added to the variance; the Caffe2 backbones were trained with 1e-3.
    """

    def __init__(self, channels: int, eps: float = 1e-3) -> None:
        super().__init__(channels, eps)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode."""
        return super().train(False)


class Bottleneck(nn.Module):
    """1x1x1, depth-wise 3x3x3, 1x1x1, each with batch norm, and a shortcut.

    Args:
        in_channels: channels of the input.
        width: channels of the depth-wise convolution; the output has four times as many.
        stride: of the depth-wise convolution and the shortcut, in time, height and width alike.
        norm: channels -> the norm after a convolution.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, norm: Norm = nn.BatchNorm3d) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv3d(in_channels, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = DepthwiseConv3d(width, (3, 3, 3), (stride, stride, stride), bias=False)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv3d(width, out_channels, 1, bias=False)
        self.bn3 = norm(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv3d(in_channels, out_channels, 1, stride, bias=False), norm(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, 4 * width, T / stride, H / stride, W / stride), sizes rounded up."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = functional.relu(self.bn2(self.conv2(x)), inplace=True)
        x = self.bn3(self.conv3(x))
        return functional.relu(x.add_(shortcut), inplace=True)


class CSN(nn.Module):
    """The ir-CSN encoder: four maps of strides 4, 8, 16, 32 in space and 1, 2, 4, 8 in time.

    Args:
        layers: bottlenecks per layer; (3, 8, 36, 3) is ir-CSN-152, (3, 4, 6, 3) ir-CSN-50.
        mean: subtracted from RGB in 0..255.
        std: divided by.
        scale: divided by once more; see `PixelNorm`.
        guidance: whether there is a convolution for a guidance mask.
        norm: channels -> the norm after a convolution.
    """

    channels = (256, 512, 1024, 2048)
    strides = (4, 8, 16, 32)

    def __init__(
        self,
        layers: Sequence[int] = (3, 8, 36, 3),
        mean: Sequence[float] = (114.7748, 107.7354, 99.4750),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        scale: float = 255.0,
        guidance: bool = True,
        norm: Norm = nn.BatchNorm3d,
    ) -> None:
        super().__init__()
        self.pixels = PixelNorm(mean, std, scale)
        self.guidance: nn.Conv3d | None = nn.Conv3d(1, 64, 7, (1, 2, 2), 3, bias=False) if guidance else None
        self.conv1 = nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)
        self.bn1 = norm(64)
        self.norm, self.in_channels = norm, 64
        self.layer1 = self._layer(64, layers[0], 1)
        self.layer2 = self._layer(128, layers[1], 2)
        self.layer3 = self._layer(256, layers[2], 2)
        self.layer4 = self._layer(512, layers[3], 2)

    def _layer(self, width: int, count: int, stride: int) -> nn.Sequential:
        blocks = []
        for number in range(count):
            blocks.append(Bottleneck(self.in_channels, width, stride if number == 0 else 1, self.norm))
            self.in_channels = width * Bottleneck.expansion
        return nn.Sequential(*blocks)

    def forward(self, clip: Tensor, guidance: Tensor | None = None) -> list[Tensor]:
        """Encode a clip.

        Args:
            clip: (B, 3, T, H, W) RGB, float in [0, 1] or uint8.
            guidance: (B, 1, T, H, W), a mask added to the stem's input (never used by the published system).

        Returns:
            [r2, r3, r4, r5]: (B, 256, T, H/4, W/4), (B, 512, T/2, H/8, W/8), (B, 1024, T/4, H/16, W/16),
            (B, 2048, T/8, H/32, W/32), sizes rounded up.
        """
        x = self.conv1(self.pixels(clip))
        if guidance is not None:
            if self.guidance is None:
                raise ValueError("this network was prepared for inference without guidance; load it unprepared")
            x = x + self.guidance(guidance)
        x = functional.relu(self.bn1(x), inplace=True)
        x = functional.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))  # (B, 64, T, H/4, W/4)
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return maps
