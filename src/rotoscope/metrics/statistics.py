"""DAVIS's summary of the per-frame values of one sequence: mean, recall and decay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_RECALL_ABOVE = 0.5
_PARTS = 4
_WRAP = 256


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean, recall and decay of a score.

    Attributes:
        mean: over the frames that have a value; NaN when none has.
        recall: share of all frames whose value is above 0.5; 0.5 itself does not count, nor does NaN.
        decay: mean of the first quarter less mean of the last; negative when the score rises.
    """

    mean: float
    recall: float
    decay: float


def summarise(values: ArrayLike, official: bool = False) -> Statistics:
    """Summarise the values of one sequence in order of frames.

    Args:
        values: (T,) numbers in [0, 1]; NaN for a frame without a value.
        official: give the decay that the official tool prints: it keeps the edges of the quarters in 8 bits, and from
            256 frames on they wrap around. No sequence of DAVIS is so long.
    """
    line = np.asarray(values, np.float64).ravel()
    if line.size == 0:
        return Statistics(math.nan, math.nan, math.nan)
    edges = quarter_edges(line.size)
    starts, stops = (edges[0], edges[3]), (edges[1] + 1, edges[4] + 1)
    if official:
        starts, stops = (starts[0] % _WRAP, starts[1] % _WRAP), (stops[0] % _WRAP, stops[1] % _WRAP)
    first, last = (_mean(line[start:stop]) for start, stop in zip(starts, stops, strict=True))
    return Statistics(_mean(line), float(np.count_nonzero(line > _RECALL_ABOVE)) / line.size, first - last)


def quarter_edges(count: int) -> tuple[int, int, int, int, int]:
    """Cut `count` frames into DAVIS's quarters, which share their end frames.

    Returns:
        The 0-based edges; quarter k goes from edge k to edge k + 1, both included.
    """
    # Half up, in whole numbers: floor((4 + (count - 1) * k) / 4 + 1 / 2) - 1, and no rounding error on the way.
    edges = [(2 * (count - 1) * k + _PARTS) // (2 * _PARTS) for k in range(_PARTS + 1)]
    return edges[0], edges[1], edges[2], edges[3], edges[4]


def mean_statistics(parts: Sequence[Statistics]) -> Statistics:
    """Take the plain mean of each figure over sequences or objects."""
    if not parts:
        return Statistics(math.nan, math.nan, math.nan)
    table = np.array([(part.mean, part.recall, part.decay) for part in parts], np.float64)
    mean, recall, decay = table.mean(axis=0).tolist()
    return Statistics(mean, recall, decay)


def figures(region: Statistics, boundary: Statistics) -> dict[str, float]:
    """Name the figures of J and F as DAVIS's result files do."""
    return {
        "J&F-Mean": (region.mean + boundary.mean) / 2,
        "J-Mean": region.mean,
        "J-Recall": region.recall,
        "J-Decay": region.decay,
        "F-Mean": boundary.mean,
        "F-Recall": boundary.recall,
        "F-Decay": boundary.decay,
    }


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
