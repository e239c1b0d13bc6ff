"""F-measure and mean absolute error of soft foreground maps, in the three senses that the field's tables mix.

- pooled: one precision-recall curve over the pixels of all sequences, beta^2 = 1, its largest F. 3DC-Seg (Table 5) and
  AD-Net. Every annotated frame counts; AD-Net leaves out the first and last of each sequence.
- framewise: F of each frame at 256 thresholds on the map stretched to 0..1, beta^2 = 0.3, mean over frames, then over
  sequences; the largest and the mean of that curve, and F at an adaptive threshold. Video-saliency benchmarks. First
  and last frame are left out.
- half: pooled pixels, beta^2 = 1, the one threshold 0.5. D2Conv3D's code.

All follow from one histogram a frame, by level and by whether the pixel is foreground.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import DataError, MaskError

Histograms = NDArray[np.int64]
Curve = NDArray[np.float64]

LEVELS = 256
BETA_SQUARED = 0.3  # of the framewise scores
_BACK, _FORE = 0, 1
_UPPER_HALF = 128  # of the levels, those whose probability is above 0.5 begin here


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """Scores of pooled pixels.

    Attributes:
        max_f: largest F (beta^2 = 1) over all distinct thresholds; NaN without any pixel of foreground.
        precision: at that threshold.
        recall: at that threshold.
        threshold: foreground probability from which a pixel counts, in 0..1.
        f_at_half: F where the probability is above 0.5; 0 without true positives.
        f_of_mask: the larger of `f_at_half` and F of "all is foreground": what 3DC-Seg's log prints for a sequence.
        mae: mean of |probability - truth|.
        pixels: number of them.
        foreground: number of those that are foreground.
        precisions: (K,) along falling thresholds.
        recalls: (K,) the same.
    """

    max_f: float
    precision: float
    recall: float
    threshold: float
    f_at_half: float
    f_of_mask: float
    mae: float
    pixels: int
    foreground: int
    precisions: Curve
    recalls: Curve


@dataclass(frozen=True, slots=True, eq=False)
class Framewise:
    """Scores of frames, or their means.

    Attributes:
        adaptive_f: F where the map is at least twice its mean (at most 1).
        max_f: largest value of the curve.
        mean_f: mean of the curve.
        mae: mean of |stretched map - truth|.
        curve: (256,) F at thresholds 1, 254/255, ... 0.
    """

    adaptive_f: float
    max_f: float
    mean_f: float
    mae: float
    curve: Curve


@dataclass(frozen=True, slots=True, eq=False)
class SequenceSaliency:
    """What was counted in one sequence.

    Attributes:
        name: of the sequence.
        frames: names of the annotated frames, in order.
        histograms: (T, 2, 256) int64, pixels by background or foreground and level.
        strict: the same where foreground is what the framewise benchmarks take: above 128 in maps of grey levels.
        missing: frames without a prediction, counted as empty maps.
        hard: whether the predictions are masks, not soft maps.
    """

    name: str
    frames: tuple[str, ...]
    histograms: Histograms
    strict: Histograms
    missing: tuple[str, ...] = ()
    hard: bool = False

    def pooled(self, keep_ends: bool = True, official: bool = False) -> Pooled:
        """Score the pixels of the sequence; arguments as in `SaliencyScores.pooled`."""
        return pooled_levels(_kept(self.histograms, keep_ends).sum(axis=0), official)

    def framewise(self, keep_ends: bool = False) -> Framewise | None:
        """Score the frames of the sequence; None when none is left."""
        kept = _kept(self.strict, keep_ends)
        if not len(kept):
            return None
        frames = [framewise_levels(histogram) for histogram in kept]
        curve: Curve = np.mean([frame.curve for frame in frames], axis=0)
        adaptive = math.fsum(frame.adaptive_f for frame in frames) / len(frames)
        error = math.fsum(frame.mae for frame in frames) / len(frames)
        return Framewise(adaptive, float(curve.max()), float(curve.mean()), error, curve)


@dataclass(frozen=True, slots=True, eq=False)
class SaliencyScores:
    """What was counted in a set of sequences.

    Attributes:
        sequences: in the order asked for.
    """

    sequences: tuple[SequenceSaliency, ...]

    def pooled(self, keep_ends: bool = True, official: bool = False) -> Pooled:
        """Score the pixels of all sequences together.

        Args:
            keep_ends: count the first and the last annotated frame of each sequence (3DC-Seg), or not (AD-Net).
            official: the authors take a plain maximum, which is NaN where the highest-valued pixels hold no true
                positive; give that.
        """
        total = sum(_kept(one.histograms, keep_ends).sum(axis=0) for one in self.sequences)
        return pooled_levels(np.asarray(total), official)

    def framewise(self, keep_ends: bool = False) -> Framewise | None:
        """Score the frames; the mean over the sequences that have frames left, None where no one has."""
        parts = [part for one in self.sequences if (part := one.framewise(keep_ends)) is not None]
        if not parts:
            return None
        curve: Curve = np.mean([part.curve for part in parts], axis=0)
        adaptive = math.fsum(part.adaptive_f for part in parts) / len(parts)
        error = math.fsum(part.mae for part in parts) / len(parts)
        return Framewise(adaptive, float(curve.max()), float(curve.mean()), error, curve)


def histogram(truth: NDArray[np.bool_], soft: NDArray[np.uint8]) -> Histograms:
    """Count the pixels of one frame by background or foreground and level: (2, 256) int64.

    Args:
        truth: (H, W) bool.
        soft: (H, W) uint8, 255 = certainly foreground.

    Raises:
        MaskError: other dtypes, or sizes that differ.
    """
    if truth.dtype != np.bool_ or soft.dtype != np.uint8:
        raise MaskError(f"expected bool truth and a uint8 map, found {truth.dtype} and {soft.dtype}")
    if truth.shape != soft.shape:
        raise MaskError(f"the map is {soft.shape}, the ground truth {truth.shape}; sizes must be equal")
    keys = np.left_shift(truth, 8, dtype=np.uint16) | soft
    return np.bincount(keys.ravel(), minlength=2 * LEVELS).reshape(2, LEVELS)


def score_maps(name: str, truths: Sequence[NDArray[np.bool_]], maps: Sequence[NDArray[np.uint8]]) -> SequenceSaliency:
    """Count one sequence from arrays.

    Args:
        name: of the sequence.
        truths: T masks, (H, W) bool each.
        maps: T maps, (H, W) uint8 each.

    Raises:
        DataError: numbers of frames that differ, or no frame.
        MaskError: see `histogram`.
    """
    if len(truths) != len(maps) or not len(truths):
        raise DataError(f"{name} has {len(truths)} annotations and {len(maps)} maps; give one each, at least one")
    counted = np.stack([histogram(truth, soft) for truth, soft in zip(truths, maps, strict=True)])
    return SequenceSaliency(name, tuple(f"{index:05d}" for index in range(len(truths))), counted, counted)


def pooled_levels(counted: Histograms, official: bool = False) -> Pooled:
    """Score pooled pixels of 8-bit maps from their (2, 256) histogram."""
    return _pooled(np.arange(LEVELS) / (LEVELS - 1), counted, official)


def pooled_probabilities(truth: NDArray[np.bool_], probability: NDArray[np.floating], official: bool = False) -> Pooled:
    """Score pooled pixels of maps in floating point, at full precision.

    Args:
        truth: any shape, bool.
        probability: the same shape, in 0..1.
        official: as in `SaliencyScores.pooled`.

    Raises:
        MaskError: sizes that differ, or values that are not in 0..1.
    """
    if truth.shape != probability.shape:
        raise MaskError(f"the map is {probability.shape}, the ground truth {truth.shape}; sizes must be equal")
    if probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        raise MaskError(f"probabilities lie in 0..1, found {probability.min()} to {probability.max()}")
    values, place = np.unique(probability, return_inverse=True)
    keys = place.ravel() + values.size * truth.ravel().astype(np.int64)
    counted = np.bincount(keys, minlength=2 * values.size).reshape(2, values.size)
    return _pooled(values.astype(np.float64), counted, official)


def framewise_levels(counted: Histograms) -> Framewise:
    """Score one frame from its (2, 256) histogram."""
    there = np.flatnonzero(counted.sum(axis=0))
    pixels, foreground = counted[:, there].sum(axis=0), counted[_FORE, there]
    low, high = int(there[0]), int(there[-1])
    base, span = (low, high - low) if high > low else (0, LEVELS - 1)
    steps_up = there - base  # of `span`: the stretched map in whole numbers
    levels = there / (LEVELS - 1)
    stretched = (levels - levels[0]) / (levels[-1] - levels[0]) if high > low else levels  # rounded as the tool rounds
    # At least twice the mean, or 1: compared in whole numbers, for the threshold often falls right on a level.
    above = steps_up * pixels.sum() >= np.minimum(span * pixels.sum(), 2 * (steps_up * pixels).sum())
    adaptive = _f_beta(foreground[above].sum(), pixels[above].sum(), foreground.sum())
    # The field's tool counts by whole levels of the stretched map, rounded down.
    steps = (stretched * (LEVELS - 1)).astype(np.int64)
    hits = np.bincount(steps, weights=foreground, minlength=LEVELS)[::-1].cumsum()
    marked = np.bincount(steps, weights=pixels, minlength=LEVELS)[::-1].cumsum()
    curve = _f_beta(hits, marked, np.float64(foreground.sum()))
    error = _absolute_error(stretched, counted[:, there])
    return Framewise(float(adaptive), float(curve.max()), float(curve.mean()), error, curve)


def _pooled(values: Curve, counted: Histograms, official: bool) -> Pooled:
    """Score from ascending values and the (2, K) pixels that have them."""
    there = np.flatnonzero(counted.sum(axis=0))
    values, counted = values[there][::-1], counted[:, there][:, ::-1]  # along falling thresholds
    hits, marked = counted[_FORE].cumsum(), counted.sum(axis=0).cumsum()
    foreground, pixels = int(hits[-1]), int(marked[-1])
    precisions, recalls = hits / marked, hits / max(foreground, 1)
    f = np.divide(2 * hits, marked + foreground, where=hits > 0, out=np.full(hits.size, math.nan))
    known = f[~np.isnan(f)]
    best = int(np.nanargmax(f)) if known.size else 0
    largest = math.nan if not known.size or (official and known.size < f.size) else float(f[best])
    upper = int(np.count_nonzero(values > 0.5))
    half = float(2 * hits[upper - 1] / (marked[upper - 1] + foreground)) if upper else 0.0
    everything = 2 * foreground / (pixels + foreground)
    return Pooled(
        max_f=largest,
        precision=float(precisions[best]),
        recall=float(recalls[best]),
        threshold=float(values[best]),
        f_at_half=half,
        f_of_mask=max(half, everything),
        mae=_absolute_error(values, counted),
        pixels=pixels,
        foreground=foreground,
        precisions=precisions,
        recalls=recalls,
    )


def _absolute_error(values: Curve, counted: Histograms) -> float:
    """Mean of |value - truth| over pixels given by value."""
    total = (values * counted[_BACK] + (1 - values) * counted[_FORE]).sum()
    return float(total / counted.sum())


def _f_beta(hits: Curve, marked: Curve, foreground: np.float64) -> Curve:
    """F with beta^2 = 0.3 from true positives, marked pixels and pixels of foreground; 0 without true positives."""
    precision, recall = hits / np.maximum(marked, 1), hits / max(float(foreground), 1.0)
    found: Curve = np.divide(
        (1 + BETA_SQUARED) * precision * recall,
        BETA_SQUARED * precision + recall,
        where=hits > 0,
        out=np.zeros_like(precision),
    )
    return found


def _kept(histograms: Histograms, keep_ends: bool) -> Histograms:
    return histograms if keep_ends else histograms[1:-1]
