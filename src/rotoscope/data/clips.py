"""Clips for training: which frames, cut how, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class ClipBatch:
    """Clips and their masks.

    Attributes:
        clips: (B, 3, T, H, W) float32, RGB in [0, 1].
        masks: (B, 1, T, H, W) float32, 0 background, 1 foreground.
    """

    clips: Tensor
    masks: Tensor


def released_indices(count: int, start: int, length: int, gap: int, generator: np.random.Generator) -> list[int]:
    """The frames of one training clip, by the released code's rule.

    Args:
        count: frames of the video.
        start: 0-based first candidate.
        length: frames of the clip.
        gap: span of the candidates.
        generator: source of chance.

    Returns:
        `length` sorted indices: as many different candidates as there are, the rest copies of `start`.
    """
    candidates = np.arange(start, min(count, start + max(gap, length)))
    chosen = generator.choice(candidates, min(length, len(candidates)), replace=False)
    return sorted([*chosen.tolist(), *[start] * (length - len(chosen))])


def paper_indices(count: int, start: int, length: int, span: int, generator: np.random.Generator) -> list[int]:
    """The frames of one training clip, as the paper says: `start`, then others within `span`, padded by the last frame.

    Args:
        count: frames of the video.
        start: 0-based first frame, always part of the clip.
        length: frames of the clip.
        span: how far after `start` the others lie.
        generator: source of chance.
    """
    candidates = np.arange(start + 1, min(count, start + span + 1))
    chosen = generator.choice(candidates, min(length - 1, len(candidates)), replace=False)
    return sorted([start, *chosen.tolist(), *[count - 1] * (length - 1 - len(chosen))])


@dataclass(frozen=True)
class Augmentation:
    """How a clip is cut out of its frames, the same for all of them.

    Attributes:
        size: (height, width) of the result.
        zoom: range of the enlargement relative to the frame's own scale.
        flip: probability of mirroring.
        reverse: probability of running backwards.
        colour: half width of the ranges that brightness, contrast and each channel's gain are drawn from.
    """

    size: tuple[int, int]
    zoom: tuple[float, float] = (0.8, 1.4)
    flip: float = 0.5
    reverse: float = 0.5
    colour: float = 0.15

    def __call__(
        self, frames: NDArray[np.uint8], masks: NDArray[np.uint8], generator: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Cut one clip.

        Args:
            frames: (T, H, W, 3) uint8 RGB.
            masks: (T, H, W) uint8, every value but 0 is foreground.
            generator: source of chance.

        Returns:
            (3, T, h, w) float32 RGB in [0, 1], (1, T, h, w) float32 in {0, 1}.
        """
        top, left, height, width = self._window(frames.shape[1:3], generator)
        window = (slice(None), slice(top, top + height), slice(left, left + width))
        clip = torch.from_numpy(np.ascontiguousarray(frames[window])).permute(3, 0, 1, 2).float() / 255
        mask = torch.from_numpy((masks[window] != 0).astype(np.float32))[None]
        clip = functional.interpolate(clip, self.size, mode="bilinear", align_corners=False, antialias=True).clamp_(
            0, 1
        )
        mask = (functional.interpolate(mask, self.size, mode="bilinear", align_corners=False) > 0.5).float()
        if generator.random() < self.flip:
            clip, mask = clip.flip(-1), mask.flip(-1)
        if generator.random() < self.reverse:
            clip, mask = clip.flip(1), mask.flip(1)
        return self._coloured(clip, generator), mask

    def _window(self, size: Sequence[int], generator: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height, width of a window with the result's aspect ratio (up to 10 %), inside the frame."""
        scale = min(size[0] / self.size[0], size[1] / self.size[1]) / max(1.0, generator.uniform(*self.zoom))
        stretch = generator.uniform(0.9, 1.1)
        height = min(size[0], max(1, round(self.size[0] * scale * stretch)))
        width = min(size[1], max(1, round(self.size[1] * scale / stretch)))
        top = int(generator.integers(0, size[0] - height + 1))
        left = int(generator.integers(0, size[1] - width + 1))
        return top, left, height, width

    def _coloured(self, clip: Tensor, generator: np.random.Generator) -> Tensor:
        if not self.colour:
            return clip
        low, high = 1 - self.colour, 1 + self.colour
        gains = torch.from_numpy(generator.uniform(low, high, (3, 1, 1, 1)).astype(np.float32))
        contrast, shift = generator.uniform(low, high), generator.uniform(-self.colour, self.colour) / 2
        return ((clip * gains - 0.5) * contrast + 0.5 + shift).clamp_(0, 1)


def released_crop_intervals(
    size: Sequence[int], rows: Sequence[int], columns: Sequence[int], crop: Sequence[int], repair: bool = False
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where the released code draws the top and left corner of a training crop around the object.

    Args:
        size: (height, width) of the picture.
        rows: first and last row of the object.
        columns: first and last column of the object.
        crop: (height, width) of the crop.
        repair: use the object's first column for the upper bound of the left corner; the released code takes its last
            column again, by mistake.

    Returns:
        Closed intervals for top and left; the bounds may be reversed.
    """
    column = columns[0] if repair else columns[1]
    top = max(0, rows[1] - crop[0]), min(max(0, size[0] - crop[0]), rows[0])
    left = max(0, columns[1] - crop[1]), min(max(0, size[1] - crop[1]), column)
    return top, left
