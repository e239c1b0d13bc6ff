"""R(2+1)D-34: a 3D ResNet whose convolutions are factored into space and time.

Paper: Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (CVPR 2018); weights of
Ghadiyaram et al. (IG-65M, CVPR 2019). Row "R(2+1)D-34" of 3DC-Seg's encoder ablation.

Intended difference to the usual class: the stem's pooling keeps time, the batch norms have Caffe2's eps 1e-3 and
momentum 0.9, and three convolutions have Caffe2's middle widths (288, 576, 1152), because the public weights do.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.pixels import PixelNorm


def batch_norm(channels: int) -> nn.BatchNorm3d:
    """Batch norm with the constants of the public weights."""
    return nn.BatchNorm3d(channels, eps=1e-3, momentum=0.9)


def middle_width(in_channels: int, out_channels: int) -> int:
    """Channels between the spatial and the temporal part that keep the parameters of a full 3x3x3 convolution."""
    return 27 * in_channels * out_channels // (9 * in_channels + 3 * out_channels)


def factored(in_channels: int, out_channels: int, middle: int, stride: int = 1) -> nn.Sequential:
    """(1,3,3) convolution, batch norm, ReLU, (3,1,1) convolution."""
    return nn.Sequential(
        nn.Conv3d(in_channels, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        batch_norm(middle),
        nn.ReLU(inplace=True),
        nn.Conv3d(middle, out_channels, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )


class BasicBlock(nn.Module):
    """Two factored convolutions and a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        middle = middle_width(in_channels, out_channels)
        second = middle if stride == 1 else {128: 288, 256: 576, 512: 1152}[out_channels]
        self.conv1 = nn.Sequential(
            factored(in_channels, out_channels, middle, stride), batch_norm(out_channels), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(factored(out_channels, out_channels, second), batch_norm(out_channels))
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv3d(in_channels, out_channels, 1, stride, bias=False), batch_norm(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T / stride, H / stride, W / stride), sizes rounded up."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(self.conv2(self.conv1(x)) + shortcut, inplace=True)


class R2Plus1D(nn.Module):
    """The R(2+1)D encoder: maps of strides 4, 8, 16, 32 in space and 1, 2, 4, 8 in time.

    Args:
        layers: blocks per layer; (3, 4, 6, 3) is R(2+1)D-34.
        mean: subtracted from RGB in 0..255.
        std: divided by.
    """

    channels = (64, 128, 256, 512)
    strides = (4, 8, 16, 32)

    def __init__(
        self,
        layers: Sequence[int] = (3, 4, 6, 3),
        mean: Sequence[float] = (114.7748, 107.7354, 99.4750),
        std: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.pixels = PixelNorm(mean, std)
        self.guidance: nn.Conv3d | None = nn.Conv3d(1, 64, 7, (1, 2, 2), 3, bias=False)
        self.conv1 = nn.Sequential(
            nn.Conv3d(3, 45, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
            batch_norm(45),
            nn.ReLU(inplace=True),
            nn.Conv3d(45, 64, (3, 1, 1), 1, (1, 0, 0), bias=False),
            batch_norm(64),
            nn.ReLU(inplace=True),
        )
        in_channels = 64
        for number, (count, width) in enumerate(zip(layers, self.channels, strict=True), start=1):
            blocks = [BasicBlock(in_channels, width, 1 if number == 1 else 2)]
            blocks += [BasicBlock(width, width, 1) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            in_channels = width

    def forward(self, clip: Tensor, guidance: Tensor | None = None) -> list[Tensor]:
        """Encode a clip.

        Args:
            clip: (B, 3, T, H, W) RGB, float in [0, 1] or uint8.
            guidance: not offered by this encoder.

        Returns:
            [r2, r3, r4, r5] with 64, 128, 256, 512 channels, strides as `CSN`.

        Raises:
            ValueError: a guidance mask was given.
        """
        if guidance is not None:
            raise ValueError("R(2+1)D takes no guidance mask; use the CSN encoder")
        x = self.conv1(self.pixels(clip))
        x = functional.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))  # (B, 64, T, H/4, W/4)
        maps = []
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
            maps.append(x)
        return maps
