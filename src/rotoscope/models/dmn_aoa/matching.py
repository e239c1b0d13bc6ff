"""From likeness to coarse masks: overlaps, the assignment, and the masks that it chooses.

Papers: Zeng et al., "DMM-Net" (ICCV 2019) for similarity and layer; Liang et al., DMN-AOA (ICCV 2021) keeps its layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rotoscope.ops.matching import (
    Steps,
    assign,
    exact_assignment,
    greedy_assignment,
    padded_similarity,
    published_solution,
)

Solver = Literal["ours", "dmm", "exact"]
SOLVERS: tuple[Solver, ...] = ("ours", "dmm", "exact")

_KEPT = 0.01  # smaller entries of DMM-Net's matrix are dropped in training


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Which proposal each object gets.

    Attributes:
        assignment: (O, P + O); column P + o is "none of them" of object o. For "dmm" (O, P), or more where there are
            not more proposals than objects.
        chosen: (O,) int64, the largest column of each row.
        coarse: (O, H, W) in [0, 1], the mask that follows from it.
    """

    assignment: Tensor
    chosen: Tensor
    coarse: Tensor


def mask_overlaps(masks: Tensor, others: Tensor) -> Tensor:
    """IoU of all pairs, masks cut at 0.5; no gradient.

    Args:
        masks: (O, H, W) in [0, 1], or bool.
        others: (P, H, W) likewise.

    Returns:
        (O, P) float32.
    """
    one, other = ((maps > 0.5 if maps.is_floating_point() else maps > 0).flatten(1).float() for maps in (masks, others))
    both = one @ other.T
    return both / (one.sum(dim=1, keepdim=True) + other.sum(dim=1) - both + 1e-6)


def match(
    similarity: Tensor, proposals: Tensor, prior: Tensor, *, soft: bool, floor: float = 0.2, solver: Solver = "ours"
) -> Match:
    """Match the objects of a frame with its proposals.

    Args:
        similarity: (O, P), P may be 0.
        proposals: (P, H, W) soft masks in [0, 1].
        prior: (O, H, W) in [0, 1], the coarse mask of an object that gets none of them.
        soft: as in training: a mixture by the assignment's entries; else the mask of the largest, times that entry.
        floor: similarity below which an object rather gets none.
        solver: "ours"; "dmm": DMM-Net's code, which has no "none"; "exact": the Hungarian algorithm alone.
    """
    if solver == "dmm":
        return _published(similarity, proposals, soft)
    if solver == "exact":
        assignment = assign(similarity, floor, Steps(gradient=0))
    else:
        assignment = assign(similarity, floor)
    entries = assignment.clamp(0, 1)
    count = len(proposals)
    chosen = entries.argmax(dim=1)
    if soft:
        coarse = torch.einsum("op,phw->ohw", entries[:, :count], proposals)
        coarse = coarse + entries[:, count:].sum(dim=1)[:, None, None] * prior
        return Match(assignment, chosen, coarse.clamp(0, 1))
    if count == 0:
        return Match(assignment, chosen, prior)
    taken = proposals[chosen.clamp(max=count - 1)] * entries.gather(1, chosen[:, None])[:, :, None]
    return Match(assignment, chosen, torch.where((chosen < count)[:, None, None], taken, prior))


def _published(similarity: Tensor, proposals: Tensor, soft: bool) -> Match:
    assignment = published_assignment(similarity, soft)
    coarse = torch.einsum("op,phw->ohw", assignment[:, : len(proposals)], proposals)
    return Match(assignment, assignment.argmax(dim=1), coarse.clamp(0, 1) if soft else coarse)


def published_assignment(similarity: Tensor, training: bool, steps: Steps | None = None) -> Tensor:
    """The matrix of DMM-Net's layer: padded, solved, small entries or all but the largest of a row set to 0.

    Args:
        similarity: (O, P).
        training: whether entries up to 0.01 are dropped, or all below the row's maximum.
        steps: of the solver.
    """
    mean = published_solution(-padded_similarity(similarity), steps).mean
    kept = mean > _KEPT if training else mean >= mean.amax(dim=1, keepdim=True)
    return mean * kept


def match_target(overlaps: Tensor, least: float = 0.3) -> Tensor:
    """Which proposal each object should get: the exact assignment of true overlaps, where they are large enough.

    Args:
        overlaps: (O, P) IoU of true masks and proposals.
        least: an object without a proposal of that IoU should get none.

    Returns:
        (O, P) zeros and ones.
    """
    return exact_assignment(-overlaps) * (overlaps >= least)


def published_target(overlaps: Tensor) -> Tensor:
    """DMM-Net's target: the greedy assignment, one in each row even where nothing overlaps. (O, P) -> (O, P)."""
    return greedy_assignment(-overlaps)
