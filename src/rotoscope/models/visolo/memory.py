"""What is kept of earlier frames: their reference embeddings and values, and which frames they are.

The published rule: the two newest frames, and for ever every fifth. Here the latter are bounded too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A frame in memory.

    Attributes:
        frame: its number, from 0.
        reference: (S, E) embeddings that later frames are compared with.
        values: (S, D).
    """

    frame: int
    reference: Tensor
    values: Tensor


class GridMemory:
    """Some frames, oldest first.

    Args:
        every: every so many-th frame stays; 0: none.
        recent: so many newest frames besides.
        limit: most frames that stay, at least 2; beyond, the oldest one but the first is let go.
    """

    def __init__(self, every: int = 5, recent: int = 2, limit: int = 64) -> None:
        self.every, self.recent, self.limit = every, recent, limit
        self.entries: list[Entry] = []

    @property
    def frames(self) -> list[int]:
        """Numbers of the frames in memory, oldest first."""
        return [entry.frame for entry in self.entries]

    def stays(self, frame: int) -> bool:
        """Whether a frame is kept when it is no longer among the newest."""
        return self.every > 0 and frame % self.every == 0

    def put(self, entry: Entry) -> None:
        """Add the next frame, and let go of what has no place any more."""
        oldest = entry.frame - self.recent  # the newest frames are those after it
        kept = [one for one in self.entries if one.frame > oldest or self.stays(one.frame)]
        staying = [one for one in kept if self.stays(one.frame) and one.frame <= oldest]
        if len(staying) > self.limit:
            kept.remove(staying[1])
        self.entries = [*kept, entry]

    def kept_before(self, frame: int) -> int | None:
        """Place of the newest frame that stays and is earlier than `frame`; None where there is none."""
        places = [place for place, one in enumerate(self.entries) if one.frame < frame and self.stays(one.frame)]
        return places[-1] if places else None

    def read(self) -> tuple[Tensor, Tensor]:
        """References (T * S, E) and values (T * S, D), frame after frame."""
        return (
            torch.cat([entry.reference for entry in self.entries]),
            torch.cat([entry.values for entry in self.entries]),
        )

    def clear(self) -> None:
        """Let go of everything."""
        self.entries = []
