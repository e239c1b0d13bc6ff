"""Region similarity J and boundary score F of one frame, as DAVIS defines them.

Paper: Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016.
Difference from the official code: none in the numbers. Label maps are compared once, every object with every other, in
the box around all of them; boundaries and their neighbourhoods are found once an object, 64 pixels at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import MaskError, OptionError
from rotoscope.masks.label_map import LabelMap
from rotoscope.metrics.packed import Bits, Planes, Words, bits_of, bits_of_labels, edges, grown, pack, shared

Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]
Scores = NDArray[np.float64]

Map = TypeVar("Map", Mask, LabelMap)

TOLERANCE = 0.008


@dataclass(frozen=True, slots=True)
class BoundaryCounts:
    """What the boundary score is made of.

    Attributes:
        truth: boundary pixels of the ground truth.
        prediction: boundary pixels of the prediction.
        truth_matched: those of the ground truth that have one of the prediction within the radius.
        prediction_matched: those of the prediction that have one of the ground truth within the radius.
    """

    truth: int
    prediction: int
    truth_matched: int
    prediction_matched: int

    @property
    def score(self) -> float:
        """F: the harmonic mean of precision and recall; 1 when neither mask has a boundary, 0 when one has none."""
        if self.truth == 0 and self.prediction == 0:
            return 1.0
        if self.truth == 0 or self.prediction == 0:
            return 0.0
        precision, recall = self.prediction_matched / self.prediction, self.truth_matched / self.truth
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def region_similarity(truth: Mask, prediction: Mask, void: Mask | None = None) -> float:
    """Compute J: shared pixels over joint pixels; 1 when neither mask has any.

    Args:
        truth: (H, W) bool.
        prediction: (H, W) bool.
        void: (H, W) bool, pixels that do not count.

    Raises:
        MaskError: masks that are not bool or differ in size.
    """
    _check(truth, prediction, void)
    return _region(*_without(truth, prediction, void))


def boundary_score(truth: Mask, prediction: Mask, void: Mask | None = None, tolerance: float = TOLERANCE) -> float:
    """Compute F from the boundary pixels that lie within a radius of the other mask's.

    Args:
        truth: (H, W) bool.
        prediction: (H, W) bool.
        void: (H, W) bool, pixels that both masks lose first.
        tolerance: see `boundary_radius`.

    Raises:
        MaskError: masks that are not bool or differ in size.
        OptionError: a negative tolerance.
    """
    return boundary_counts(truth, prediction, void, tolerance).score


def boundary_counts(
    truth: Mask, prediction: Mask, void: Mask | None = None, tolerance: float = TOLERANCE
) -> BoundaryCounts:
    """Count boundary pixels and matches; arguments and errors as in `boundary_score`."""
    _check(truth, prediction, void)
    radius = boundary_radius(truth.shape, tolerance)
    return _boundary(*_cropped(*_without(truth, prediction, void)), radius)


def region_and_boundary(
    truth: Mask, prediction: Mask, void: Mask | None = None, tolerance: float = TOLERANCE
) -> tuple[float, float]:
    """Compute J and F of one frame together, cheaper than one by one; arguments and errors as in `boundary_score`."""
    _check(truth, prediction, void)
    radius = boundary_radius(truth.shape, tolerance)
    truth, prediction = _cropped(*_without(truth, prediction, void))
    return _region(truth, prediction), _boundary(truth, prediction, radius).score


def object_scores(
    truth: LabelMap,
    prediction: LabelMap,
    truths: int,
    predictions: int,
    *,
    void: int | None = None,
    paired: bool = False,
    tolerance: float = TOLERANCE,
) -> tuple[Scores, Scores]:
    """Compute J and F of the objects of two label maps, all pairs at once.

    Args:
        truth: (H, W) uint8 or uint16, objects 1..`truths`; other numbers but `void` are background.
        prediction: (H, W), objects 1..`predictions`; other numbers are background.
        truths: N, number of objects.
        predictions: M, number of proposals.
        void: number in `truth` of pixels that both maps lose first.
        paired: compare objects of the same number only; N and M must be equal.
        tolerance: see `boundary_radius`.

    Returns:
        J and F, (N, M) float64 each; (N,) for `paired`.

    Raises:
        MaskError: maps of different sizes.
        OptionError: a negative tolerance, or numbers that cannot be paired.
    """
    if truth.shape != prediction.shape or truth.ndim != 2:
        raise MaskError(f"the prediction is {prediction.shape}, the ground truth {truth.shape}; sizes must be equal")
    if paired and truths != predictions:
        raise OptionError(f"{truths} objects cannot be paired with {predictions}; give as many of each")
    radius = boundary_radius(truth.shape, tolerance)
    truth, prediction = _cropped(truth, prediction)
    own, others = bits_of_labels(truth), bits_of_labels(prediction)
    blank = None if void is None else own.pop(void, None)
    own = {number: bits for number, bits in own.items() if number <= truths}
    others = {
        number: bits if blank is None else bits & ~blank for number, bits in others.items() if number <= predictions
    }
    return _compared(own, others, (truths, predictions), truth.shape[1], radius, paired)


def boundary_radius(size: tuple[int, ...], tolerance: float = TOLERANCE) -> float:
    """Turn a tolerance into pixels: below 1 a share of the diagonal, rounded up; from 1 on pixels as they are.

    Raises:
        OptionError: a negative tolerance.
    """
    if not tolerance >= 0:
        raise OptionError(f"the boundary tolerance must be 0 or more, found {tolerance}")
    if tolerance >= 1:
        return tolerance
    return float(math.ceil(tolerance * math.sqrt(size[0] ** 2 + size[1] ** 2)))


def _check(truth: Mask, prediction: Mask, void: Mask | None) -> None:
    for name, mask in (("ground truth", truth), ("prediction", prediction), ("void", void)):
        if mask is None:
            continue
        if mask.dtype != np.bool_ or mask.ndim != 2:
            raise MaskError(f"the {name} must be (height, width) bool, found {mask.shape} of {mask.dtype}")
        if mask.shape != truth.shape:
            raise MaskError(f"the {name} is {mask.shape}, the ground truth {truth.shape}; sizes must be equal")


def _without(truth: Mask, prediction: Mask, void: Mask | None) -> tuple[Mask, Mask]:
    if void is None:
        return truth, prediction
    kept = ~void
    return truth & kept, prediction & kept


def _region(truth: Mask, prediction: Mask) -> float:
    joint = int(np.count_nonzero(truth | prediction))
    return int(np.count_nonzero(truth & prediction)) / joint if joint else 1.0


def _cropped(truth: Map, prediction: Map) -> tuple[Map, Map]:
    """Cut both maps to their joint box and one pixel around it, where the image has one: all that can be boundary."""
    joint = truth | prediction
    rows = np.flatnonzero(joint.any(axis=1))
    if rows.size == 0:
        return truth[:1, :1], prediction[:1, :1]
    top, bottom = max(0, int(rows[0]) - 1), int(rows[-1]) + 2
    columns = np.flatnonzero(joint[top:bottom].any(axis=0))
    left, right = max(0, int(columns[0]) - 1), int(columns[-1]) + 2
    return truth[top:bottom, left:right], prediction[top:bottom, left:right]


def _boundary(truth: Mask, prediction: Mask, radius: float) -> BoundaryCounts:
    planes = edges(pack([bits_of(truth), bits_of(prediction)], truth.shape[1], math.floor(radius)))
    count_t, count_p = planes.counts().tolist()
    if count_t == 0 or count_p == 0:
        return BoundaryCounts(count_t, count_p, 0, 0)
    near, reach = grown(planes, radius), math.floor(radius)
    return BoundaryCounts(count_t, count_p, shared(planes, 0, 1, near, reach), shared(planes, 1, 0, near, reach))


def _compared(
    own: Mapping[int, Bits],
    others: Mapping[int, Bits],
    counts: tuple[int, int],
    columns: int,
    radius: float,
    paired: bool,
) -> tuple[Scores, Scores]:
    """J and F of objects with objects, from those that have pixels: (N, M) each, or (N,)."""
    region, boundary = np.zeros(counts), np.zeros(counts)
    absent, other_absent = np.ones(counts[0], np.bool_), np.ones(counts[1], np.bool_)
    bare, other_bare = absent.copy(), other_absent.copy()  # without boundary
    if own or others:
        reach = math.floor(radius)
        areas = pack([*own.values(), *others.values()], columns, reach)
        rims = edges(areas)
        rows, other_rows = np.array([*own], np.intp) - 1, np.array([*others], np.intp) - 1
        sizes, lengths = areas.counts(), rims.counts()
        absent[rows], other_absent[other_rows] = sizes[: rows.size] == 0, sizes[rows.size :] == 0
        bare[rows], other_bare[other_rows] = lengths[: rows.size] == 0, lengths[rows.size :] == 0
        near = grown(rims, radius) if own and others else rims.words
        for i, row in enumerate(rows):
            for j, column in enumerate(other_rows, start=rows.size):
                if not paired or row == column:
                    common = shared(areas, i, j)
                    region[row, column] = common / max(1, int(sizes[i] + sizes[j]) - common)
                    boundary[row, column] = _pair(rims, lengths, i, j, near, reach).score
    region[absent[:, None] & other_absent] = 1
    boundary[bare[:, None] & other_bare] = 1
    return (np.diagonal(region).copy(), np.diagonal(boundary).copy()) if paired else (region, boundary)


def _pair(rims: Planes, lengths: Counts, i: int, j: int, near: Words, reach: int) -> BoundaryCounts:
    """Count the boundary pixels of planes i and j that lie near the other's."""
    matched = shared(rims, j, i, near, reach)
    # Where none of one side is near the other, none of the other is near it.
    return BoundaryCounts(int(lengths[i]), int(lengths[j]), shared(rims, i, j, near, reach) if matched else 0, matched)
