"""Training STM: one batch of short clips -> loss, and what of the network is trained (ICCV 2019, section 3.6).

No training code was published. As its author tells: the first frame is memorised with its true masks, later ones with
the predicted distribution; memory gets gradients; the losses of all segmented frames are summed; batch norms stay as
they are. The loop is in `rotoscope.training`, the numbers are in recipes/stm; inference imports nothing from here.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import nn
from torch.nn import functional

from rotoscope.backbones.space_time_memory import STRIDE
from rotoscope.data.clips import ClipBatch
from rotoscope.errors import OptionError
from rotoscope.models.contract import StepResult, Trainable
from rotoscope.models.memory.losses import objects_iou, objects_loss
from rotoscope.models.memory.training import TrainingOptions, at, begin, chosen_labels, mode
from rotoscope.ops.resize import padding_to


def training_step(
    network: nn.Module, batch: ClipBatch, options: TrainingOptions, amp: torch.dtype | None = None
) -> StepResult:
    """Follow the objects of each clip's first frame and compare with the labels of the others.

    Args:
        network: in train mode, on the device of the batch.
        batch: clips of two frames or more, and their labels; see `ClipBatch`.
        options: see `TrainingOptions`.
        amp: autocast type, for example torch.bfloat16; None runs in the weights' own type.

    Returns:
        The loss, and the mean IoU of the objects.

    Raises:
        OptionError: clips of one frame.
    """
    length, height, width = batch.clips.shape[2:]
    if length < 2:
        raise OptionError("stm learns from clips of 2 frames or more, usually 3; set clips.length")
    labels, counts = chosen_labels(batch.masks[:, 0], options)  # (B, T, H, W) int64
    masks = torch.stack([labels[:, 0] == place for place in range(1, max(counts) + 1)], dim=1).float()
    top, bottom, left, right = padding_to((height, width), STRIDE)
    padding = (left, right, top, bottom)
    with nullcontext() if amp is None else torch.autocast(batch.clips.device.type, amp):
        logits = network(functional.pad(batch.clips, padding), functional.pad(masks, padding), counts)
    logits = logits[..., top : top + height, left : left + width]
    return StepResult(objects_loss(logits, labels[:, 1:], options), objects_iou(logits, labels[:, 1:]))


TRAINABLE = Trainable(options=TrainingOptions, begin=begin, mode=mode, step=training_step, at=at)
