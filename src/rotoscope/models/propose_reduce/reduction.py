"""Of many sequences the best of every object: suppression by the overlap of whole sequences.

Paper: Lin et al., "Video Instance Segmentation with a Propose-Reduce Paradigm" (ICCV 2021), section 3.3 and Algorithm
1; the soft form and the category-aware one are the released code's.

Intended differences to the authors' code: overlaps are counted on run lengths, and only of pairs that can matter: a
histogram of where a sequence lies bounds what two can share. A video whose sequences all have low scores is no error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotoscope.masks.overlap import Intervals, of_track, shared_pixels
from rotoscope.models.propose_reduce.sequences import MaskSequence

_BANDS = 32  # of a frame, in the histogram
_SIGMA = 0.5  # of the soft form
_SOFT_LEAST = 0.001
_CATEGORY_OVERLAP = 0.9  # from which sequences are doubles before the categories are looked at
_CATEGORY_MOST = 100


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A sequence that stays.

    Attributes:
        place: among those given.
        scores: (1 + C,) its scores, maybe lowered; -1 of a category that it was dropped for.
    """

    place: int
    scores: NDArray[np.float32]


class SequenceOverlaps:
    """IoU of whole sequences, on demand.

    Args:
        sequences: all of one padded size.
        frames: of the video.
    """

    def __init__(self, sequences: Sequence[MaskSequence], frames: int) -> None:
        sizes = {mask.size for one in sequences for mask in one.masks.values()}
        if len(sizes) > 1:
            raise ValueError(f"sequences of one video have masks of one size, not {sorted(sizes)}")
        height, width = sizes.pop() if sizes else (1, 1)
        self._lines = [of_track(one.masks, height * width) for one in sequences]
        edges = np.arange(frames)[:, None] * (height * width) + np.linspace(0, width, _BANDS + 1).astype(int) * height
        self._histograms = np.stack([_histogram(line, edges) for line in self._lines]) if sequences else None
        self._areas = np.array([line.area for line in self._lines], np.int64)
        self._shared = np.full((len(sequences), len(sequences)), -1, np.int64)  # pixels, -1 not counted yet

    def with_others(self, place: int, others: NDArray[np.intp], least: float = 0.0) -> NDArray[np.float64]:
        """IoU of one sequence with others.

        Args:
            place: of the one.
            others: (N,) places.
            least: what cannot reach this IoU may be told as 0.

        Returns:
            (N,) IoU over all frames together (equation 3); 0 where both are empty.
        """
        if self._histograms is None or not len(others):
            return np.zeros(len(others))
        joint = self._areas[others] + self._areas[place]
        most = self._shared[place, others]
        new = np.flatnonzero(most < 0)
        most[new] = np.minimum(self._histograms[others[new]], self._histograms[place]).sum(axis=1, dtype=np.int64)
        near = new[(most[new] > 0) & (most[new] >= least * (joint[new] - most[new]))]
        if len(near):
            shared = shared_pixels([self._lines[other] for other in others[near]], [self._lines[place]])[:, 0]
            self._shared[place, others[near]] = self._shared[others[near], place] = most[near] = shared
        most[np.setdiff1d(new, near)] = 0
        found = np.zeros(len(others))
        np.divide(most, joint - most, out=found, where=joint > most)
        return found


def _histogram(line: Intervals, edges: NDArray[np.integer]) -> NDArray[np.int32]:
    """Pixels of a set in each band of each frame: (frames * bands,)."""
    if not len(line.starts):
        return np.zeros(edges.shape[0] * (edges.shape[1] - 1), np.int32)
    total = np.concatenate([[0], np.cumsum(line.stops - line.starts)])
    begun = np.maximum(np.searchsorted(line.starts, edges, side="right") - 1, 0)
    inside = np.clip(edges - line.starts[begun], 0, line.stops[begun] - line.starts[begun])
    found: NDArray[np.int32] = np.diff(total[begun] + inside, axis=1).astype(np.int32).ravel()
    return found


def hard_reduction(
    sequences: Sequence[MaskSequence],
    overlaps: SequenceOverlaps,
    overlap: float = 0.5,
    least_score: float = 0.05,
) -> list[Kept]:
    """Keep the best, drop what overlaps it, and so on (Algorithm 1).

    Args:
        sequences: in the order of their finding; of equal scores the first counts.
        overlaps: of the same sequences.
        overlap: IoU from which a sequence is dropped.
        least_score: below it nothing is kept, but for the very best.
    """
    ranks = np.array([one.rank for one in sequences])
    left = np.argsort(-ranks, kind="stable")
    kept: list[Kept] = []
    while len(left):
        best = int(left[0])
        if kept and ranks[best] < least_score:
            break
        kept.append(Kept(best, sequences[best].scores))
        left = left[1:]
        left = left[overlaps.with_others(best, left, overlap) < overlap]
    return kept


def soft_reduction(
    scores: NDArray[np.floating], overlaps: SequenceOverlaps, places: NDArray[np.intp], most: int
) -> list[tuple[int, float]]:
    """Lower the scores of what overlaps the best, and so on.

    Args:
        scores: (N,) of the sequences at `places`.
        overlaps: of all sequences.
        places: (N,) among those of `overlaps`.
        most: sequences that stay at most.

    Returns:
        Index into `places` and lowered score of each that stays, best first.
    """
    now = scores.astype(np.float64)
    left = np.arange(len(now))
    kept: list[tuple[int, float]] = []
    while len(left) and len(kept) < most:
        left = left[now[left] >= _SOFT_LEAST]
        if not len(left):
            break
        best = int(left[now[left].argmax()])
        kept.append((best, float(now[best])))
        left = left[left != best]
        shared = overlaps.with_others(int(places[best]), places[left])
        now[left] *= np.exp(-(shared**2) / _SIGMA)
    return kept


def soft_reduced(sequences: Sequence[MaskSequence], overlaps: SequenceOverlaps, most: int) -> list[Kept]:
    """`soft_reduction` by the best category's score, which lowers all categories alike."""
    ranks = np.array([one.rank for one in sequences])
    kept = soft_reduction(ranks, overlaps, np.arange(len(ranks)), most)
    return [Kept(place, _lowered(sequences[place].scores, score / ranks[place])) for place, score in kept]


def category_reduction(sequences: Sequence[MaskSequence], overlaps: SequenceOverlaps) -> list[Kept]:
    """Drop near doubles, then lower each category's scores on their own (the authors' report of 2021)."""
    first = hard_reduction(sequences, overlaps, _CATEGORY_OVERLAP)
    places = np.array([one.place for one in first], np.intp)
    scores = np.full((len(first), len(first[0].scores) if first else 0), -1.0, np.float32)
    if first:
        scores[:, 0] = [one.scores[0] for one in first]
    for category in range(1, scores.shape[1]):
        own = np.array([one.scores[category] for one in first])
        for index, score in soft_reduction(own, overlaps, places, _CATEGORY_MOST):
            scores[index, category] = score
    return [Kept(one.place, vector) for one, vector in zip(first, scores, strict=True)]


def _lowered(scores: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    lowered = scores.copy()
    if math.isfinite(factor):
        lowered[1:] *= np.float32(factor)
    return lowered
