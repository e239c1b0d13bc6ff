"""Small masks put where their boxes are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def pasted(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Paste as torchvision does: the mask with an edge of zeros, in a box that is larger by as much.

    Args:
        masks: (D, S, S) float in [0, 1].
        boxes: (D, 4) in pixels of the frame.
        size: (height, width) of the frame.

    Returns:
        (D, height, width) float32.
    """
    if not len(masks):
        return masks.new_zeros(0, *size)
    side = masks.shape[-1]
    edged = functional.pad(masks, (1, 1, 1, 1))
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * ((side + 2) / side)
    middle = (boxes[:, 2:] + boxes[:, :2]) / 2
    corners = torch.cat([middle - half, middle + half], dim=1).nan_to_num(0).to(torch.int64)
    return _placed(edged, corners, size)


def pasted_legacy(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Paste as the legacy family does: the mask stretched over the pixels from the box's first to its last.

    Args, returns: as of `pasted`.
    """
    return _placed(masks, boxes.nan_to_num(0).to(torch.int64), size) if len(masks) else masks.new_zeros(0, *size)


def _placed(masks: Tensor, corners: Tensor, size: tuple[int, int]) -> Tensor:
    """Stretch each mask over its box, whole numbers with inclusive ends, at least a pixel, cut at the frame."""
    frame = masks.new_zeros(len(masks), *size)
    for mask, own, (x1, y1, x2, y2) in zip(masks, frame, corners.tolist(), strict=True):
        width, height = max(x2 - x1 + 1, 1), max(y2 - y1 + 1, 1)
        top, left = max(y1, 0), max(x1, 0)
        bottom, right = min(y1 + height, size[0]), min(x1 + width, size[1])
        if bottom <= top or right <= left:
            continue
        stretched = functional.interpolate(mask[None, None], (height, width), mode="bilinear", align_corners=False)
        own[top:bottom, left:right] = stretched[0, 0, top - y1 : bottom - y1, left - x1 : right - x1]
    return frame
