"""Of many sequences the best of every object: suppression by the overlap of whole sequences.

Paper: Lin et al., "Video Instance Segmentation with a Propose-Reduce Paradigm" (ICCV 2021), section 3.3 and Algorithm
1; the soft form and the category-aware one are the released code's.

Intended differences to the authors' code: overlaps are counted on run lengths. A video whose sequences all have low
scores is no error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotoscope.masks.track_overlap import shared_by_tracks
from rotoscope.models.propose_reduce.sequences import MaskSequence

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
    """IoU of whole sequences.

    Args:
        sequences: all of one padded size.
        frames: of the video.
    """

    def __init__(self, sequences: Sequence[MaskSequence], frames: int) -> None:
        shared = shared_by_tracks([one.masks for one in sequences], frames)
        areas = shared.diagonal()
        joint = areas[:, None] + areas - shared
        self._ious: NDArray[np.float64] = np.zeros(shared.shape)
        np.divide(shared, joint, out=self._ious, where=joint > 0)

    def with_others(self, place: int, others: NDArray[np.intp]) -> NDArray[np.float64]:
        """IoU of one sequence with others.

        Args:
            place: of the one.
            others: (N,) places.

        Returns:
            (N,) IoU over all frames together (equation 3); 0 where both are empty.
        """
        found: NDArray[np.float64] = self._ious[place, others]
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
        left = left[overlaps.with_others(best, left) < overlap]
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
