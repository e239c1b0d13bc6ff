"""Feature pyramid: every stage of an encoder brought to one width, coarse maps added to finer ones.

Paper: Lin et al., "Feature Pyramid Networks for Object Detection" (CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

Enlarge = Literal["nearest", "bilinear"]


class FeaturePyramid(nn.Module):
    """1x1 convolutions on every stage, sums from the coarsest down, 3x3 convolutions on the sums; no norm.

    Args:
        in_channels: of each stage, finest first.
        channels: of every output.
        enlarge: how a coarse sum is brought to the size of the next finer map. "nearest" is the paper's; "bilinear" is
            by pixel centres (align_corners False).
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 256, enlarge: Enlarge = "nearest") -> None:
        super().__init__()
        self.enlarge = enlarge
        self.inner = nn.ModuleList(nn.Conv2d(count, channels, 1) for count in in_channels)
        self.outer = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Combine the stages.

        Args:
            maps: (B, C_i, H_i, W_i), finest first, one for each of `in_channels`.

        Returns:
            (B, channels, H_i, W_i), finest first.
        """
        found: list[Tensor] = []
        coarser: Tensor | None = None
        for inner, outer, x in reversed(list(zip(self.inner, self.outer, maps, strict=True))):
            total = inner(x)
            if coarser is not None:
                total = total + self._enlarged(coarser, total)
            found.append(outer(total))
            coarser = total
        return found[::-1]

    def _enlarged(self, x: Tensor, like: Tensor) -> Tensor:
        corners = False if self.enlarge == "bilinear" else None
        return functional.interpolate(x, size=like.shape[-2:], mode=self.enlarge, align_corners=corners)
