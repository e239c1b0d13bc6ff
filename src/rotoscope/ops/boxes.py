"""Boxes x1, y1, x2, y2 in pixels: sizes, overlap, and the code that detectors predict them in.

Two conventions are in use. In the current one a box ends where its last pixel ends, and is x2 - x1 wide; in the legacy
one x2 is the last pixel itself, and the box is x2 - x1 + 1 wide ("inclusive").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LARGEST = math.log(1000 / 16)  # of a predicted change of size, as a logarithm


def sides(boxes: Tensor, inclusive: bool = False) -> Tensor:
    """Width and height of boxes.

    Args:
        boxes: (..., 4).
        inclusive: x2 and y2 are the last pixels.

    Returns:
        (..., 2).
    """
    size = boxes[..., 2:] - boxes[..., :2]
    return size + 1 if inclusive else size


def overlap(first: Tensor, second: Tensor, inclusive: bool = False) -> Tensor:
    """IoU of every box of one set with every box of another; 0 where neither has an area.

    Args:
        first: (N, 4).
        second: (M, 4).
        inclusive: see `sides`.

    Returns:
        (N, M) in [0, 1].
    """
    corner = torch.maximum(first[:, None, :2], second[None, :, :2])
    end = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    both = sides(torch.cat([corner, end], dim=2), inclusive).clamp(min=0).prod(dim=2)  # (N, M)
    areas = [sides(boxes, inclusive).prod(dim=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - both
    return torch.where(union > 0, both / union, torch.zeros_like(both))


def clipped(boxes: Tensor, size: tuple[int, int], inclusive: bool = False) -> Tensor:
    """Boxes cut at the edges of a frame.

    Args:
        boxes: (..., 4).
        size: (height, width) of the frame.
        inclusive: see `sides`; the last pixel is then height - 1 or width - 1.
    """
    less = 1 if inclusive else 0
    x = boxes[..., 0::2].clamp(0, size[1] - less)
    y = boxes[..., 1::2].clamp(0, size[0] - less)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


@dataclass(frozen=True)
class BoxCode:
    """How a box is told relative to another: shift of the centre in units of its size, logarithm of the sizes' ratio.

    Attributes:
        stds: what the four numbers are divided by, so that a network predicts numbers near 1.
        inclusive: see `sides`. The legacy code also bounds how much smaller a box may get, not only how much larger.
    """

    stds: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    inclusive: bool = False

    def encode(self, boxes: Tensor, wanted: Tensor) -> Tensor:
        """Tell `wanted` (..., 4) relative to `boxes` (..., 4)."""
        size, goal = sides(boxes, self.inclusive), sides(wanted, self.inclusive)
        shift = (_middle(wanted, self.inclusive) - _middle(boxes, self.inclusive)) / size
        return torch.cat([shift, torch.log(goal / size)], dim=-1) / boxes.new_tensor(self.stds)

    def decode(self, boxes: Tensor, deltas: Tensor) -> Tensor:
        """The boxes that `deltas` (..., 4) tell relative to `boxes` (..., 4)."""
        deltas = deltas * deltas.new_tensor(self.stds)
        size = sides(boxes, self.inclusive)
        middle = _middle(boxes, self.inclusive) + size * deltas[..., :2]
        growth = deltas[..., 2:].clamp(max=LARGEST)
        if self.inclusive:
            growth = growth.clamp(min=-LARGEST)
        half = size * growth.exp() / 2
        if self.inclusive:
            return torch.cat([middle - half + 0.5, middle + half - 0.5], dim=-1)
        return torch.cat([middle - half, middle + half], dim=-1)


def _middle(boxes: Tensor, inclusive: bool) -> Tensor:
    if inclusive:
        return (boxes[..., :2] + boxes[..., 2:]) / 2
    return boxes[..., :2] + (boxes[..., 2:] - boxes[..., :2]) / 2
