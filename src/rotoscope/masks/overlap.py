"""Pixels that many masks, or whole tracks of masks, share: all pairs, without decoding a run-length code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotoscope.masks.run_length import intervals
from rotoscope.types import RunLength


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """A set of pixels on one line: those of a mask column by column, those of a track frame after frame.

    Attributes:
        starts: (R,) int64 first positions, ascending.
        stops: (R,) int64 positions after the last; no interval is empty and none meets another.
    """

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int((self.stops - self.starts).sum())


def of_mask(mask: RunLength) -> Intervals:
    """Lay a mask on the line.

    Raises:
        MaskError: a broken code, see `run_length.check`.
    """
    return Intervals(*intervals(mask))


def of_track(masks: Mapping[int, RunLength], pixels: int) -> Intervals:
    """Lay the masks of a track end to end.

    Args:
        masks: frame index to mask.
        pixels: of one frame.

    Raises:
        MaskError: a broken code, see `run_length.check`.
    """
    parts = [(index * pixels, *intervals(masks[index])) for index in sorted(masks)]
    none = np.zeros(0, np.int64)
    starts = np.concatenate([none, *(offset + starts for offset, starts, _ in parts)])
    stops = np.concatenate([none, *(offset + stops for offset, _, stops in parts)])
    return Intervals(starts, stops)


def shared_pixels(a: Sequence[Intervals], b: Sequence[Intervals]) -> NDArray[np.int64]:
    """Count the pixels that each of `a` shares with each of `b`.

    Returns:
        (len(a), len(b)) int64.
    """
    found = np.zeros((len(a), len(b)), np.int64)
    if not len(a) or not len(b):
        return found
    starts = np.concatenate([one.starts for one in a])
    stops = np.concatenate([one.stops for one in a])
    ends = np.cumsum([0, *(len(one.starts) for one in a)])
    for column, other in enumerate(b):
        if len(other.starts):
            inside = np.cumsum(_before(other, stops) - _before(other, starts))
            sums = np.concatenate((np.zeros(1, np.int64), inside))[ends]
            found[:, column] = np.diff(sums)
    return found


def ious(a: Sequence[Intervals], b: Sequence[Intervals]) -> NDArray[np.float64]:
    """Divide shared by joint pixels, for each of `a` with each of `b`; 0 where both are empty.

    Returns:
        (len(a), len(b)) float64.
    """
    shared = shared_pixels(a, b)
    areas, others = (np.array([one.area for one in side], np.int64) for side in (a, b))
    joint = areas[:, None] + others - shared
    found = np.zeros(shared.shape)
    np.divide(shared, joint, out=found, where=joint > 0)
    return found


def _before(line: Intervals, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the pixels of a set that is not empty before each position."""
    lengths = line.stops - line.starts
    total = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    place = np.searchsorted(line.starts, positions, side="right")  # intervals that have begun
    last = np.maximum(place - 1, 0)
    begun = np.clip(positions - line.starts[last], 0, lengths[last])
    found: NDArray[np.int64] = total[last] + begun
    return found
