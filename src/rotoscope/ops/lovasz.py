"""The Lovasz hinge (Berman et al., "The Lovasz-Softmax Loss", CVPR 2018), over all voxels of a clip.

Intended difference to the common code: the Jaccard index is followed in float64, since in float32 its differences
from voxel to voxel vanish on long clips.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def lovasz_hinge(logits: Tensor, target: Tensor) -> Tensor:
    """The convex stand-in for one minus the IoU of each clip, mean over the batch.

    Args:
        logits: (B, ...), float32 or float64, any range.
        target: (B, ...), the same shape, any number type; every value but 0 is foreground. A clip without foreground
            counts too.

    Returns:
        A scalar, 0 or more.
    """
    scores = logits.flatten(1)  # (B, V)
    truth = (target != 0).flatten(1).to(scores.dtype)
    errors, order = (1 - scores * (2 * truth - 1)).sort(dim=1, descending=True)
    with torch.no_grad():
        weights = _jaccard_steps(truth.gather(1, order)).to(scores.dtype)
    return (functional.relu(errors) * weights).sum(1).mean()


def _jaccard_steps(truth: Tensor) -> Tensor:
    """(B, V) of 0 and 1 in the order of the errors -> by how much each voxel raises the Jaccard loss, float64."""
    truth = truth.double()
    foreground = truth.sum(1, keepdim=True)
    loss = 1 - (foreground - truth.cumsum(1)) / (foreground + (1 - truth).cumsum(1))
    return torch.cat([loss[:, :1], loss[:, 1:] - loss[:, :-1]], dim=1)
