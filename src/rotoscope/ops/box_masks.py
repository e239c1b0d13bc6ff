"""Boxes and the masks in them: small masks enlarged into a frame, tight boxes of masks, doubles dropped."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.ops.nms import suppressed

_PART = 16  # masks that are drawn at once


def pasted(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge small masks into their boxes, as Mask R-CNN's published code does.

    Args:
        masks: (P, M, M) uint8, 255 times the probability.
        boxes: (P, 4) left, top, right, bottom.
        size: (height, width) of the result.

    Returns:
        (P, height, width) float32 in [0, 1].
    """
    side = masks.shape[-1] + 2
    soft = functional.pad(masks.float() / 255, (1, 1, 1, 1))  # (P, M + 2, M + 2)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * (side / (side - 2))
    start, end = (centre - half).trunc(), (centre + half).trunc()
    across, down = (_rows(start[:, axis], end[:, axis], side, size[1 - axis]) for axis in (0, 1))
    return torch.einsum("phm,pmn,pwn->phw", down, soft, across)


def _rows(start: Tensor, end: Tensor, side: int, length: int) -> Tensor:
    """(P, length, side): how much each place of the mask counts for each pixel along one axis."""
    span = (end - start + 1).clamp(min=1)
    inner = torch.arange(length, device=start.device, dtype=torch.float32) - start[:, None]  # (P, length)
    places = ((inner + 0.5) * (side / span)[:, None] - 0.5).clamp(0, side - 1)
    weights = (1 - (places[..., None] - torch.arange(side, device=start.device)).abs()).clamp(min=0)
    return weights * ((inner >= 0) & (inner < span[:, None]))[..., None]


def tight_boxes(masks: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest boxes around masks.

    Args:
        masks: (N, H, W) bool.

    Returns:
        (N, 4) float32 left, top, right, bottom, ends exclusive, of an empty mask the whole picture; and (N,) bool,
        whether there is anything.
    """
    count, height, width = masks.shape
    rows, columns = masks.any(dim=2), masks.any(dim=1)  # (N, H), (N, W)
    there = rows.any(dim=1)

    def ends(line: Tensor, length: int) -> tuple[Tensor, Tensor]:
        number = line.to(torch.uint8)
        return number.argmax(dim=1), length - number.flip(1).argmax(dim=1)

    top, bottom = ends(rows, height)
    left, right = ends(columns, width)
    boxes = torch.stack([left, top, right, bottom], dim=1).float()
    whole = boxes.new_tensor([0, 0, width, height]).expand(count, -1)
    return torch.where(there[:, None], boxes, whole), there


def best_masks(
    masks: Tensor, boxes: Tensor, scores: Tensor, size: tuple[int, int], limit: int, solid: float, double: float
) -> tuple[Tensor, Tensor]:
    """Choose detections by their masks: none is empty, none is a double of a better one, whatever its category.

    Args:
        masks: (P, M, M) uint8, 255 times the probability.
        boxes: (P, 4) left, top, right, bottom in the frame.
        scores: (P,).
        size: (height, width) of the frame.
        limit: at most so many.
        solid: of a mask, what its box is drawn around.
        double: IoU of these boxes above which the one of the lower score is dropped.

    Returns:
        (K,) int64, their places, best first; and (K, 4) their tight boxes.
    """
    parts = [
        tight_boxes(pasted(one, box, size) > solid)
        for one, box in zip(torch.split(masks, _PART), torch.split(boxes, _PART), strict=True)
    ]
    tight, there = (torch.cat(values) for values in zip(*parts, strict=True))
    places = there.nonzero()[:, 0]
    kept = places[suppressed(tight[places], scores[places], double)][:limit]
    return kept, tight[kept]
