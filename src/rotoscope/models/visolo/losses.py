"""VISOLO's losses: focal for categories and for similarities, dice for masks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.models.visolo.network import ENLARGED

ALPHA = 0.25
MASK_WEIGHT = 3.0
_TINY = 1e-7
_AT_ONCE = 32  # masks that are enlarged together


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """Sigmoid focal loss (Lin et al., ICCV 2017) with gamma 2, for each entry; targets are 0 or 1."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = logits.sigmoid()
    missed = probability + target - 2 * probability * target  # 1 - p of what is true
    balance = ALPHA * target + (1 - ALPHA) * (1 - target)
    return balance * entropy * missed**2


def category_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Focal loss over categories and cells, for each frame by its positive entries, the mean over frames.

    Args:
        logits: (B, T, C, S1, S2) or (B, T, C, S).
        target: the same shape, 0 or 1.
    """
    sums = focal(logits, target).flatten(2).sum(dim=2)  # (B, T)
    positives = target.flatten(2).sum(dim=2).clamp(min=1)
    return (sums / positives).mean()


def similarity_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Focal loss of cells of the earlier frame that have a partner, by their number, the mean over pairs with one.

    Args:
        logits: (B, P, S, S).
        target: the same, 0 or 1.

    Returns:
        A scalar; 0 where nothing has a partner.
    """
    counted = target.any(dim=3)  # (B, P, S)
    rows = counted.sum(dim=2)  # (B, P)
    sums = (focal(logits, target).sum(dim=3) * counted).sum(dim=2)
    return (sums / rows.clamp(min=1)).sum() / (rows > 0).sum().clamp(min=1)


def mask_loss(features: Tensor, kernels: Tensor, instance: Tensor, masks: Sequence[Tensor]) -> Tensor:
    """Dice loss of the masks of positive cells, three times.

    The mean over the cells of a frame of a clip, over the clips that have any at that place in time, over such places.

    Args:
        features: (B, T, K, h, w) at a quarter of the frames' size.
        kernels: (B, T, K, S1, S2).
        instance: (B, T, S) int64, -1 where a cell has none; see `targets.Targets`.
        masks: B of (T, N, H, W) bool, H and W at most four times h and w.

    Returns:
        A scalar with gradient, 0 where nothing is positive.
    """
    batch, length = instance.shape[:2]
    sums: list[Tensor] = [features.new_zeros(()) for _ in range(length)]
    clips = [0] * length
    for clip in range(batch):
        for frame in range(length):
            cells = torch.nonzero(instance[clip, frame] >= 0)[:, 0]
            if len(cells):
                logits = torch.einsum(
                    "khw,kn->nhw", features[clip, frame], kernels[clip, frame].flatten(1)[:, cells]
                ).float()
                truth = masks[clip][frame]
                sums[frame] = sums[frame] + _dice(logits, truth, instance[clip, frame, cells]).mean()
                clips[frame] += 1
    if not any(clips):
        return 0 * (features.sum() + kernels.sum())
    means = [total / count for total, count in zip(sums, clips, strict=True) if count]
    return MASK_WEIGHT * torch.stack(means).sum() / len(means)


def _dice(logits: Tensor, masks: Tensor, instance: Tensor) -> Tensor:
    """1 - dice of each cell's mask: (N, h, w) logits, (M, H, W) masks of which (N,) are meant -> (N,)."""
    parts = []
    height, width = masks.shape[-2:]
    for some, chosen in zip(torch.split(logits, _AT_ONCE), torch.split(instance, _AT_ONCE), strict=True):
        large = functional.interpolate(some[None], scale_factor=float(ENLARGED), mode="bilinear", align_corners=False)[
            0, :, :height, :width
        ]
        soft, truth = large.sigmoid().flatten(1), masks[chosen].flatten(1).to(large.dtype)
        both = (soft * truth).sum(dim=1)
        parts.append(1 - 2 * both / ((soft**2).sum(dim=1) + truth.sum(dim=1) + _TINY))
    return torch.cat(parts)
