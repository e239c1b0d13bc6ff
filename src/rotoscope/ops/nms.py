"""Non-maximum suppression: of boxes that overlap, the one with the highest score stays."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.ops.boxes import overlap

_ROWS = 1024  # of the table of overlaps at once


def suppressed(
    boxes: Tensor, scores: Tensor, threshold: float, groups: Tensor | None = None, inclusive: bool = False
) -> Tensor:
    """Go through the boxes by descending score; each one that stays drops the later ones that overlap it more.

    An overlap that equals the threshold does not drop a box. Of equal scores the earlier box comes first; a score that
    is no number comes last.

    Args:
        boxes: (N, 4).
        scores: (N,).
        threshold: of the IoU.
        groups: (N,) whole numbers, such as classes; boxes of different groups do not see each other.
        inclusive: see `boxes.sides`.

    Returns:
        (K,) int64, the places of those that stay, by descending score.
    """
    ranked = torch.where(scores.isnan(), torch.full_like(scores, -torch.inf), scores)
    order = ranked.argsort(descending=True, stable=True)
    sorted_boxes = boxes[order]
    sorted_groups = None if groups is None else groups[order]
    stays = np.ones(len(order), bool)
    for start in range(0, len(order), _ROWS):
        rows = slice(start, start + _ROWS)
        over = overlap(sorted_boxes[rows], sorted_boxes, inclusive) > threshold  # (rows, N)
        if sorted_groups is not None:
            over &= sorted_groups[rows, None] == sorted_groups[None]
        _drop(stays, over.cpu().numpy(), start)
    return order[torch.from_numpy(stays).to(order.device)]


def _drop(stays: NDArray[np.bool_], over: NDArray[np.bool_], start: int) -> None:
    """Let rows `start`, ... drop what comes after them, in order."""
    for place, row in enumerate(over, start=start):
        if stays[place]:
            stays[place + 1 :] &= ~row[place + 1 :]
