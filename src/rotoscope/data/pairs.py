"""Pairs of frames of a video, as Propose-Reduce learns from: a frame, and another in which its objects can be known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def references_of(frames: Sequence[Mapping[int, int]], current: int) -> list[int]:
    """Which frames may stand for the memory of a frame.

    Those that show one of its objects at least, and where, of every category that both frames show, none of the frame's
    objects is missing.

    Args:
        frames: for each frame the category of every object in it.
        current: index of the frame.

    Returns:
        Indices, ascending; the frame itself is not among them.
    """
    own = frames[current]
    found = []
    for index, other in enumerate(frames):
        common = set(own.values()) & set(other.values())
        missing = any(kind in common and label not in other for label, kind in own.items())
        if index != current and not missing and own.keys() & other.keys():
            found.append(index)
    return found


def paired_indices(
    frames: Sequence[Mapping[int, int] | None], start: int, reach: int, generator: np.random.Generator
) -> list[int]:
    """The two frames of one training clip: the reference, which may lie on either side, and frame `start`.

    Args:
        frames: see `references_of`; None where nothing is known, then any other frame will do.
        start: 0-based.
        reach: how far the reference may lie from it.
        generator: source of chance.
    """
    low, high = max(0, start - reach), min(len(frames), start + reach + 1)
    known = [frame for frame in frames[low:high] if frame is not None]
    if len(known) == high - low:
        candidates = [low + place for place in references_of(known, start - low)]
    else:
        candidates = [index for index in range(low, high) if index != start]
    reference = int(generator.choice(candidates)) if candidates else start
    return [reference, start]
