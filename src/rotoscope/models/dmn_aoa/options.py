"""How DMN-AOA is run on a video; frozen, from defaults, a weights file's card, the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rotoscope.errors import OptionError
from rotoscope.models.dmn_aoa import alignment, matching, template
from rotoscope.models.dmn_aoa.network import DATASETS, MatchRule
from rotoscope.models.memory.options import MemoryOptions
from rotoscope.models.option_checks import check_choices, check_shares, check_whole

Motion = Literal["previous", "memory"]


@dataclass(frozen=True)
class AlignmentOptions(MemoryOptions):
    """Inference options; those of memory are `MemoryOptions`.

    Attributes:
        proposals: "none", "built-in" (the detector runs on every frame), or a folder of caches by video name.
        proposal_score: proposals of a smaller score are left out.
        proposal_limit: at most so many of a frame are matched, those of the largest scores.
        cells: of a box, a side.
        template: what an object looks like: "dynamic", "mean", "first" or "previous".
        align: "mutual", "forward" (the paper's), "backward", "cell" or "pooled" (both without alignment).
        mask_cells: cells of boxes count by how much of them is the object.
        solver: "ours", "dmm" (DMM-Net's code), or "exact".
        floor: likeness below which an object rather gets no proposal.
        dataset: whose learnt weight of overlaps is taken: "default", "davis" or "ytvos".
        overlap_weight: that weight itself, from 0 to 1; -1: the learnt one.
        motion: overlaps are with the "previous" mask, or with where the "memory" says that the object is.
        refine: let the decoder make the final masks; else the coarse ones are.
        forget: the frame that leaves a full memory: the "oldest" but the first, or the one that was "unused" most.
    """

    proposals: str = "none"
    proposal_score: float = 0.05
    proposal_limit: int = 50
    cells: int = 7
    template: template.Mode = "dynamic"
    align: alignment.Mode = "mutual"
    mask_cells: bool = True
    solver: matching.Solver = "ours"
    floor: float = 0.2
    dataset: str = "default"
    overlap_weight: float = -1.0
    motion: Motion = "previous"
    refine: bool = True
    forget: Literal["oldest", "unused"] = "oldest"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choices(self, {"dataset": DATASETS})
        if not self.proposals:
            raise OptionError('proposals is empty; give "none", "built-in" or a folder of caches')
        check_whole(self, {"proposal_limit": 1, "cells": 1}, {"proposal_limit": 10_000, "cells": 28})
        check_shares(self, ("proposal_score",))
        if not (0 <= self.overlap_weight <= 1 or self.overlap_weight == -1):
            raise OptionError(f"overlap_weight {self.overlap_weight}: expected 0 to 1, or -1 for the learnt one")

    @property
    def rule(self) -> MatchRule:
        """How objects are matched."""
        return MatchRule(
            cells=self.cells,
            template=self.template,
            align=self.align,
            mask_cells=self.mask_cells,
            solver=self.solver,
            floor=self.floor,
            dataset=self.dataset,
            overlap_weight=self.overlap_weight,
            motion=self.motion,
            refine=self.refine,
            best=self.best,
        )
