"""From reduced sequences to the tracks that are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rotoscope.models.propose_reduce.options import Rules, WholeVideoOptions
from rotoscope.models.propose_reduce.reduction import (
    Kept,
    SequenceOverlaps,
    category_reduction,
    hard_reduction,
    soft_reduced,
)
from rotoscope.models.propose_reduce.sequences import MaskSequence


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A track.

    Attributes:
        sequence: its masks.
        label: category, 0 for the first.
        score: in [0, 1].
    """

    sequence: MaskSequence
    label: int
    score: float


def reduced(
    sequences: Sequence[MaskSequence], frames: int, rules: Rules, options: WholeVideoOptions
) -> list[tuple[MaskSequence, Kept]]:
    """Of the sequences of all key frames the best of every object, best first.

    Args:
        sequences: in the order of their finding.
        frames: of the video.
        rules: of the video.
        options: see `WholeVideoOptions`.
    """
    overlaps = SequenceOverlaps(sequences, frames)
    if rules.reduce == "hard":
        kept = hard_reduction(sequences, overlaps, options.overlap, rules.least_score)
    elif rules.reduce == "soft":
        kept = soft_reduced(sequences, overlaps, rules.most)
    elif rules.reduce == "category":
        kept = category_reduction(sequences, overlaps)
    else:
        order = np.argsort([-one.rank for one in sequences], kind="stable")
        kept = [Kept(int(place), sequences[place].scores) for place in order]
    return [(sequences[one.place], one) for one in kept]


def given_tracks(
    sequences: Sequence[MaskSequence], frames: int, rules: Rules, options: WholeVideoOptions
) -> list[Given]:
    """The tracks of a video, best first; see `reduced`. Those that are never seen are left out."""
    tracks = []
    for sequence, kept in reduced(sequences, frames, rules, options)[: rules.most]:
        foreground = kept.scores[1:]
        labels = [int(foreground.argmax())] if options.labels == "best" else range(len(foreground))
        tracks += [Given(sequence, label, min(1.0, float(foreground[label]))) for label in labels]
    good = [one for one in tracks if one.sequence.masks and one.score >= rules.least_score]
    return sorted(good, key=lambda one: -one.score)
