"""Features of boxes, each from the map that suits its size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rotoscope.backbones.detector.conventions import Conventions


def pooled(
    maps: Sequence[Tensor],
    boxes: Tensor,
    size: int,
    conventions: Conventions,
    padded: tuple[int, int],
    of: Tensor | None = None,
) -> Tensor:
    """Pool boxes from a pyramid.

    Args:
        maps: (B, C, h, w), P2 to P5; more are not looked at.
        boxes: (N, 4) in pixels.
        size: bins a side.
        conventions: see `Conventions`.
        padded: (height, width) of the padded picture; a map's scale is its share of it, as a power of two.
        of: (N,) which picture of the batch each box lies on.

    Returns:
        (N, C, size, size).
    """
    used = maps[:4]
    align = conventions.align(size)
    if len(used) == 1:
        return align(used[0], boxes, _scale(used[0], padded), of)
    levels = conventions.levels(boxes)
    found = used[0].new_zeros(len(boxes), used[0].shape[1], size, size)
    for level, x in enumerate(used):
        places = (levels == level).nonzero()[:, 0]
        if len(places):
            own = None if of is None else of[places]
            found = found.index_copy(0, places, align(x, boxes[places], _scale(x, padded), own))
    return found


def _scale(x: Tensor, padded: tuple[int, int]) -> float:
    return float(2.0 ** torch.tensor(x.shape[-2] / padded[0]).log2().round().item())
