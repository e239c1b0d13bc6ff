"""Training 3DC-Seg: one batch of clips -> loss, and what of the network is trained (BMVC 2020, released code).

The loop is in `rotoscope.training`, the numbers are in recipes/3dc-seg; nothing here is imported to run inference.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from rotoscope.data.clips import ClipBatch
from rotoscope.data.tracks import VOID
from rotoscope.errors import OptionError
from rotoscope.models.contract import StepResult, Trainable
from rotoscope.models.three_dc_seg.losses import LossOptions, clip_iou, foreground_loss

_NORMS = ("released", "frozen", "trained")


@dataclass(frozen=True)
class TrainingOptions(LossOptions):
    """The loss, and what becomes of batch norms.

    Attributes:
        batch_norm: "released": the encoder's scale and shift get no gradient, its statistics move, as in the authors'
            code; "frozen": the encoder's norms stay as they are in every way; "trained": they are trained.
        frames_alone: every kernel begins with nothing but its middle tap in time. What is then trained on single
            frames runs on a clip frame by frame, until a training on clips teaches it time. Not the authors'.
    """

    batch_norm: Literal["released", "frozen", "trained"] = "released"
    frames_alone: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_norm not in _NORMS:
            raise OptionError(f"batch_norm {self.batch_norm!r} is not known; choose {', '.join(_NORMS)}")


def training_step(
    network: nn.Module, batch: ClipBatch, options: LossOptions, amp: torch.dtype | None = None
) -> StepResult:
    """Run the network on a batch of clips and compare with the masks.

    Args:
        network: in train mode, on the device of the batch.
        batch: clips and masks; see `ClipBatch`.
        options: form of the loss.
        amp: autocast type, for example torch.bfloat16; None runs in the weights' own type.

    Returns:
        The loss, and the IoU that training logs.
    """
    with nullcontext() if amp is None else torch.autocast(batch.clips.device.type, amp):
        logits = network(batch.clips)
    height, width = batch.masks.shape[-2:]
    logits = logits[..., :height, :width].float()
    void = batch.masks == VOID
    loss = foreground_loss(logits, batch.masks, options, void)
    return StepResult(loss, clip_iou(logits.masked_fill(void, 0), batch.masks.masked_fill(void, 0)))


def freeze_batch_norm_affine(module: nn.Module) -> None:
    """Stop gradients of scale and shift of every batch norm; running statistics still move in train mode."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm3d):
            layer.requires_grad_(False)


def keep_middle_taps(module: nn.Module) -> None:
    """Set every tap in time but the middle one to zero, in all convolutions."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv3d) and (taps := layer.kernel_size[0]) > 1:
                layer.weight[:, :, : taps // 2] = 0
                layer.weight[:, :, taps // 2 + 1 :] = 0


def _begin(network: nn.Module, options: TrainingOptions) -> None:
    if options.frames_alone:
        keep_middle_taps(network)
    if options.batch_norm != "trained":
        freeze_batch_norm_affine(network.get_submodule("encoder"))


def _mode(network: nn.Module, options: TrainingOptions) -> None:
    network.train()
    if options.batch_norm == "frozen":
        for layer in network.get_submodule("encoder").modules():
            if isinstance(layer, nn.BatchNorm3d):
                layer.eval()


TRAINABLE = Trainable(options=TrainingOptions, begin=_begin, mode=_mode, step=training_step)
