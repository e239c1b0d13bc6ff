"""Training STM: one batch of short clips -> loss, and what of the network is trained (ICCV 2019, section 3.6).

No training code was published. As its author tells: the first frame is memorised with its true masks, later ones with
the predicted distribution; memory gets gradients; the losses of all segmented frames are summed; batch norms stay as
they are. The loop is in `rotoscope.training`, the numbers are in recipes/stm; inference imports nothing from here.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.data.clips import ClipBatch
from rotoscope.errors import OptionError
from rotoscope.models.contract import StepResult, Trainable
from rotoscope.models.stm.losses import LossOptions, objects_iou, objects_loss
from rotoscope.models.stm.network import STRIDE
from rotoscope.ops.resize import padding_to

_VOID = 255


@dataclass(frozen=True)
class TrainingOptions(LossOptions):
    """The loss, which objects are followed, and what becomes of batch norms.

    Attributes:
        objects: at most so many of a clip, the largest on its first frame.
        least_pixels: objects that are smaller on the first frame are background, unless the clip has no larger one.
        batch_norm: "frozen": statistics, scale and shift stay as they are, as in the paper; "trained": all are trained.
    """

    objects: int = 5
    least_pixels: int = 350
    batch_norm: Literal["frozen", "trained"] = "frozen"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.objects < 1:
            raise OptionError(f"objects {self.objects}: expected 1 or more")
        if self.least_pixels < 0:
            raise OptionError(f"least_pixels {self.least_pixels}: expected 0 or more")
        if self.batch_norm not in ("frozen", "trained"):
            raise OptionError(f"batch_norm {self.batch_norm!r} is not known; choose frozen or trained")


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


def chosen_labels(labels: Tensor, options: TrainingOptions) -> tuple[Tensor, list[int]]:
    """Number the objects that are followed 1, 2, ... in each clip; everything else becomes background.

    A clip without objects follows one that is nowhere.

    Args:
        labels: (B, T, H, W), any number type, ids of objects; 255 is none.
        options: which are followed.

    Returns:
        (B, T, H, W) int64, and how many objects each clip has, at least 1.
    """
    if labels.is_meta:  # traced without data: as many objects as there can be
        return labels.long(), [options.objects] * len(labels)
    whole = labels.long()
    clips, counts = [], []
    for clip in whole:
        ids = _followed(clip[0], options)
        table = torch.zeros(int(clip.max()) + 1, dtype=torch.int64, device=clip.device)
        table[ids] = torch.arange(1, len(ids) + 1, device=clip.device)
        clips.append(table[clip])
        counts.append(max(1, len(ids)))
    return torch.stack(clips), counts


def _followed(first: Tensor, options: TrainingOptions) -> Tensor:
    """(H, W) ids -> the ids that are followed, largest object first."""
    areas = torch.bincount(first.flatten(), minlength=_VOID + 1)
    areas[0] = areas[_VOID] = 0
    order = areas.argsort(descending=True, stable=True)[: options.objects]
    sizes = areas[order]
    least = min(max(1, options.least_pixels), max(1, int(sizes[0])))
    return order[sizes >= least]


def _norms(network: nn.Module) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d | nn.SyncBatchNorm)]


def _begin(network: nn.Module, options: TrainingOptions) -> None:
    if options.batch_norm == "frozen":
        for layer in _norms(network):
            layer.requires_grad_(False)


def _mode(network: nn.Module, options: TrainingOptions) -> None:
    network.train()
    if options.batch_norm == "frozen":
        for layer in _norms(network):
            layer.eval()


TRAINABLE = Trainable(options=TrainingOptions, begin=_begin, mode=_mode, step=training_step)
