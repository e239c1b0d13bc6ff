"""The revised decoder's blocks: convolution, ReLU, norm (D2Conv3D, WACV 2022; spec section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Rates = tuple[int, int, int]


@dataclass(frozen=True)
class RefinementOptions:
    """How the refinement modules are made; the defaults are those of every published run.

    Attributes:
        norm_groups: of the group norms; None for no norm.
        enlarge: "corners" (trilinear, align_corners True), "centres" (align_corners False) or "nearest".
        norm_input: another norm on the encoder's map.
    """

    norm_groups: int | None = 1
    enlarge: Literal["corners", "centres", "nearest"] = "corners"
    norm_input: bool = False

    def norm(self, channels: int) -> nn.Module:
        """The norm of a map of that many channels."""
        return nn.Identity() if self.norm_groups is None else nn.GroupNorm(self.norm_groups, channels)


class DilatedPyramid(nn.Module):
    """The row "aspp": what stands for the first convolution of a module; parallel dilated convolutions, joined.

    Args:
        in_channels: of the encoder's map.
        channels: of every branch and of the result.
        rates: dilations in space of the 3x3x3 branches.
    """

    def __init__(self, in_channels: int, channels: int, rates: Rates) -> None:
        super().__init__()
        points = [nn.Conv3d(in_channels, channels, 1, bias=False)]
        wide = [nn.Conv3d(in_channels, channels, 3, 1, (1, r, r), (1, r, r), bias=False) for r in rates]
        self.branches = nn.ModuleList(_normed(conv) for conv in points + wide)
        self.project = _normed(nn.Conv3d(channels * (1 + len(rates)), channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C', T, H, W)."""
        return self.project(torch.cat([branch(x) for branch in self.branches], dim=1))  # type: ignore[no-any-return]


def _normed(conv: nn.Conv3d) -> nn.Sequential:
    return nn.Sequential(conv, nn.BatchNorm3d(conv.out_channels), nn.ReLU(inplace=True))


class Refine(nn.Module):
    """s = skip(f); s = s + skip2(skip1(s)); m = s + enlarged p; m = m + merge2(merge1(m)).

    Args:
        skip_channels: channels of the encoder map f.
        channels: width of the decoder.
        options: see `RefinementOptions`.
        rates: a pyramid with these dilations is the first convolution; None for a plain one.
    """

    def __init__(self, skip_channels: int, channels: int, options: RefinementOptions, rates: Rates | None) -> None:
        super().__init__()

        def block(conv: nn.Module) -> nn.Sequential:
            own = isinstance(conv, nn.Conv3d)  # a pyramid needs its result for its gradient
            return nn.Sequential(conv, nn.ReLU(inplace=own), options.norm(channels))

        def plain(width: int = channels) -> nn.Sequential:
            return block(nn.Conv3d(width, channels, 3, padding=1))

        self.enlarge = options.enlarge
        self.norm = options.norm(skip_channels) if options.norm_input else None
        self.skip = plain(skip_channels) if rates is None else block(DilatedPyramid(skip_channels, channels, rates))
        self.skip1, self.skip2 = plain(), plain()
        self.merge1, self.merge2 = plain(), plain()

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        """Encoder map (B, C, T, H, W) and coarser decoder map (B, C', t, h, w) -> (B, C', T, H, W)."""
        s = self.skip(skip if self.norm is None else self.norm(skip))
        s = s + self.skip2(self.skip1(s))
        m = s + self._enlarged(coarse, s.shape[2:])
        return m + self.merge2(self.merge1(m))  # type: ignore[no-any-return]

    def _enlarged(self, coarse: Tensor, size: torch.Size) -> Tensor:
        """(B, C, t, h, w) -> (B, C, *size)."""
        if coarse.shape[2:] == size:
            return coarse
        if self.enlarge == "nearest":
            return functional.interpolate(coarse, size=size, mode="nearest")
        return functional.interpolate(coarse, size=size, mode="trilinear", align_corners=self.enlarge == "corners")
