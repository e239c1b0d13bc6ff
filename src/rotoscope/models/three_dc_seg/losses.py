"""3DC-Seg's loss and its options (spec of the released code; BMVC 2020, section 3.3 says only "cross-entropy")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.errors import OptionError


@dataclass(frozen=True)
class LossOptions:
    """How logits are compared with a mask.

    Attributes:
        form: "released" trains channel 1 alone with a binary cross-entropy, as the authors' code does, although
            inference compares both channels; "two_class" trains both, and is the right choice for a new training.
        bootstrap: share of the largest losses of each frame that count; None counts every pixel. The authors'
            development version used 0.25.
        overlap: weight of one minus the soft IoU of each clip, beside the cross-entropy; a small object counts as
            much as a large one. Not the authors'.
    """

    form: Literal["released", "two_class"] = "released"
    bootstrap: float | None = None
    overlap: float = 0.0

    def __post_init__(self) -> None:
        if self.form not in ("released", "two_class"):
            raise OptionError(f"loss form {self.form!r} is not known; choose released or two_class")
        if self.bootstrap is not None and not 0 < self.bootstrap <= 1:
            raise OptionError(f"bootstrap is a share in (0, 1], not {self.bootstrap}")
        if self.overlap < 0:
            raise OptionError(f"overlap is a weight of 0 or more, not {self.overlap}")


def foreground_loss(
    logits: Tensor, target: Tensor, options: LossOptions | None = None, ignore: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy of a clip, and its soft IoU where the options want it.

    Args:
        logits: (B, 2, T, h, w); resized trilinearly (pixel centres) to the target where sizes differ.
        target: (B, 1, T, H, W), any number type; every value but 0 is foreground.
        options: see `LossOptions`.
        ignore: (B, 1, T, H, W); positions that are not 0 cost nothing but still count in the mean.

    Returns:
        A scalar.
    """
    options = options or LossOptions()
    logits = resized(logits, target)
    truth = (target[:, 0] != 0).to(logits.dtype)  # (B, T, H, W)
    score = logits[:, 1] if options.form == "released" else logits[:, 1] - logits[:, 0]
    loss = functional.binary_cross_entropy_with_logits(score, truth, reduction="none")
    counts = None if ignore is None else (ignore[:, 0] == 0).to(logits.dtype)
    if counts is not None:
        loss = loss * counts
    return _reduced(loss, options.bootstrap) + (
        options.overlap * _missed(score, truth, counts) if options.overlap else 0
    )


def _reduced(loss: Tensor, bootstrap: float | None) -> Tensor:
    """(B, T, H, W) -> the mean, or the mean of each frame's largest losses."""
    if bootstrap is None:
        return loss.mean()
    per_frame = loss.flatten(2)  # (B, T, H * W)
    count = max(1, int(bootstrap * per_frame.shape[2]))
    return per_frame.topk(count, dim=2, sorted=False).values.mean()


def _missed(score: Tensor, truth: Tensor, counts: Tensor | None) -> Tensor:
    """One minus the soft IoU of a clip, mean over the batch; all (B, T, H, W)."""
    probability = score.sigmoid()
    if counts is not None:
        probability, truth = probability * counts, truth * counts
    both = (probability * truth).flatten(1).sum(1)
    either = (probability + truth).flatten(1).sum(1) - both
    return (1 - (both + 1) / (either + 1)).mean()


def resized(logits: Tensor, target: Tensor) -> Tensor:
    """The logits at the target's (T, H, W)."""
    size = target.shape[-3:]
    if logits.shape[-3:] == size:
        return logits
    return functional.interpolate(logits, size=size, mode="trilinear", align_corners=False)


@torch.no_grad()
def clip_iou(logits: Tensor, target: Tensor) -> Tensor:
    """The IoU that training logs: hard masks, over a whole clip, 1 where both are empty, mean over the batch.

    Args:
        logits: (B, 2, T, h, w).
        target: (B, 1, T, H, W).

    Returns:
        A scalar in [0, 1].
    """
    prediction = resized(logits, target).argmax(dim=1).flatten(1) != 0  # (B, T * H * W)
    truth = target[:, 0].flatten(1) != 0
    intersection = (prediction & truth).sum(1).double()
    union = (prediction | truth).sum(1).double()
    return torch.where(union > 0, intersection / union.clamp(min=1), 1.0).mean()
