"""Training D2Conv3D: one batch of clips -> loss, and what of the network is trained (spec section 4).

The loop is in `rotoscope.training`; nothing here is imported to run inference. The encoder's norms are frozen by
their class.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from rotoscope.data.clips import ClipBatch
from rotoscope.data.tracks import VOID
from rotoscope.errors import OptionError
from rotoscope.models.contract import StepResult, Trainable
from rotoscope.models.d2conv3d.losses import clip_iou, resized
from rotoscope.ops.lovasz import lovasz_hinge

_SURELY_BACKGROUND = -100.0  # a score without a loss, for what does not count


@dataclass(frozen=True)
class TrainingOptions:
    """The loss.

    Attributes:
        lovasz: weight of the Lovasz hinge, the authors' only loss.
        cross_entropy: weight of a binary cross-entropy beside it; not the authors'.
    """

    lovasz: float = 1.0
    cross_entropy: float = 0.0

    def __post_init__(self) -> None:
        if min(self.lovasz, self.cross_entropy) < 0 or self.lovasz + self.cross_entropy == 0:
            raise OptionError(
                f"weights of the loss are 0 or more and not both 0, found lovasz {self.lovasz} and cross_entropy "
                f"{self.cross_entropy}"
            )


def training_step(
    network: nn.Module, batch: ClipBatch, options: TrainingOptions, amp: torch.dtype | None = None
) -> StepResult:
    """Run the network on a batch of clips and compare with the masks.

    Args:
        network: in train mode, on the device of the batch.
        batch: clips and masks; see `ClipBatch`.
        options: of the loss.
        amp: autocast type, for example torch.bfloat16; None runs in the weights' own type.

    Returns:
        The loss, taken in float32, and the IoU of the clips.
    """
    with nullcontext() if amp is None else torch.autocast(batch.clips.device.type, amp):
        logits = network(batch.clips)
    height, width = batch.masks.shape[-2:]
    scores = resized(logits[..., :height, :width].float(), batch.masks)  # (B, T, H, W)
    void = batch.masks[:, 0] == VOID
    scores, truth = scores.masked_fill(void, _SURELY_BACKGROUND), (batch.masks[:, 0] != 0) & ~void
    loss = scores.new_zeros(())
    if options.lovasz:
        loss = loss + options.lovasz * lovasz_hinge(scores, truth)
    if options.cross_entropy:
        entropy = nn.functional.binary_cross_entropy_with_logits(scores, truth.to(scores.dtype))
        loss = loss + options.cross_entropy * entropy
    return StepResult(loss, clip_iou(scores, truth))


def _begin(network: nn.Module, options: TrainingOptions) -> None:
    """Nothing: the encoder's norms never have a gradient."""


def _mode(network: nn.Module, options: TrainingOptions) -> None:
    network.train()


TRAINABLE = Trainable(options=TrainingOptions, begin=_begin, mode=_mode, step=training_step)
