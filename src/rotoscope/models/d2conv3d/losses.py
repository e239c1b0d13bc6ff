"""What D2Conv3D's loss (`ops.lovasz`, section 4 of the paper) is taken of, and its measure."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def resized(logits: Tensor, target: Tensor) -> Tensor:
    """(B, 1, T, h, w) -> (B, T, H, W) of the target (B, 1, T, H, W): trilinear, pixel centres."""
    size = target.shape[-3:]
    if logits.shape[-3:] != size:
        logits = functional.interpolate(logits, size=size, mode="trilinear", align_corners=False)
    return logits[:, 0]


@torch.no_grad()
def clip_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of hard masks over a whole clip, 1 where both are empty, mean over the batch.

    Args:
        logits: (B, T, H, W); above 0 is foreground.
        target: (B, T, H, W); every value but 0 is foreground.
    """
    found, truth = (logits > 0).flatten(1), (target != 0).flatten(1)
    both, either = (found & truth).sum(1).double(), (found | truth).sum(1).double()
    return torch.where(either > 0, both / either.clamp(min=1), 1.0).mean()
