"""Reading a memory by content: every query position takes a weighted mean of all memory positions.

Oh et al., "Video Object Segmentation using Space-Time Memory Networks" (ICCV 2019), section 3.3. The affinity of all
positions with all others is never whole in memory: queries are taken in blocks, each with its full softmax, so the
result is the same to rounding. `functional.scaled_dot_product_attention` would build the whole affinity on a CPU, as
keys and values differ in width.
"""

from __future__ import annotations

import math

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
