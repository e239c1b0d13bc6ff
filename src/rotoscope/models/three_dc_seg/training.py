"""Training 3DC-Seg: one clip batch -> loss, optimiser and recipe defaults (spec sections 3.1 to 3.5).

The loop itself is in `rotoscope.training`; nothing here is imported to run inference.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rotoscope.data.clips import ClipBatch
from rotoscope.models.three_dc_seg.losses import LossOptions, clip_iou, foreground_loss
from rotoscope.models.three_dc_seg.network import ThreeDCSeg


@dataclass(frozen=True)
class Recipe:
    """What the released configuration says, `bmvc_final`.

    Attributes:
        loss: form of the loss.
        learning_rate: initial rate of Adam.
        drop_after: epochs after which the rate is divided by ten (the exponential schedule has no effect there).
        clip_length: frames a clip.
        max_gap: frames that a clip may span.
        batch_size: clips a process.
        freeze_batch_norm_affine: keep scale and shift of the encoder's batch norms; their statistics still move,
            as in the released code.
    """

    loss: LossOptions = field(default_factory=LossOptions)
    learning_rate: float = 5e-5
    drop_after: tuple[int, ...] = (10,)
    clip_length: int = 8
    max_gap: int = 12
    batch_size: int = 2
    freeze_batch_norm_affine: bool = True


@dataclass(frozen=True)
class StepResult:
    """Loss (scalar with gradient) and logged IoU of one batch."""

    loss: Tensor
    iou: Tensor


def training_step(
    network: ThreeDCSeg, batch: ClipBatch, options: LossOptions, amp: torch.dtype | None = None
) -> StepResult:
    """Run the network on a batch of clips and compare with the masks.

    Args:
        network: in train mode, on the device of the batch.
        batch: clips and masks; see `ClipBatch`.
        options: form of the loss.
        amp: autocast type, for example torch.bfloat16; None runs in the weights' own type.
    """
    with torch.autocast(batch.clips.device.type, amp, enabled=amp is not None):
        logits = network(batch.clips)
    height, width = batch.masks.shape[-2:]
    logits = logits[..., :height, :width].float()
    return StepResult(foreground_loss(logits, batch.masks, options), clip_iou(logits, batch.masks))


def freeze_batch_norm_affine(module: nn.Module) -> None:
    """Stop gradients of scale and shift of every batch norm; running statistics still move in train mode."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.requires_grad_(False)
