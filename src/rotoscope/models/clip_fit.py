"""Frames at the size that a network of clips works at, with the zeros around them, and maps without those zeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.models.clip_options import ClipOptions
from rotoscope.ops.resize import SizeRule, padding_to, resize_picture


@dataclass(frozen=True)
class ClipFit:
    """How frames of one size go into a network.

    Attributes:
        size: (height, width) of the picture in the network.
        padding: (top, bottom, left, right) zeros around it.
    """

    size: tuple[int, int]
    padding: tuple[int, int, int, int]

    @classmethod
    def of(cls, size: tuple[int, int], options: ClipOptions) -> Self:
        """For frames of (height, width).

        Raises:
            OptionError: the options' size is not understood.
        """
        resized = SizeRule.parse(options.size).of(size)
        return cls(resized, padding_to(resized, options.multiple))

    @property
    def padded(self) -> tuple[int, int]:
        """(height, width) with the zeros."""
        top, bottom, left, right = self.padding
        return self.size[0] + top + bottom, self.size[1] + left + right

    def pixels(self, image: NDArray[np.uint8]) -> Tensor:
        """(H, W, 3) uint8 -> (3, h, w) uint8, resized, zero-padded; the memory stays (h, w, 3)."""
        padded = np.zeros((*self.padded, 3), np.uint8)
        top, _, left, _ = self.padding
        padded[top : top + self.size[0], left : left + self.size[1]] = resize_picture(image, self.size)
        return torch.from_numpy(padded).permute(2, 0, 1)

    def without_padding(self, maps: Tensor) -> Tensor:
        """(..., >= h, >= w) at the network's size -> (..., h, w) of the picture."""
        top, _, left, _ = self.padding
        return maps[..., top : top + self.size[0], left : left + self.size[1]]
