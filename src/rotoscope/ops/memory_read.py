"""Reading a memory by content: every query position takes a weighted mean of all memory positions.

Oh et al., "Video Object Segmentation using Space-Time Memory Networks" (ICCV 2019), section 3.3. The affinity of all
positions with all others is never whole in memory: queries are taken in blocks, each with its full softmax, so the
result is the same to rounding. `functional.scaled_dot_product_attention` would build the whole affinity on a CPU, as
keys and values differ in width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 1 << 23  # entries of the affinity at once; 32 MiB in float32


def memory_read(query: Tensor, keys: Tensor, values: Tensor, best: int = 0, block: int = BLOCK) -> Tensor:
    """Read a memory at every query position.

    Args:
        query: (N, C) keys of the query positions.
        keys: (M, C) keys of the memory positions, all frames one after the other.
        values: (M, D).
        best: only so many memory positions count for each query position, those of the largest affinity; 0: all.
        block: entries of the affinity held at once.

    Returns:
        (N, D), the type of `values`.
    """
    rows = max(1, block // max(1, len(keys)))
    parts = [memory_weights(part, keys, best).to(values.dtype) @ values for part in torch.split(query, rows)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@dataclass(frozen=True, slots=True, eq=False)
class Recall:
    """What a memory tells of a frame, and which of its positions mattered to an object.

    Attributes:
        read: (N, D), see `memory_read`.
        prior: (N,) in [0, 1], where the memory's masks say that the object is.
        relevance: (M,) float32, how much each memory position is read from where the object is; 1 on average.
    """

    read: Tensor
    prior: Tensor
    relevance: Tensor


def memory_recall(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    masks: Tensor,
    best: int = 0,
    block: int = BLOCK,
    where: Tensor | None = None,
) -> Recall:
    """Read a memory at every query position, and its masks with it.

    Liang et al., "Video Object Segmentation with Dynamic Memory Networks and Adaptive Object Alignment" (ICCV 2021),
    supplement: relevance is the affinity of all memory positions with the object's positions in the frame. The read is
    bit for bit that of `memory_read`.

    Args:
        query: (N, C) keys of the query positions.
        keys: (M, C) keys of the memory positions, all frames one after the other.
        values: (M, D).
        masks: (M,) in [0, 1], the object's masks at the memory positions.
        best: see `memory_read`.
        block: see `memory_read`.
        where: (N,) where the object is in the frame; None: where the prior says.
    """
    rows = max(1, block // max(1, len(keys)))
    places = [None] * math.ceil(len(query) / rows) if where is None else torch.split(where, rows)

    def of_block(part: Tensor, place: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        weights = memory_weights(part, keys, best)  # (n, M); a block is let go before the next is made
        prior = weights @ masks.float()
        return weights.to(values.dtype) @ values, prior, (prior if place is None else place.float()) @ weights

    read, priors = [], []
    drawn = torch.zeros(len(keys), dtype=torch.float32, device=keys.device)
    for part, place in zip(torch.split(query, rows), places, strict=True):
        told, prior, mattered = of_block(part, place)
        read.append(told)
        priors.append(prior)
        drawn = drawn + mattered
    everywhere = torch.cat(priors)
    total = (everywhere if where is None else where.float()).sum()
    return Recall(torch.cat(read), everywhere, len(keys) * drawn / (total + 1e-6))


def memory_weights(query: Tensor, keys: Tensor, best: int = 0) -> Tensor:
    """How much each memory position counts for each query position.

    Args:
        query: (N, C).
        keys: (M, C).
        best: see `memory_read`.

    Returns:
        (N, M) float32, each row sums to 1.
    """
    affinity = ((query / math.sqrt(query.shape[1])) @ keys.T).float()  # (N, M)
    if not 0 < best < len(keys):
        return affinity.softmax(dim=1)
    largest, places = affinity.topk(best, dim=1)
    return torch.zeros_like(affinity).scatter(1, places, largest.softmax(dim=1))
