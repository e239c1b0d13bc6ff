"""Region similarity J and boundary score F of one frame, as DAVIS defines them.

Paper: Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016.
Difference from the official code: none in the numbers; work is confined to the box around both masks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import MaskError, OptionError

Mask = NDArray[np.bool_]
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
    return _counts(*_cropped(*_without(truth, prediction, void)), radius)


def region_and_boundary(
    truth: Mask, prediction: Mask, void: Mask | None = None, tolerance: float = TOLERANCE
) -> tuple[float, float]:
    """Compute J and F of one frame together, cheaper than one by one; arguments and errors as in `boundary_score`."""
    _check(truth, prediction, void)
    radius = boundary_radius(truth.shape, tolerance)
    truth, prediction = _cropped(*_without(truth, prediction, void))
    return _region(truth, prediction), _counts(truth, prediction, radius).score


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


def boundary_map(mask: Mask) -> Mask:
    """Mark the pixels whose 2x2 block (itself, right, below, below right) is not uniform; edges are repeated outside.

    Args:
        mask: (H, W) bool.

    Returns:
        (H, W) bool.
    """
    edges = np.zeros_like(mask)
    across = mask[:, :-1] != mask[:, 1:]  # (H, W - 1)
    down = mask[:-1] != mask[1:]  # (H - 1, W)
    edges[:, :-1] = across
    edges[:-1] |= down
    # The block's lower row or right column may differ within itself alone, when only the lower right pixel is unlike.
    edges[:-1, :-1] |= across[1:]
    return edges


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


def _cropped(truth: Mask, prediction: Mask) -> tuple[Mask, Mask]:
    """Cut both masks to their joint box and one pixel around it, where the image has one: all that can be boundary."""
    joint = truth | prediction
    rows = np.flatnonzero(joint.any(axis=1))
    if rows.size == 0:
        return truth[:1, :1], prediction[:1, :1]
    top, bottom = max(0, int(rows[0]) - 1), int(rows[-1]) + 2
    columns = np.flatnonzero(joint[top:bottom].any(axis=0))
    left, right = max(0, int(columns[0]) - 1), int(columns[-1]) + 2
    return truth[top:bottom, left:right], prediction[top:bottom, left:right]


def _counts(truth: Mask, prediction: Mask, radius: float) -> BoundaryCounts:
    edges_t, edges_p = boundary_map(truth), boundary_map(prediction)
    count_t, count_p = int(np.count_nonzero(edges_t)), int(np.count_nonzero(edges_p))
    if count_t == 0 or count_p == 0:
        return BoundaryCounts(count_t, count_p, 0, 0)
    matched_t = int(np.count_nonzero(edges_t & _grown(edges_p, radius)))
    matched_p = int(np.count_nonzero(edges_p & _grown(edges_t, radius)))
    return BoundaryCounts(count_t, count_p, matched_t, matched_p)


def _grown(edges: Mask, radius: float) -> Mask:
    """Mark every pixel within the radius of a marked one: the exact disk, row by row of the disk.

    The rows of the padded image lie in one line with `reach` zeros between them, so that a shift by (dy, dx) is one
    slice of the line and every step one fast `or` over it.
    """
    height, width = edges.shape
    reach = math.floor(radius)
    stride, length = width + reach, height * (width + reach)
    wide = np.zeros((height + 2 * reach + 2) * stride, np.bool_)  # reach rows and one of slack above and below
    start = (reach + 1) * stride
    wide[start : start + length].reshape(height, stride)[:, :width] = edges
    line = wide[start : start + length].copy()
    grown = np.zeros_like(line)
    half = 0  # `wide` is the edges grown along their rows by so much
    for dy in range(reach, -1, -1):  # from the narrow ends of the disk to its middle
        wanted = math.isqrt(math.floor(radius * radius) - dy * dy)
        for step in range(half + 1, wanted + 1):
            wide[start - step : start - step + length] |= line
            wide[start + step : start + step + length] |= line
        half = wanted
        for offset in {dy * stride, -dy * stride}:
            grown |= wide[start + offset : start + offset + length]
    return grown.reshape(height, stride)[:, :width]
