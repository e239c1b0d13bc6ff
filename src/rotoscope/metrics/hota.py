"""HOTA: how well objects are detected, and how well their tracks are kept together, at nineteen overlaps.

Paper: Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-object Tracking", IJCV 2021.
No difference from the authors' toolkit in the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotoscope.metrics.tracking import EPSILON, Figures, SequenceTracks, assigned

Values = NDArray[np.float64]

ALPHAS = np.arange(0.05, 0.99, 0.05)
_TINY = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Hota:
    """Scores at each alpha; every array is (19,) float64.

    Attributes:
        tp: pairs whose IoU reaches alpha.
        fn: objects in no such pair.
        fp: detections in no such pair.
        ass_a: association accuracy.
        ass_re: association recall.
        ass_pr: association precision.
        overlap: sum of the IoU of the pairs.
    """

    tp: Values
    fn: Values
    fp: Values
    ass_a: Values
    ass_re: Values
    ass_pr: Values
    overlap: Values

    @property
    def det_a(self) -> Values:
        """Detection accuracy."""
        return self.tp / np.maximum(1, self.tp + self.fn + self.fp)

    @property
    def det_re(self) -> Values:
        """Detection recall."""
        return self.tp / np.maximum(1, self.tp + self.fn)

    @property
    def det_pr(self) -> Values:
        """Detection precision."""
        return self.tp / np.maximum(1, self.tp + self.fp)

    @property
    def loc_a(self) -> Values:
        """Localisation accuracy: mean IoU of the pairs, 1 where there is none."""
        return np.maximum(_TINY, self.overlap) / np.maximum(_TINY, self.tp)

    @property
    def hota(self) -> Values:
        """The geometric mean of detection and association accuracy."""
        return np.sqrt(self.det_a * self.ass_a)

    @property
    def owta(self) -> Values:
        """The same with detection recall, for sets where not every object is annotated."""
        return np.sqrt(self.det_re * self.ass_a)

    @classmethod
    def of(cls, sequence: SequenceTracks) -> Hota:
        """Score one class of one sequence."""
        zeros = np.zeros(ALPHAS.size)
        if not sequence.objects or not sequence.detections:
            lost = np.full(ALPHAS.size, float(sequence.objects)), np.full(ALPHAS.size, float(sequence.detections))
            return cls(zeros, *lost, zeros, zeros, zeros, zeros)
        return _score(sequence)

    @classmethod
    def combined(cls, parts: Sequence[Hota]) -> Hota:
        """Join sequences: counts add up, association is weighted by true positives."""
        tp = np.sum([part.tp for part in parts], axis=0)
        fn, fp = np.sum([part.fn for part in parts], axis=0), np.sum([part.fp for part in parts], axis=0)
        weight = np.maximum(1, tp)
        ass_a = np.sum([part.ass_a * part.tp for part in parts], axis=0) / weight
        ass_re = np.sum([part.ass_re * part.tp for part in parts], axis=0) / weight
        ass_pr = np.sum([part.ass_pr * part.tp for part in parts], axis=0) / weight
        overlap = np.sum([part.overlap for part in parts], axis=0)
        return cls(tp, fn, fp, ass_a, ass_re, ass_pr, overlap)

    def figures(self) -> Figures:
        """By the tracking toolkit's names; values at all alphas as arrays."""
        hota, loc_a = self.hota, self.loc_a
        return {
            "HOTA": hota,
            "DetA": self.det_a,
            "AssA": self.ass_a,
            "DetRe": self.det_re,
            "DetPr": self.det_pr,
            "AssRe": self.ass_re,
            "AssPr": self.ass_pr,
            "LocA": loc_a,
            "OWTA": self.owta,
            "HOTA(0)": float(hota[0]),
            "LocA(0)": float(loc_a[0]),
            "HOTALocA(0)": float(hota[0] * loc_a[0]),
            "HOTA_TP": self.tp,
            "HOTA_FN": self.fn,
            "HOTA_FP": self.fp,
        }


def _score(sequence: SequenceTracks) -> Hota:
    lengths, other_lengths = sequence.lengths()
    joint = lengths[:, None] + other_lengths
    potential = _potential(sequence)
    alignment = potential / (joint - potential)  # how much the two tracks are one, over the whole sequence
    matches = np.zeros((ALPHAS.size, sequence.truths, sequence.predictions))
    overlap = np.zeros(ALPHAS.size)
    for frame in sequence.frames:
        if not frame.truths.size or not frame.predictions.size:
            continue
        rows, columns = assigned(alignment[np.ix_(frame.truths, frame.predictions)] * frame.similarity)
        pairs = frame.similarity[rows, columns]
        reached = pairs >= ALPHAS[:, None] - EPSILON  # (19, pairs)
        matches[:, frame.truths[rows], frame.predictions[columns]] += reached
        overlap += (pairs * reached).sum(axis=1)
    tp = matches.sum(axis=(1, 2))
    weight = np.maximum(1, tp)
    ass_a = (matches * (matches / np.maximum(1, joint - matches))).sum(axis=(1, 2)) / weight
    ass_re = (matches * (matches / np.maximum(1, lengths[:, None]))).sum(axis=(1, 2)) / weight
    ass_pr = (matches * (matches / np.maximum(1, other_lengths))).sum(axis=(1, 2)) / weight
    return Hota(tp, sequence.objects - tp, sequence.detections - tp, ass_a, ass_re, ass_pr, overlap)


def _potential(sequence: SequenceTracks) -> Values:
    """Add up, for every pair of tracks, their IoU's share of all IoU that either has on the frame: (N, M)."""
    potential = np.zeros((sequence.truths, sequence.predictions))
    for frame in sequence.frames:
        similarity = frame.similarity
        if not similarity.size:
            continue
        joint = similarity.sum(axis=1)[:, None] + similarity.sum(axis=0) - similarity
        share = np.divide(similarity, joint, out=np.zeros(similarity.shape), where=joint > EPSILON)
        potential[np.ix_(frame.truths, frame.predictions)] += share
    return potential
