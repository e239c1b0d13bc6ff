"""How a system of clips is run on a video; frozen, from defaults, a weights file's card, the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rotoscope.errors import OptionError
from rotoscope.models.option_checks import check_kinds, check_whole
from rotoscope.ops.resize import SizeRule

_LEAST = {"clip": 1, "overlap": 0, "multiple": 1, "parallel": 1}
_MOST = {"clip": 1024, "multiple": 1024, "parallel": 256}  # far above what memory and cores allow


@dataclass(frozen=True)
class ClipOptions:
    """Inference options; the defaults are those of 3DC-Seg's published DAVIS results.

    Attributes:
        clip: frames a clip, T_c.
        overlap: frames that neighbouring clips share, T_o.
        dense: a clip for every frame, T_o = T_c - 1.
        size: what frames are resized to before the network: "480" short edge, "480x854" height x width, "unchanged".
        multiple: frames are padded with zeros to multiples of this.
        last_clip: end of the video, "published" or "shifted"; see `ClipWindows`.
        edges: "nearest" enlarges the hard mask, as published; "smooth" enlarges the probability, then cuts at 0.5.
        parallel: clips that a CPU works on at the same time, each on one core: faster, but results come up to that many
            clips later. 1 works on one clip with all cores.
        soft: also give each frame's foreground probability.
    """

    clip: int = 8
    overlap: int = 3
    dense: bool = False
    size: str = "480"
    multiple: int = 32
    last_clip: Literal["published", "shifted"] = "published"
    edges: Literal["nearest", "smooth"] = "nearest"
    parallel: int = 1
    soft: bool = False

    def __post_init__(self) -> None:
        check_kinds(self)
        if self.multiple < 1:
            raise OptionError(f"frames are padded to multiples of 1 or more, not {self.multiple}")
        if self.clip < 1:
            raise OptionError(f"a clip has at least 1 frame, not {self.clip}")
        if not 0 <= self.shared < self.clip:
            limit = f"0..{self.clip - 1} for clips of {self.clip} frames"
            raise OptionError(f"overlap {self.overlap} must lie in {limit}; give both so that they fit")
        if self.parallel < 1:
            raise OptionError(f"parallel {self.parallel}: expected 1 or more clips at a time")
        check_whole(self, _LEAST, _MOST)
        SizeRule.parse(self.size)

    @property
    def shared(self) -> int:
        """The overlap that is used."""
        return self.clip - 1 if self.dense else self.overlap
