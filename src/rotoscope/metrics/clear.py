"""CLEAR: MOTSA, MODSA, MOTSP and their kin, frame by frame at an IoU of 0.5.

Paper: Bernardin & Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics", 2008;
Voigtlaender et al., "MOTS: Multi-Object Tracking and Segmentation", CVPR 2019.
No difference from the tracking toolkit in the numbers; the older MOTS tool's are in `older_mots.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from rotoscope.metrics.tracking import EPSILON, Figures, FrameTracks, SequenceTracks, assigned

THRESHOLD = 0.5
_KEEPING = 1000.0  # what going on with the same track is worth, against an IoU of at most 1
_NONE = -1


@dataclass(frozen=True, slots=True)
class Clear:
    """Counts of one class; the scores follow.

    Attributes:
        tp: pairs.
        fn: objects without a pair.
        fp: detections without a pair.
        id_switches: pairs whose detection is of another track than the object's last one.
        mostly_tracked: objects paired on more than 80 % of their frames.
        partly_tracked: on 20 % or more.
        mostly_lost: the rest.
        fragments: times that an object was taken up again.
        frames: of all sequences with both objects and detections.
        overlap: sum of the IoU of the pairs.
        one_sided: a single sequence without objects or without detections; the toolkit gives all its scores as 0.
    """

    tp: int
    fn: int
    fp: int
    id_switches: int
    mostly_tracked: int
    partly_tracked: int
    mostly_lost: int
    fragments: int
    frames: int
    overlap: float
    one_sided: bool = False

    @classmethod
    def of(cls, sequence: SequenceTracks) -> Clear:
        """Score one class of one sequence."""
        if not sequence.detections:
            return cls(0, sequence.objects, 0, 0, 0, 0, sequence.truths, 0, 0, 0.0, True)
        if not sequence.objects:
            return cls(0, 0, sequence.detections, 0, 0, 0, 0, 0, 0, 0.0, True)
        return _Following(sequence).result()

    @classmethod
    def combined(cls, parts: Sequence[Clear]) -> Clear:
        """Add up sequences."""
        counted = [field.name for field in fields(cls) if field.name != "one_sided"]
        return cls(*(sum(getattr(part, name) for part in parts) for name in counted))

    @property
    def motsa(self) -> float:
        """Multi-object tracking and segmentation accuracy."""
        return (self.tp - self.fp - self.id_switches) / max(1, self.tp + self.fn)

    @property
    def soft_motsa(self) -> float:
        """SMOTSA: the same with the IoU of the pairs in place of their number."""
        return (self.overlap - self.fp - self.id_switches) / max(1, self.tp + self.fn)

    @property
    def motsp(self) -> float:
        """Mean IoU of the pairs."""
        return self.overlap / max(1, self.tp)

    def figures(self) -> Figures:
        """By the tracking toolkit's names; for masks, read MOTA as MOTSA."""
        objects, tracks = self.tp + self.fn, self.mostly_tracked + self.partly_tracked + self.mostly_lost
        switches = math.log10(self.id_switches) if self.id_switches else 0.0
        scores: Figures = {
            "MOTA": self.motsa,
            "MOTP": self.motsp,
            "MODA": (self.tp - self.fp) / max(1, objects),
            "CLR_Re": self.tp / max(1, objects),
            "CLR_Pr": self.tp / max(1, self.tp + self.fp),
            "MTR": self.mostly_tracked / max(1, tracks),
            "PTR": self.partly_tracked / max(1, tracks),
            "MLR": self.mostly_lost / max(1, tracks),
            "sMOTA": self.soft_motsa,
            "CLR_F1": self.tp / max(1, self.tp + 0.5 * self.fn + 0.5 * self.fp),
            "FP_per_frame": self.fp / max(1, self.frames),
            "MOTAL": (self.tp - self.fp - switches) / max(1, objects),
            "MOTP_sum": self.overlap,
        }
        if self.one_sided:
            scores = {name: float(name == "MLR") for name in scores}
        return scores | {
            "CLR_TP": self.tp,
            "CLR_FN": self.fn,
            "CLR_FP": self.fp,
            "IDSW": self.id_switches,
            "MT": self.mostly_tracked,
            "PT": self.partly_tracked,
            "ML": self.mostly_lost,
            "Frag": self.fragments,
            "CLR_Frames": self.frames,
        }


class _Following:
    """Follows every object through a sequence."""

    def __init__(self, sequence: SequenceTracks) -> None:
        self._sequence = sequence
        self._before = np.full(sequence.truths, _NONE)  # the track that each object had on the frame before
        self._last = np.full(sequence.truths, _NONE)  # the track that it had when it had one
        self._paired = np.zeros(sequence.truths, np.int64)
        self._taken_up = np.zeros(sequence.truths, np.int64)
        self._tp = self._switches = 0
        self._overlap = 0.0

    def result(self) -> Clear:
        sequence = self._sequence
        for frame in sequence.frames:
            if frame.truths.size and frame.predictions.size:  # others are passed over, as if they were not there
                self._step(frame)
        present = sequence.lengths()[0]
        share = self._paired[present > 0] / present[present > 0]
        mostly, at_least_partly = int((share > 0.8).sum()), int((share >= 0.2).sum())
        return Clear(
            tp=self._tp,
            fn=sequence.objects - self._tp,
            fp=sequence.detections - self._tp,
            id_switches=self._switches,
            mostly_tracked=mostly,
            partly_tracked=at_least_partly - mostly,
            mostly_lost=sequence.truths - at_least_partly,
            fragments=int(np.maximum(self._taken_up - 1, 0).sum()),
            frames=sequence.length,
            overlap=self._overlap,
        )

    def _step(self, frame: FrameTracks) -> None:
        rows, columns = self._pairs(frame)
        objects, tracks = frame.truths[rows], frame.predictions[columns]
        last = self._last[objects]
        self._switches += int(((last != _NONE) & (last != tracks)).sum())
        self._taken_up[objects[self._before[objects] == _NONE]] += 1
        self._last[objects] = tracks
        self._before[:] = _NONE
        self._before[objects] = tracks
        self._paired[objects] += 1
        self._tp += objects.size
        self._overlap += float(frame.similarity[rows, columns].sum())

    def _pairs(self, frame: FrameTracks) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        kept = frame.predictions == self._before[frame.truths][:, None]
        score = _KEEPING * kept + frame.similarity
        score[frame.similarity < THRESHOLD - EPSILON] = 0
        rows, columns = assigned(score)
        good = score[rows, columns] > EPSILON
        return rows[good], columns[good]
