"""Which boxes stand for which objects in training, and what the heads are to say of them.

Papers: Ren et al., "Faster R-CNN" (NeurIPS 2015); He et al., "Mask R-CNN" (ICCV 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rotoscope.backbones.detector.mask_head import SIDE
from rotoscope.ops.boxes import overlap


@dataclass(frozen=True)
class AssignOptions:
    """When a box stands for an object.

    Attributes:
        positive: IoU from which it does.
        negative: IoU below which it stands for background; what is between stands for nothing.
        least: an object whose best box reaches this IoU takes every box of exactly that IoU.
    """

    positive: float
    negative: float
    least: float


FIRST_STAGE = AssignOptions(0.7, 0.3, 0.3)
SECOND_STAGE = AssignOptions(0.5, 0.5, 0.5)


@dataclass(frozen=True)
class SampleOptions:
    """How many boxes of a picture are learnt from.

    Attributes:
        count: at most so many.
        positives: of those at most so many stand for objects.
    """

    count: int
    positives: int


def assigned(boxes: Tensor, objects: Tensor, options: AssignOptions, inclusive: bool) -> Tensor:
    """Give each box an object, the background, or nothing.

    Args:
        boxes: (N, 4).
        objects: (G, 4), maybe none.
        options: see `AssignOptions`.
        inclusive: see `ops.boxes.sides`.

    Returns:
        (N,) int64: -1 nothing, 0 background, g the object number g, from 1.
    """
    if not len(objects) or not len(boxes):
        return torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    iou = overlap(objects, boxes, inclusive)  # (G, N)
    best, which = iou.max(dim=0)
    found = torch.full((len(boxes),), -1, dtype=torch.int64, device=boxes.device)
    found[best < options.negative] = 0
    found = torch.where(best >= options.positive, which + 1, found)
    for number, (own, most) in enumerate(zip(iou, iou.amax(dim=1), strict=True), start=1):
        if most >= options.least:
            found[own == most] = number
    return found


def sampled(
    assignment: Tensor, options: SampleOptions, generator: np.random.Generator, always: int = 0
) -> tuple[Tensor, Tensor]:
    """Choose the boxes that are learnt from.

    Args:
        assignment: (N,) see `assigned`.
        options: see `SampleOptions`.
        generator: source of chance.
        always: so many boxes at the front are taken whatever is drawn: the objects themselves.

    Returns:
        (P,) and (M,) int64, places of positives and of negatives, ascending.
    """
    positive = (assignment > 0).nonzero()[:, 0]
    negative = (assignment == 0).nonzero()[:, 0]
    fixed = positive[positive < always]
    free = positive[positive >= always]
    chosen = torch.cat([fixed, _some(free, options.positives - len(fixed), generator)])
    return chosen.sort().values, _some(negative, options.count - len(chosen), generator)


def _some(places: Tensor, count: int, generator: np.random.Generator) -> Tensor:
    """At most `count` of `places`, drawn without repetition, ascending."""
    if len(places) <= count:
        return places
    drawn = np.sort(generator.choice(len(places), max(0, count), replace=False))
    return places[torch.from_numpy(drawn).to(places.device)]


def mask_targets(masks: Tensor, boxes: Tensor, of: Tensor) -> Tensor:
    """What the mask head is to say: the object's mask inside the box, at 28x28.

    The box's corners are cut to whole pixels, both ends inside. Bilinear by pixel centres, edges repeated, then 0 or 1
    in the 8-bit arithmetic of the picture library that the legacy family was trained with: weights of 1/2048, and
    border line pixels become 0.

    Args:
        masks: (G, H, W) uint8 or bool, 0 or 1.
        boxes: (P, 4).
        of: (P,) int64, the mask of each box.

    Returns:
        (P, 28, 28) float32, 0 or 1.
    """
    found = torch.zeros(len(boxes), SIDE, SIDE, device=boxes.device)
    whole = masks.to(torch.int32)
    for target, corners, which in zip(found, boxes.to(torch.int64).tolist(), of.tolist(), strict=True):
        x1, y1, x2, y2 = corners
        crop = whole[which, max(y1, 0) : max(y2, y1) + 1, max(x1, 0) : max(x2, x1) + 1]
        if crop.numel():
            target.copy_(_shrunk(crop))
    return found


def _shrunk(crop: Tensor) -> Tensor:
    """(h, w) int32 of 0 and 1 -> (28, 28) of 0 and 1."""
    (top, y), (left, x) = (_weights(count, crop.device) for count in crop.shape)
    below, right = (top + 1).clamp(max=crop.shape[0] - 1), (left + 1).clamp(max=crop.shape[1] - 1)
    upper = crop[top][:, left] * (2048 - x) + crop[top][:, right] * x  # (28, 28)
    lower = crop[below][:, left] * (2048 - x) + crop[below][:, right] * x
    total = (((2048 - y)[:, None] * (upper >> 4)) >> 16) + ((y[:, None] * (lower >> 4)) >> 16)
    return (total + 2) >> 2


def _weights(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """First neighbours (28,) int64 and weights (28,) int32, in 1/2048, of the second ones, along a side."""
    at = ((torch.arange(SIDE, device=device, dtype=torch.float32) + 0.5) * (count / SIDE) - 0.5).clamp(0, count - 1)
    low = at.floor()
    return low.long(), ((at - low) * 2048).round().to(torch.int32)
