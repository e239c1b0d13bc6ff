"""Which proposal is which object: a relaxed assignment with gradients.

Zeng et al., "DMM-Net: Differentiable Mask-Matching Network for Video Object Segmentation" (ICCV 2019), section 3.2: the
cheapest X >= 0 whose rows sum to 1 and whose columns sum to at most 1, by projected gradient steps that are unrolled.
Each projection is some rounds of Dykstra's alternating projections. Here stand the published code's form of it, number
for number, and a clean one that starts from the exact assignment and averages feasible matrices only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor


@dataclass(frozen=True)
class Steps:
    """How far the solvers go; the defaults are those of the papers.

    Attributes:
        gradient: steps against the cost.
        rounds: of projections after each of them.
        size: of a step.
    """

    gradient: int = 10
    rounds: int = 5
    size: float = 0.1


@dataclass(frozen=True, eq=False)
class Solution:
    """What the published code's solver goes through.

    Attributes:
        start: (N, M), without gradient.
        iterates: (N, M) each: the start, and every matrix after a gradient step, before its projection.
        projected: (N, M), the last matrix after its projection.
    """

    start: Tensor
    iterates: list[Tensor]
    projected: Tensor

    @property
    def mean(self) -> Tensor:
        """(N, M), the mean of the iterates: the answer."""
        return torch.stack(self.iterates).mean(dim=0)


def greedy_assignment(cost: Tensor) -> Tensor:
    """Give every column to its cheapest row, then every row its cheapest own column.

    A row that no column went to takes column 0, whoever else has it, as in the published code.

    Args:
        cost: (N, M), N and M at least 1.

    Returns:
        (N, M) float, one 1 in each row.
    """
    cost = cost.detach()
    own = cost == cost.amin(dim=0, keepdim=True)
    first = own & (own.cumsum(dim=0) == 1)  # one row a column
    left = torch.where(first, cost, cost.max())
    return torch.zeros_like(cost).scatter(1, left.argmin(dim=1, keepdim=True), 1.0)


def exact_assignment(cost: Tensor) -> Tensor:
    """The cheapest assignment (Hungarian algorithm), every row to a column of its own while there are enough.

    Args:
        cost: (..., N, M).

    Returns:
        (..., N, M) float, zeros and ones, without gradient.
    """
    found = torch.zeros_like(cost, requires_grad=False)
    if cost.is_meta or cost.numel() == 0:
        return found
    values = np.nan_to_num(cost.detach().cpu().double().numpy())
    marked = np.zeros(values.shape, np.float32)
    for place in np.ndindex(values.shape[:-2]):
        marked[place][linear_sum_assignment(values[place])] = 1
    return torch.from_numpy(marked).to(found)


def published_solution(cost: Tensor, steps: Steps | None = None) -> Solution:
    """The solver of the published code, with its peculiarities.

    The start is greedy; what is averaged are the matrices before their projections, so entries may be negative or above
    1; the increments of the projections are carried from step to step; a repetition in the bits ends it.

    Args:
        cost: (N, M), M above N.
        steps: see `Steps`.
    """
    steps = steps or Steps()
    x = start = greedy_assignment(cost)
    iterates = [start]
    increments = [torch.zeros_like(x)] * 3
    before: Tensor | None = None
    for _ in range(steps.gradient):
        x = x - steps.size * cost
        iterates.append(x)
        norm = (x * cost).detach().norm()
        for _ in range(steps.rounds):
            last = x
            x, increments = _round(x, increments)
            if torch.equal(x, last):
                break
        if before is not None and bool(norm == before):
            break
        before = norm
    return Solution(start, iterates, x)


def padded_similarity(similarity: Tensor) -> Tensor:
    """(N, M) -> (N, N + 1) with columns of zeros where there are not more columns than rows, as the published code."""
    count, columns = similarity.shape
    return torch.nn.functional.pad(similarity, (0, max(0, count + 1 - columns)))


def assign(similarity: Tensor, floor: float = 0.2, steps: Steps | None = None) -> Tensor:
    """Match objects to proposals, or to nothing.

    Besides the proposals each object has a column of its own that stands for "none of them". The start is the exact
    assignment, and the mean over the matrices after each projection is returned: rows sum to 1 and entries lie within a
    few hundredths of [0, 1]. Gradients go through all steps; the start is a constant.

    Args:
        similarity: (..., N, P), P may be 0.
        floor: similarity below which an object rather stays without a proposal.
        steps: see `Steps`.

    Returns:
        (..., N, P + N); column P + o is "none" of object o, and of no other use.
    """
    steps = steps or Steps()
    count = similarity.shape[-2]
    alone = torch.full((count, count), -1.0, dtype=similarity.dtype, device=similarity.device)
    alone = alone.fill_diagonal_(floor) if not alone.is_meta else alone
    cost = -torch.cat([similarity, alone.expand(*similarity.shape[:-2], -1, -1)], dim=-1)  # (..., N, P + N)
    x = exact_assignment(cost)
    increments = [torch.zeros_like(x)] * 3
    total = torch.zeros_like(x)
    for _ in range(steps.gradient):
        x = x - steps.size * cost
        for _ in range(steps.rounds):
            x, increments = _round(x, increments)
        total = total + x
    return total / max(1, steps.gradient) if steps.gradient else x


def _round(x: Tensor, increments: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """One round of Dykstra's projections: no negative entries, columns of at most 1, rows of 1."""
    rows, columns = x.shape[-2:]
    left = []
    for place, increment in enumerate(increments):
        moved = x + increment
        if place == 0:
            x = moved.clamp(min=0)
        elif place == 1:
            x = moved - (moved.sum(dim=-2, keepdim=True) - 1).clamp(min=0) / rows
        else:
            x = moved - (moved.sum(dim=-1, keepdim=True) - 1) / columns
        left.append(moved - x)
    return x, left
