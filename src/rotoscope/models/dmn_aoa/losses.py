"""The losses of coarse masks and of matching; that of the final masks is `models.memory.losses.objects_loss`.

Papers: DMM-Net (ICCV 2019) for both; the target of matching is repaired, see `matching.match_target`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rotoscope.models.dmn_aoa.matching import mask_overlaps, match_target, published_target


def coarse_loss(coarse: Tensor, truth: Tensor) -> Tensor:
    """One minus the soft IoU, the mean over objects.

    Args:
        coarse: (O, H, W) in [0, 1].
        truth: (O, H, W) zeros and ones.
    """
    both = (coarse * truth).sum(dim=(1, 2))
    either = (coarse + truth - coarse * truth).sum(dim=(1, 2))
    return (1 - both / (either + 1e-6)).mean()


def match_loss(scores: Tensor, proposals: Tensor, truth: Tensor, greedy: bool = False) -> Tensor:
    """The mean squared error between features' likeness and the right assignment; 0 without proposals.

    Args:
        scores: (O, P) likeness by features alone.
        proposals: (P, H, W) soft masks.
        truth: (O, H, W) zeros and ones.
        greedy: take DMM-Net's target, which gives every object a proposal.
    """
    if scores.numel() == 0:
        return scores.sum()
    overlaps = mask_overlaps(truth, proposals)
    target = published_target(overlaps) if greedy else match_target(overlaps)
    return torch.nn.functional.mse_loss(scores, target.to(scores.dtype))
