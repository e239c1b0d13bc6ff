"""Identity scores: how much of each object is covered by the one track that fits it best over the whole sequence.

Paper: Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", 2016.
No difference from the tracking toolkit in the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rotoscope.metrics.tracking import Figures, SequenceTracks, assigned

THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Identity:
    """Counts of one class; the scores follow.

    Attributes:
        tp: objects covered by their object's own track.
        fn: objects that are not.
        fp: detections that cover no object of their own track's.
    """

    tp: int
    fn: int
    fp: int

    @classmethod
    def of(cls, sequence: SequenceTracks) -> Identity:
        """Score one class of one sequence.

        Leaving an object's track alone costs its length in misses, leaving a detection's track alone its length in
        false positives, and a pair of tracks costs what is outside of both; the cheapest choice is the one with most
        frames shared.
        """
        shared = np.zeros((sequence.truths, sequence.predictions))
        for frame in sequence.frames:
            shared[np.ix_(frame.truths, frame.predictions)] += frame.similarity >= THRESHOLD
        rows, columns = assigned(shared)
        tp = int(shared[rows, columns].sum())
        return cls(tp, sequence.objects - tp, sequence.detections - tp)

    @classmethod
    def combined(cls, parts: Sequence[Identity]) -> Identity:
        """Add up sequences."""
        return cls(sum(part.tp for part in parts), sum(part.fn for part in parts), sum(part.fp for part in parts))

    @property
    def f1(self) -> float:
        """IDF1."""
        return self.tp / max(1, self.tp + 0.5 * self.fp + 0.5 * self.fn)

    def figures(self) -> Figures:
        """By the tracking toolkit's names."""
        return {
            "IDF1": self.f1,
            "IDR": self.tp / max(1, self.tp + self.fn),
            "IDP": self.tp / max(1, self.tp + self.fp),
            "IDTP": self.tp,
            "IDFN": self.fn,
            "IDFP": self.fp,
        }
