"""Clips that the package draws itself, as a source for training: for tests, and to try a recipe without data sets."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rotoscope.data.clips import FramesDraft
from rotoscope.data.synthetic import SyntheticClip


class RenderedClips:
    """A few rendered clips, always the same.

    Args:
        clips: how many.
        length: frames of each.
        size: (height, width).
        seed: of the first; the others follow.
    """

    def __init__(self, clips: int, length: int, size: tuple[int, int], seed: int = 0) -> None:
        self._clips, self._length, self._size, self._seed = clips, length, size, seed

    def __len__(self) -> int:
        return self._clips

    def draw(self, number: int, generator: np.random.Generator) -> FramesDraft:
        """See `sources.ClipSource.draw`; there is no chance in it."""
        return _drawn(self._length, self._size, self._seed + number)


@lru_cache(maxsize=64)
def _drawn(length: int, size: tuple[int, int], seed: int) -> FramesDraft:
    frames, labels = zip(*SyntheticClip(length, size, seed, things=1), strict=True)
    return FramesDraft(np.stack([frame.image for frame in frames]), np.stack(labels), size)
