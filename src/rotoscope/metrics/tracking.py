"""What the tracking scores are computed from: each frame's objects and detections, and how well each pair fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.intp]
Similarity = NDArray[np.float64]
Figures = dict[str, float | int | NDArray[np.float64]]

EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class FrameTracks:
    """One class on one frame.

    Attributes:
        truths: (n,) number of each object's track, from 0.
        predictions: (m,) number of each detection's track, from 0.
        similarity: (n, m) IoU, in 0..1.
    """

    truths: Places
    predictions: Places
    similarity: Similarity


@dataclass(frozen=True, slots=True, eq=False)
class SequenceTracks:
    """One class of one sequence.

    Attributes:
        frames: those with an object or a detection, in order; empty ones may be left out.
        truths: number of tracks.
        predictions: number of tracks.
        length: number of frames, empty ones too.
    """

    frames: tuple[FrameTracks, ...]
    truths: int
    predictions: int
    length: int

    @property
    def objects(self) -> int:
        """Number of objects on all frames."""
        return sum(frame.truths.size for frame in self.frames)

    @property
    def detections(self) -> int:
        """Number of detections on all frames."""
        return sum(frame.predictions.size for frame in self.frames)

    def lengths(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Number of frames of every object's and every detection's track: (N,) and (M,)."""
        none = [np.zeros(0, np.intp)]
        truths = np.concatenate(none + [frame.truths for frame in self.frames])
        predictions = np.concatenate(none + [frame.predictions for frame in self.frames])
        return np.bincount(truths, minlength=self.truths), np.bincount(predictions, minlength=self.predictions)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there was to score.

    Attributes:
        detections: on all frames.
        objects: on all frames.
        tracks: of detections.
        object_tracks: of objects.
    """

    detections: int
    objects: int
    tracks: int
    object_tracks: int

    @classmethod
    def of(cls, sequence: SequenceTracks) -> Counts:
        """Count one sequence."""
        return cls(sequence.detections, sequence.objects, sequence.predictions, sequence.truths)

    @classmethod
    def combined(cls, parts: Sequence[Counts]) -> Counts:
        """Add up sequences."""
        return cls(
            sum(part.detections for part in parts),
            sum(part.objects for part in parts),
            sum(part.tracks for part in parts),
            sum(part.object_tracks for part in parts),
        )

    def figures(self) -> Figures:
        """By the tracking toolkit's names."""
        return {
            "Dets": self.detections,
            "GT_Dets": self.objects,
            "IDs": self.tracks,
            "GT_IDs": self.object_tracks,
        }


def numbered(
    frames: Iterable[tuple[Sequence[int], Sequence[int], Similarity]], length: int | None = None
) -> SequenceTracks:
    """Number the tracks of a sequence anew, from 0 in order of id, so that scores can be kept in arrays.

    Args:
        frames: ids of the objects, ids of the detections, (n, m) similarity, for every frame that has any.
        length: number of frames of the sequence; as many as given, without it.
    """
    listed = list(frames)
    truths = {number: place for place, number in enumerate(sorted({one for ids, _, _ in listed for one in ids}))}
    others = {number: place for place, number in enumerate(sorted({one for _, ids, _ in listed for one in ids}))}
    return SequenceTracks(
        tuple(
            FrameTracks(
                np.array([truths[one] for one in ids], np.intp),
                np.array([others[one] for one in other_ids], np.intp),
                # The toolkit's order in memory: sums then round alike, and ties in the assignment fall alike.
                np.asfortranarray(similarity),
            )
            for ids, other_ids, similarity in listed
        ),
        len(truths),
        len(others),
        len(listed) if length is None else length,
    )


def assigned(score: Similarity) -> tuple[Places, Places]:
    """Pair rows with columns so that the sum of their scores is largest."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(score, maximize=True)


def mean_of_classes(parts: Sequence[Figures]) -> Figures:
    """Join classes as the toolkit's class average does: the mean of every score, the sum of every count."""
    found: Figures = {}
    for name, first in parts[0].items():
        values = np.array([part[name] for part in parts])
        if isinstance(first, int):
            found[name] = int(values.sum())
        elif isinstance(first, np.ndarray):
            is_count = name.rpartition("_")[2] in ("TP", "FN", "FP")
            found[name] = values.sum(axis=0) if is_count else values.mean(axis=0)
        else:
            found[name] = float(values.mean())
    return found


def averaged(figures: Mapping[str, float | int | NDArray[np.float64]]) -> dict[str, float]:
    """Replace values at all thresholds by their mean."""
    return {name: float(value.mean()) if isinstance(value, np.ndarray) else value for name, value in figures.items()}
