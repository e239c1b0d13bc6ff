"""ResNet for single pictures, with the stride of a bottleneck on its 3x3 convolution.

Paper: He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016); the stride moved from the first 1x1 to the
3x3 convolution is the variant that most published weights are of. Attribute names are those of the common classifier
files, so that they load unchanged.

Intended differences to the classifier: no pooling and no fully connected layer at the end; fewer stages where a system
needs fewer; the stem may take more channels than RGB.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, each with batch norm, and a shortcut.

    Args:
        in_channels: channels of the input.
        width: channels of the 3x3 convolution; the output has four times as many.
        stride: of the 3x3 convolution and the shortcut.
    """

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 4 * width, H / stride, W / stride), sizes rounded up."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = functional.relu(self.bn2(self.conv2(x)), inplace=True)
        return functional.relu(self.bn3(self.conv3(x)).add_(shortcut), inplace=True)


class ResNet(nn.Module):
    """One map for each stage, of strides 4, 8, 16 and 32.

    Args:
        layers: bottlenecks a stage; (3, 4, 6, 3) is ResNet-50, (3, 4, 23, 3) ResNet-101, (3, 4, 6) ends at stride 16.
        in_channels: of the input, 3 for RGB.
        width: of the stem and of the first stage's 3x3 convolutions, doubled from stage to stage.
    """

    def __init__(self, layers: Sequence[int] = (3, 4, 6, 3), in_channels: int = 3, width: int = 64) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.stages = len(layers)
        self.channels = tuple(width * 2**stage * Bottleneck.expansion for stage in range(self.stages))
        before = width
        for stage, count in enumerate(layers):
            inner = width * 2**stage
            blocks = [Bottleneck(before, inner, 1 if stage == 0 else 2)]
            before = inner * Bottleneck.expansion
            blocks += [Bottleneck(before, inner) for _ in range(count - 1)]
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
