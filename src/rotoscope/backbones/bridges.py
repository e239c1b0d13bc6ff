"""What joins encoder and decoder at the coarsest map (3DC-Seg, BMVC 2020, section 3.2, bridge rows of Table 4)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

BridgeFactory = Callable[[int, int], nn.Module]


class GlobalConvolution(nn.Module):
    """GC3D: a large spatial kernel as two separable branches, summed.

    Args:
        in_channels: channels of the coarsest encoder map.
        channels: width of the decoder.
        kernel: k of the 1 x k x k window.
    """

    def __init__(self, in_channels: int, channels: int, kernel: int = 7) -> None:
        super().__init__()
        tall, wide = (1, kernel, 1), (1, 1, kernel)
        self.left1 = nn.Conv3d(in_channels, channels, tall, padding=(0, kernel // 2, 0))
        self.left2 = nn.Conv3d(channels, channels, wide, padding=(0, 0, kernel // 2))
        self.right1 = nn.Conv3d(in_channels, channels, wide, padding=(0, 0, kernel // 2))
        self.right2 = nn.Conv3d(channels, channels, tall, padding=(0, kernel // 2, 0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, t, h, w) -> (B, C', t, h, w)."""
        return self.left2(self.left1(x)) + self.right2(self.right1(x))  # type: ignore[no-any-return]


class NonLocal(nn.Module):
    """NL3D: a 1x1x1 reduction and a non-local block over all positions of the clip.

    Args:
        in_channels: channels of the coarsest encoder map.
        channels: width of the decoder; the attention works on half as many.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.reduce = nn.Conv3d(in_channels, channels, 1)
        self.query = nn.Conv3d(channels, inner, 1)
        self.key = nn.Conv3d(channels, inner, 1)
        self.value = nn.Conv3d(channels, inner, 1)
        self.out = nn.Conv3d(inner, channels, 1)
        self.out_norm = nn.BatchNorm3d(channels)
        nn.init.zeros_(self.out_norm.weight)  # the block starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, t, h, w) -> (B, C', t, h, w)."""
        x = self.reduce(x)
        query = self.query(x).flatten(2).transpose(1, 2)  # (B, P, C'/2)
        key = _halve(self.key(x)).flatten(2).transpose(1, 2)  # (B, L, C'/2)
        value = _halve(self.value(x)).flatten(2).transpose(1, 2)  # (B, L, C'/2)
        read = functional.scaled_dot_product_attention(query, key, value, scale=1.0)  # (B, P, C'/2)
        read = read.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])
        return self.out_norm(self.out(read)) + x  # type: ignore[no-any-return]


def _halve(x: Tensor) -> Tensor:
    return functional.max_pool3d(x, (1, *(min(2, side) for side in x.shape[3:])))  # a side of one stays


class PyramidPooling(nn.Module):
    """3D ASPP: a 1x1x1 branch, three dilated grouped branches, a mean over space; order convolution, ReLU, norm.

    Args:
        in_channels: channels of the coarsest encoder map.
        channels: width of the decoder.
        inner: width of each branch.
        dilations: of the (1,3,3) branches.
    """

    def __init__(
        self, in_channels: int, channels: int, inner: int = 64, dilations: tuple[int, ...] = (3, 6, 9)
    ) -> None:
        super().__init__()
        self.point = _conv_relu_norm(nn.Conv3d(in_channels, inner, 1, bias=False), 16)
        self.dilated = nn.ModuleList(
            nn.Sequential(
                *_conv_relu_norm(
                    nn.Conv3d(in_channels, in_channels, (1, 3, 3), 1, (0, d, d), (1, d, d), groups=64, bias=False),
                    16,
                ),
                *_conv_relu_norm(nn.Conv3d(in_channels, inner, 1, bias=False), 16),
            )
            for d in dilations
        )
        self.pooled = _conv_relu_norm(nn.Conv3d(in_channels, inner, 1, bias=False), 16)
        self.project = _conv_relu_norm(nn.Conv3d(inner * (2 + len(dilations)), channels, 1, bias=False), 32)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, t, h, w) -> (B, C', t, h, w)."""
        pooled = self.pooled(x.mean(dim=(3, 4), keepdim=True)).expand(-1, -1, -1, *x.shape[3:])
        branches = [self.point(x), *(branch(x) for branch in self.dilated), pooled]
        return self.project(torch.cat(branches, dim=1))  # type: ignore[no-any-return]


def _conv_relu_norm(conv: nn.Conv3d, groups: int) -> nn.Sequential:
    return nn.Sequential(conv, nn.ReLU(inplace=True), nn.GroupNorm(groups, conv.out_channels))


BRIDGES: dict[str, BridgeFactory] = {
    "gc3d": GlobalConvolution,
    "c3d": lambda in_channels, channels: nn.Conv3d(in_channels, channels, 3, padding=1),
    "nl3d": NonLocal,
    "aspp": PyramidPooling,
}
