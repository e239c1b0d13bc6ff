"""Boxes and the masks in them: small masks enlarged into a frame, tight boxes of masks, doubles dropped."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


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


def without_doubles(boxes: Tensor, there: Tensor, double: float) -> Tensor:
    """The places of the boxes that stay, best first: none overlaps a better one by more than `double`.

    Args:
        boxes: (P, 4), best first.
        there: (P,) bool; others are left out.
        double: IoU.
    """
    low, high = boxes[:, :2], boxes[:, 2:]
    sides = (torch.minimum(high[:, None], high) - torch.maximum(low[:, None], low)).clamp(min=0)
    both = sides.prod(dim=2)
    area = (high - low).prod(dim=1)
    near = (both / (area[:, None] + area - both).clamp(min=1e-6) > double).cpu().numpy()
    left = there.cpu().numpy().copy()
    kept = []
    for place in range(len(left)):
        if left[place]:
            kept.append(place)
            left[place + 1 :] &= ~near[place, place + 1 :]
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)
