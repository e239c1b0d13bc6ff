"""What lies in boxes: maps resampled to a grid of cells in each box."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_SAMPLES = 2  # a side of a cell


def cells_in_boxes(maps: Tensor, boxes: Tensor, size: int, stride: int = 16) -> Tensor:
    """Resample one map to a grid of cells in each box, bilinear, the mean of 2 x 2 samples a cell (RoIAlign).

    Samples beside the map take its edge.

    Args:
        maps: (C, h, w) one map for all boxes, or (N, C, h, w) one for each.
        boxes: (N, 4) left, top, right, bottom in pixels, ends exclusive.
        size: cells a side, S.
        stride: pixels of a place of the map.

    Returns:
        (N, C, S, S) float32.
    """
    height, width = maps.shape[-2:]
    down = _weights(boxes[:, 1], boxes[:, 3], size, stride, height)  # (N, S, h)
    across = _weights(boxes[:, 0], boxes[:, 2], size, stride, width)  # (N, S, w)
    letters = "chw" if maps.dim() == 3 else "nchw"
    rows = torch.einsum(f"nsh,{letters}->ncsw", down, maps.float())
    return torch.einsum("ncsw,ntw->ncst", rows, across)


def _weights(start: Tensor, end: Tensor, size: int, stride: int, length: int) -> Tensor:
    """(N, S, length): how much each place of a map's side counts for each cell."""
    steps = (torch.arange(size * _SAMPLES, device=start.device) + 0.5) / (size * _SAMPLES)
    places = (start[:, None] + (end - start)[:, None] * steps) / stride - 0.5  # (N, 2 S), pixel centres
    places = places.clamp(0, length - 1)[..., None]
    weights = (1 - (places - torch.arange(length, device=start.device)).abs()).clamp(min=0)  # (N, 2 S, length)
    return weights.view(len(start), size, _SAMPLES, length).mean(dim=2)


def block_means(maps: Tensor, stride: int) -> Tensor:
    """(..., H, W), sides multiples of `stride` -> (..., H / stride, W / stride)."""
    pooled: Tensor = functional.avg_pool2d(maps.float(), stride)
    return pooled
