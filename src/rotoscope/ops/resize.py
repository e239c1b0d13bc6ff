"""Bringing frames to the network's size and results back."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from rotoscope.errors import OptionError

LONGEST = 4  # aspect ratio up to which the short edge alone decides


@dataclass(frozen=True)
class SizeRule:
    """How large a frame is for the network.

    Attributes:
        short_edge: length of the shorter side; the other keeps the aspect ratio, rounded half to even. A frame longer
            than `LONGEST` to one gets the area of one that is just so long, or a strip of pixels would fill the memory.
        exact: (height, width), whatever the aspect ratio.
        longest: bound of the longer side, with `short_edge`; the frame gets smaller where it would be exceeded.
        None of them: frames keep their size.
    """

    short_edge: int | None = None
    exact: tuple[int, int] | None = None
    longest: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "480" (short edge), "480/854" (short edge, bound of the long one), "480x854" (height x width) or
        "unchanged".

        Raises:
            OptionError: anything else, or a size outside 8..8192.
        """
        if text == "unchanged":
            return cls()
        match = re.fullmatch(r"([0-9]{1,6})(?:([x/])([0-9]{1,6}))?", text) if isinstance(text, str) else None
        if match is None:
            known = '"480", "480/854" (short edge, bound of the long one), "480x854" (height x width) or "unchanged"'
            raise OptionError(f"size {text!r} is not understood; give {known}")
        numbers = [int(number) for number in match.group(1, 3) if number is not None]
        if not all(8 <= number <= 8192 for number in numbers):
            raise OptionError(f"size {text!r} lies outside 8..8192 pixels")
        if match[2] == "/":
            if numbers[1] < numbers[0]:
                raise OptionError(f"size {text!r} bounds the long side below the short one; write the smaller first")
            return cls(short_edge=numbers[0], longest=numbers[1])
        return cls(short_edge=numbers[0]) if len(numbers) == 1 else cls(exact=(numbers[0], numbers[1]))

    def of(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of a frame -> (height, width) for the network."""
        if self.exact is not None:
            return self.exact
        if self.short_edge is None:
            return size
        scale = self.short_edge / min(size)
        if self.longest is not None:
            scale = min(scale, self.longest / max(size))
        elif max(size) > LONGEST * min(size):
            scale = self.short_edge * math.sqrt(LONGEST / (size[0] * size[1]))
        height, width = (max(1, round(side * scale)) for side in size)  # round() is half to even
        return height, width


def fitting_scale(size: tuple[int, int], short: int, long: int) -> float:
    """How much larger (height, width) becomes where it just fits into a rectangle of these sides, either way round."""
    return min(long / max(size), short / min(size))


def fitted(size: tuple[int, int], short: int, long: int) -> tuple[int, int]:
    """(height, width) as large as fits into a rectangle of these sides, whichever way it lies; half a pixel is one."""
    scale = fitting_scale(size, short, long)
    return max(1, int(size[0] * scale + 0.5)), max(1, int(size[1] * scale + 0.5))


def padding_to(size: tuple[int, int], multiple: int) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) zeros that make both sides multiples; the smaller half first."""
    height, width = (-side % multiple for side in size)
    return height // 2, height - height // 2, width // 2, width - width // 2


def to_channels(image: NDArray[np.uint8]) -> Tensor:
    """Copy a picture into a tensor: (H, W, 3) uint8, anyhow in memory -> (3, H, W) uint8, whose memory is (H, W, 3)."""
    return torch.tensor(np.ascontiguousarray(image)).permute(2, 0, 1)


def resize_unsmoothed(image: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Bilinear between the nearest four pixels, also where a picture shrinks.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: (height, width).

    Returns:
        (3, height, width) uint8.
    """
    pixels = to_channels(image)
    if image.shape[:2] == size:
        return pixels.contiguous()
    soft = functional.interpolate(pixels[None].float(), size, mode="bilinear", align_corners=False)
    return soft[0].round().to(torch.uint8)


def resize_picture(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Bilinear as Pillow does for 8-bit pictures: (H, W, 3) or (H, W) uint8 -> the same at (height, width)."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def resize_labels(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Nearest neighbour as Pillow does, pixel centres: (H, W) uint8 -> (height, width) uint8."""
    if labels.shape == size:
        return labels
    return np.asarray(Image.fromarray(labels).resize(size[::-1], Image.Resampling.NEAREST))


def resize_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The same for a mask: (H, W) bool -> (height, width) bool."""
    return resize_labels(mask.view(np.uint8), size).view(np.bool_)
