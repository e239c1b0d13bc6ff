"""Frames at the network's size, and masks of its maps at the frames' own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rotoscope.models.stem_seg.maps import STRIDE
from rotoscope.models.stem_seg.network import MULTIPLE
from rotoscope.ops.resize import SizeRule, to_channels

_HALF = 0.5


@dataclass(frozen=True)
class FrameFit:
    """How frames of one size go into a network, and labels come back.

    Attributes:
        frame: (height, width) of the frames.
        resized: of the frame in the network.
        full_size: whether labels have the size of the padded frames, not a quarter of it.
    """

    frame: tuple[int, int]
    resized: tuple[int, int]
    full_size: bool = False

    @classmethod
    def of(cls, frame: tuple[int, int], rule: str, full_size: bool = False) -> Self:
        """For frames of (height, width) under a `SizeRule` in words.

        Raises:
            OptionError: the rule is not understood.
        """
        return cls(frame, SizeRule.parse(rule).of(frame), full_size)

    @property
    def padded(self) -> tuple[int, int]:
        """(height, width) of what the network sees; the padding is at the bottom and right."""
        height, width = self.resized
        return height + -height % MULTIPLE, width + -width % MULTIPLE

    @property
    def labels(self) -> tuple[int, int]:
        """(height, width) of label maps."""
        height, width = self.padded
        return (height, width) if self.full_size else (height // STRIDE, width // STRIDE)

    def pixels(self, image: NDArray[np.uint8], antialias: bool = False) -> Tensor:
        """(H, W, 3) uint8 -> (3, h, w) float32 in [0, 1] at the resized size, bilinear, pixel centres."""
        picture = to_channels(image)[None].float()
        if self.resized != self.frame:
            picture = functional.interpolate(
                picture, self.resized, mode="bilinear", align_corners=False, antialias=antialias
            )
        return picture[0].div_(255)

    @cached_property
    def _shares(self) -> tuple[_Shares, _Shares]:
        """What each row, and each column, of a label map contributes to those of the frame."""
        first, second = (
            _Shares.of(count, resized, side, self.full_size)
            for count, resized, side in zip(self.labels, self.resized, self.frame, strict=True)
        )
        return first, second

    def enlarged(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bring a mask to the frame's size.

        As published: bilinear to the padded size, cut to the resized frame, bilinear to the frame, above a half. Both
        steps are one product with a matrix a side, and only the part around the mask is computed.

        Args:
            mask: (h, w) of a label map.

        Returns:
            (H, W); it may be empty even where `mask` is not.
        """
        large = np.zeros(self.frame, np.bool_)
        ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(ys):
            return large
        (top, bottom), (left, right) = (int(ys[0]), int(ys[-1]) + 1), (int(xs[0]), int(xs[-1]) + 1)
        rows, columns = self._shares
        y, x = rows.reach(top, bottom), columns.reach(left, right)
        part = mask[top:bottom, left:right].astype(np.float32)
        large[y, x] = rows.matrix[y, top:bottom] @ part @ columns.matrix[x, left:right].T > _HALF
        return large


@dataclass(frozen=True, eq=False)
class _Shares:
    """One side of a bilinear enlargement.

    Attributes:
        matrix: (large, small) float32.
        first: (small,) first large position that each small one reaches.
        end: (small,) the position after the last one.
    """

    matrix: NDArray[np.float32]
    first: NDArray[np.int64]
    end: NDArray[np.int64]

    @classmethod
    def of(cls, count: int, resized: int, side: int, full_size: bool) -> Self:
        # Float32 as in the published code, whose roundings decide where a value is a half but for them.
        lines = torch.eye(count)[None]  # (1, count signals, count)
        if not full_size:
            lines = functional.interpolate(lines, scale_factor=float(STRIDE), mode="linear", align_corners=False)
        lines = lines[..., :resized]
        if resized != side:
            lines = functional.interpolate(lines, side, mode="linear", align_corners=False)
        matrix = lines[0].T.numpy()  # (side, count)
        touched = matrix > 0
        some = touched.any(axis=0)
        first = np.where(some, touched.argmax(axis=0), side)
        end = np.where(some, side - touched[::-1].argmax(axis=0), 0)
        return cls(np.ascontiguousarray(matrix), first, end)

    def reach(self, start: int, stop: int) -> slice:
        """Where the small positions from `start` to before `stop` are seen."""
        first, end = int(self.first[start:stop].min()), int(self.end[start:stop].max())
        return slice(first, max(first, end))


def quadrupled(maps: Tensor) -> Tensor:
    """(C, h, w) -> (C, 4h, 4w), bilinear, pixel centres."""
    return functional.interpolate(maps[None], scale_factor=float(STRIDE), mode="bilinear", align_corners=False)[0]
