"""How a memory of earlier frames is run on a video; frozen, from defaults, a weights file's card, the command line."""

from __future__ import annotations

from dataclasses import dataclass

from rotoscope.models.memory.entries import Remember
from rotoscope.models.option_checks import check_kinds, check_whole
from rotoscope.ops.resize import SizeRule


@dataclass(frozen=True)
class MemoryOptions:
    """Inference options; the defaults give the published DAVIS results.

    Attributes:
        size: what frames are resized to before the network: "480" short edge, "480x854" height x width, "unchanged".
        remember: which frames of an object: "every" so many-th, the first and the previous; "both": the first and the
            previous; "first" or "previous": that one alone. These are the rows of the paper's Table 5. Frames whose
            masks were given later count as first ones.
        memory_every: of an object's frames, every so many-th stays in memory.
        memory_limit: frames that an object's memory holds at most. When it is full the oldest one but the first is let
            go. The default is never reached by the sequences of DAVIS.
        best: only so many memory positions count for each position, those of the largest affinity; 0: all.
        together: objects that go through the network at once.
        soft: also give each frame's foreground probability.
    """

    size: str = "480"
    remember: Remember = "every"
    memory_every: int = 5
    memory_limit: int = 24
    best: int = 0
    together: int = 8
    soft: bool = False

    def __post_init__(self) -> None:
        check_kinds(self)
        check_whole(self, {"memory_every": 1, "memory_limit": 2, "best": 0, "together": 1})
        SizeRule.parse(self.size)

    @property
    def most(self) -> int:
        """Frames that an object's memory can come to hold."""
        return 1 if self.remember == "previous" else self.memory_limit
