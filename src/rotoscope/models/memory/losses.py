"""The loss of followed objects and its measure: cross-entropy of the aggregated distribution (STM, section 3.6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.errors import OptionError


@dataclass(frozen=True)
class LossOptions:
    """How logits are compared with labels.

    Attributes:
        bootstrap: share of each frame's pixels, those of the largest loss, that count; 1 counts all, as in the paper.
            Later trainings of this network end at 0.15.
        bootstrap_steps: until the first of these steps all pixels count; then the share shrinks evenly, and is
            `bootstrap` from the second on. Later trainings: 20,000 and 70,000.
    """

    bootstrap: float = 1.0
    bootstrap_steps: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if not 0 < self.bootstrap <= 1:
            raise OptionError(f"bootstrap is a share above 0 and up to 1, not {self.bootstrap}")
        if len(self.bootstrap_steps) != 2 or not 0 <= self.bootstrap_steps[0] <= self.bootstrap_steps[1]:
            raise OptionError(f"bootstrap_steps {list(self.bootstrap_steps)}: expected two steps, the first not later")

    def share_at(self, step: int) -> float:
        """The share of pixels that counts at a step, from 0."""
        first, last = self.bootstrap_steps
        done = 1.0 if step >= last else max(0, step - first) / max(1, last - first)
        return 1 - done * (1 - self.bootstrap)


def objects_loss(logits: Tensor, target: Tensor, options: LossOptions | None = None) -> Tensor:
    """Cross-entropy, the mean over pixels and clips, summed over the frames.

    Args:
        logits: (B, T, K, H, W) aggregated, background first.
        target: (B, T, H, W) int64 in 0..K-1.
        options: see `LossOptions`.

    Returns:
        A scalar.
    """
    share = 1.0 if options is None else options.bootstrap
    loss = functional.cross_entropy(logits.transpose(1, 2), target, reduction="none").flatten(2)  # (B, T, H * W)
    if share < 1:
        count = max(1, int(share * loss.shape[2]))
        loss = loss.topk(count, dim=2, sorted=False).values
    return loss.mean(dim=2).sum(dim=1).mean()


@torch.no_grad()
def objects_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of hard masks, the mean over all objects of all frames; 1 where an object is neither there nor found.

    Args:
        logits: (B, T, K, H, W).
        target: (B, T, H, W) int64.

    Returns:
        A scalar in [0, 1].
    """
    found = logits.argmax(dim=2)
    scores = []
    for label in range(1, logits.shape[2]):
        one, other = (found == label).flatten(2), (target == label).flatten(2)  # (B, T, H * W)
        union = (one | other).sum(dim=2).double()
        both = (one & other).sum(dim=2).double()
        scores.append(torch.where(union > 0, both / union.clamp(min=1), 1.0))
    return torch.stack(scores).mean()
