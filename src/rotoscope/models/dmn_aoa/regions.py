"""What lies in boxes: maps resampled to a grid of cells in each box."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.ops.roi_align import RoiAlign

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
    align = RoiAlign(size, _SAMPLES, aligned=True)
    if maps.dim() == 3:
        return align(maps[None].float(), boxes, 1 / stride)
    return align(maps.float(), boxes, 1 / stride, torch.arange(len(boxes), device=boxes.device))


def block_means(maps: Tensor, stride: int) -> Tensor:
    """(..., H, W), sides multiples of `stride` -> (..., H / stride, W / stride)."""
    pooled: Tensor = functional.avg_pool2d(maps.float(), stride)
    return pooled
