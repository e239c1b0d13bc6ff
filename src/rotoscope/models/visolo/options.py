"""How VISOLO is run on a video; frozen, from defaults, a weights file's card, the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rotoscope.errors import OptionError
from rotoscope.models.option_checks import check_kinds, check_positive, check_shares, check_whole
from rotoscope.ops.resize import SizeRule

Decay = Literal["gaussian", "linear"]
Aggregate = Literal["both", "category", "mask", "none"]
Reweight = Literal["previous and kept", "previous", "none"]
Names = Literal["auto", "coco", "ytvis2019", "ytvis2021", "ovis", "movers"]


@dataclass(frozen=True)
class OnlineOptions:
    """Inference options; the defaults are the published settings, without the released code's slips.

    Attributes:
        size: what frames are resized to before the network: "352x624" height x width, "480" short edge, "unchanged".
        grid: rows x columns of cells, as the network was trained.
        categories: whose names categories have; "auto" goes by their number: 80 COCO's, 25 OVIS's, 40 those of
            YouTube-VIS 2019, 3 persons, vehicles and animals.
        memory_every: every so many-th frame stays in memory; 0: none does.
        memory_recent: so many newest frames are in memory besides.
        memory_limit: frames that stay at most. When it is full the oldest one but the first is let go. The default
            lasts for 320 frames; the published code has no limit.
        lost_limit: instances out of sight that can still be found again, the latest ones; 0: none. The published code
            has no limit.
        aggregate: what the past is added to.
        reweight: which frames of the past say how much a cell's score counts.
        least_score: of a cell, to become a candidate.
        keep_score: of a candidate after suppression, to be given.
        nms_pre: best candidates that Matrix NMS looks at.
        nms_sigma: of its gaussian: an IoU of x counts as exp(-nms_sigma * x**2).
        decay: how Matrix NMS lowers scores.
        overlap: share of a mask that a better one may cover before it is dropped (IoU*); 1 drops none.
        most: instances of a frame.
        least_similarity: of two cells, to be the same instance.
        published: do as the released code does where it slips: a frame with two empty candidates, or with none but
            that of the first cell, has no instance.
    """

    size: str = "352x624"
    grid: str = "12x21"
    categories: Names = "auto"
    memory_every: int = 5
    memory_recent: int = 2
    memory_limit: int = 64
    lost_limit: int = 500
    aggregate: Aggregate = "both"
    reweight: Reweight = "previous and kept"
    least_score: float = 0.1
    keep_score: float = 0.05
    nms_pre: int = 500
    nms_sigma: float = 2.0
    decay: Decay = "gaussian"
    overlap: float = 0.5
    most: int = 100
    least_similarity: float = 0.1
    published: bool = False

    def __post_init__(self) -> None:
        check_kinds(self)
        check_whole(self, {"memory_every": 0, "memory_recent": 1, "memory_limit": 2, "lost_limit": 0})
        check_whole(self, {"nms_pre": 1, "most": 1})
        check_positive(self, ("nms_sigma",))
        check_shares(self, ("least_score", "keep_score", "overlap", "least_similarity"))
        parse_grid(self.grid)
        SizeRule.parse(self.size)


def parse_grid(text: str) -> tuple[int, int]:
    """Read "12x21", rows x columns.

    Raises:
        OptionError: anything else, or sides outside 1..128.
    """
    match = re.fullmatch(r"([0-9]{1,3})x([0-9]{1,3})", text) if isinstance(text, str) else None
    sides = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= side <= 128 for side in sides):
        raise OptionError(f'grid {text!r} is not understood; give rows x columns of 1 to 128 each, such as "12x21"')
    return sides
