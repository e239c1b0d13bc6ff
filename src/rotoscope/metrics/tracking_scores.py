"""The scores of the tracking toolkit together: HOTA, CLEAR, identity and counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rotoscope.metrics.clear import Clear
from rotoscope.metrics.hota import Hota
from rotoscope.metrics.identity import Identity
from rotoscope.metrics.tracking import Counts, Figures, SequenceTracks


@dataclass(frozen=True, slots=True, eq=False)
class TrackingScores:
    """Scores of one class, on one sequence or several.

    Attributes:
        hota: detection and association at nineteen overlaps.
        clear: MOTSA and kin.
        identity: IDF1 and kin.
        counts: how much there was to score.
    """

    hota: Hota
    clear: Clear
    identity: Identity
    counts: Counts

    @classmethod
    def of(cls, sequence: SequenceTracks) -> TrackingScores:
        """Score one class of one sequence."""
        return cls(Hota.of(sequence), Clear.of(sequence), Identity.of(sequence), Counts.of(sequence))

    @classmethod
    def combined(cls, parts: Sequence[TrackingScores]) -> TrackingScores:
        """Join sequences, or classes as if they were sequences."""
        return cls(
            Hota.combined([part.hota for part in parts]),
            Clear.combined([part.clear for part in parts]),
            Identity.combined([part.identity for part in parts]),
            Counts.combined([part.counts for part in parts]),
        )

    def figures(self) -> Figures:
        """All of them, by the tracking toolkit's names."""
        return self.hota.figures() | self.clear.figures() | self.identity.figures() | self.counts.figures()
