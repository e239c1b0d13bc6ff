"""ResNet and ResNeXt for single pictures.

Papers: He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016); Xie et al., "Aggregated Residual
Transformations for Deep Neural Networks" (CVPR 2017). The stride of a bottleneck lies on its 3x3 convolution, as in
most published weights, or on the first 1x1, as in the first paper. Attribute names are those of the common classifier
files, so that they load unchanged.

Intended differences to the classifier: no pooling and no fully connected layer at the end; fewer stages where a system
needs fewer; the stem may take more channels than RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

EXPANSION = 4  # channels of a stage's output, as a multiple of its nominal width
StrideOn = Literal["3x3", "1x1"]


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, each with batch norm, and a shortcut.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        width: channels of the 3x3 convolution.
        stride: of the block.
        groups: of the 3x3 convolution.
        stride_on: the convolution that the stride lies on.
        eps: of the batch norms.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        stride: int = 1,
        groups: int = 1,
        stride_on: StrideOn = "3x3",
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
        self.conv1 = nn.Conv2d(in_channels, width, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(width, eps)
        self.conv2 = nn.Conv2d(width, width, 3, second, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width, eps)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels, eps)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels, eps)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out_channels, H / stride, W / stride), sizes rounded up."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = functional.relu(self.bn2(self.conv2(x)), inplace=True)
        return functional.relu(self.bn3(self.conv3(x)).add_(shortcut), inplace=True)


class ResNet(nn.Module):
    """One map for each stage, of strides 4, 8, 16 and 32.

    Args:
        layers: bottlenecks a stage; (3, 4, 6, 3) is ResNet-50, (3, 4, 23, 3) ResNet-101, (3, 4, 6) ends at stride 16.
        in_channels: of the input, 3 for RGB.
        width: of the stem; stage s has `4 * width * 2**s` channels.
        inner_width: of the first stage's 3x3 convolutions, doubled from stage to stage; None is `width`. ResNeXt-101
            64x4d: 256.
        groups: of the 3x3 convolutions. ResNeXt-101 64x4d: 64.
        stride_on: the convolution of a bottleneck that its stride lies on.
        eps: of the batch norms.
    """

    def __init__(
        self,
        layers: Sequence[int] = (3, 4, 6, 3),
        in_channels: int = 3,
        width: int = 64,
        inner_width: int | None = None,
        groups: int = 1,
        stride_on: StrideOn = "3x3",
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width, eps)
        self.stages = len(layers)
        self.channels = tuple(width * 2**stage * EXPANSION for stage in range(self.stages))
        before = width
        for stage, (count, channels) in enumerate(zip(layers, self.channels, strict=True)):
            inner = (inner_width or width) * 2**stage
            blocks = []
            for place in range(count):
                stride = 2 if place == 0 and stage > 0 else 1
                blocks.append(Bottleneck(before, channels, inner, stride, groups, stride_on, eps))
                before = channels
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))

    def stem(self, x: Tensor) -> Tensor:
        """(B, C, H, W), normalised -> (B, width, H/2, W/2)."""
        return functional.relu(self.bn1(self.conv1(x)), inplace=True)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode pictures.

        Args:
            x: (B, C, H, W), normalised; see `PixelNorm`.

        Returns:
            (B, 256, H/4, W/4), (B, 512, H/8, W/8), (B, 1024, H/16, W/16), ... one a stage, sizes rounded up.
        """
        x = functional.max_pool2d(self.stem(x), 3, 2, 1)  # (B, width, H/4, W/4)
        maps = []
        for stage in range(self.stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            maps.append(x)
        return maps
