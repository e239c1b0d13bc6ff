"""What a key frame proposes: one object through the whole video."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rotoscope.models.propose_reduce.packed import PackedMasks


@dataclass(frozen=True, slots=True, eq=False)
class MaskSequence:
    """One object through a video, as one key frame proposes it (paper, section 3.2).

    Attributes:
        key_frame: where it was found.
        masks: by frame index, at the network's padded size; frames without the object are absent.
        scores: (1 + C,) of the background and the categories, the mean over its frames (equations 1 and 2).
    """

    key_frame: int
    scores: NDArray[np.float32]
    masks: PackedMasks = field(default_factory=PackedMasks)

    @property
    def rank(self) -> float:
        """What sequences are ordered by: the best category's score."""
        return float(self.scores[1:].max())


def choose_key_frames(frames: int, count: int) -> list[int]:
    """Spread key frames over a video, the first and the last frame among them.

    Args:
        frames: of the video, at least 1.
        count: of key frames; one is frame 0. A short video has fewer, every frame at most once.
    """
    if count == 1:
        return [0]
    step = (frames - 1) / (count - 1)
    return sorted({int(step * number) for number in range(count)})
