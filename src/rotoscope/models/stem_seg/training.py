"""Training STEm-Seg: one batch of clips -> loss, and what of the network is trained (ECCV 2020, section 3.5).

The loop is in `rotoscope.training`, the numbers are in recipes/stem-seg; inference imports nothing from here. Batch
norms of a ResNet always stay as they are.

Intended difference to the authors' code: all clips of a training have one size, cut out of the frames, where theirs
keep each frame's aspect ratio and come one by one.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.data.clips import ClipBatch
from rotoscope.errors import OptionError
from rotoscope.models.contract import StepResult, Trainable
from rotoscope.models.stem_seg.losses import (
    UNKNOWN,
    VOID,
    Form,
    LossOptions,
    embedding_losses,
    semantic_losses,
    shrunk,
)
from rotoscope.models.stem_seg.maps import STRIDE, Maps

Frozen = Literal["none", "stem", "encoder"]
_TRACED = 4  # instances of a clip that is traced without data


@dataclass(frozen=True)
class TrainingOptions(LossOptions):
    """The losses, and what is trained.

    Attributes:
        frozen: "stem": the encoder's stem and first stage, as in most published trainings; "encoder": all of it with
            the pyramid, as in the second stage for DAVIS; "none".
        most: at most so many instances of a clip, the largest; the others are ignored, and memory is bounded.
    """

    frozen: Frozen = "stem"
    most: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frozen not in ("none", "stem", "encoder"):
            raise OptionError(f"frozen {self.frozen!r} is not known; choose none, stem or encoder")
        if self.most < 1:
            raise OptionError(f"most {self.most}: expected 1 or more instances")


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What the maps of a batch are compared with.

    Attributes:
        instances: for each clip (J, T, h, w) bool.
        ignored: (B, T, h, w) bool.
        classes: (B, T, h, w) int64, see `losses.semantic_losses`.
    """

    instances: list[Tensor]
    ignored: Tensor
    classes: Tensor


def targets(batch: ClipBatch, size: tuple[int, int], most: int, alike: bool, form: Form = "corrected") -> Targets:
    """Bring the labels of a batch to the maps.

    Args:
        batch: see `ClipBatch`.
        size: (h, w) of the maps, of the padded frames.
        most: see `TrainingOptions`.
        alike: all objects are of class 1; otherwise their categories are their classes, and objects without are of
            unknown class.
        form: see `LossOptions`; in the published one, instances that vanish on the way stay as empty masks.
    """
    labels = batch.masks[:, 0].long()
    whole = labels
    bottom, right = size[0] * STRIDE - labels.shape[-2], size[1] * STRIDE - labels.shape[-1]
    labels = shrunk(functional.pad(labels, (0, right, 0, bottom)))  # (B, T, h, w)
    objects = (labels > 0) & (labels != VOID)
    if alike:
        classes = objects.long()
    elif batch.categories is None:
        classes = torch.where(objects, UNKNOWN, 0)
    else:
        table = batch.categories.to(labels.device)
        found = table.gather(1, labels.flatten(1)).view_as(labels)
        classes = torch.where(objects, torch.where(found > 0, found, UNKNOWN), 0)
    ignored = labels == VOID
    if labels.is_meta:
        return Targets([(labels[0] > 0).expand(_TRACED, -1, -1, -1)] * len(labels), ignored, classes)
    instances = []
    for place, clip in enumerate(labels):
        areas = torch.bincount(clip.flatten(), minlength=VOID + 1)
        there = areas if form == "corrected" else torch.bincount(whole[place].flatten(), minlength=VOID + 1)
        areas[0] = areas[VOID] = there[0] = there[VOID] = 0
        chosen = areas.argsort(descending=True, stable=True)[:most]
        chosen = chosen[there[chosen] > 0].sort().values
        masks = clip == chosen[:, None, None, None]  # (J, T, h, w)
        ignored[place] |= objects[place] & ~masks.any(0)
        instances.append(masks)
    return Targets(instances, ignored, classes)


def losses(maps: Maps, wanted: Targets, options: LossOptions) -> tuple[dict[str, Tensor], Tensor]:
    """Every loss of a batch, weighted, by name; and the IoU of its instances.

    Args:
        maps: of the batch, float32.
        wanted: see `Targets`.
        options: weights and form.
    """
    own = embedding_losses(maps, wanted.instances, wanted.ignored, options.form, options.free_dim_stds)
    found = {
        "lovasz": options.lovasz * own.lovasz,
        "smoothness": options.smoothness * own.smoothness,
        "seediness": options.seediness * own.seediness,
    }
    if maps.classes is not None and maps.foreground is not None:
        classes, foreground = semantic_losses(
            maps.classes, maps.foreground, wanted.classes, wanted.ignored, options.form
        )
        found |= {"classes": options.classes * classes, "foreground": options.foreground * foreground}
    return found, own.iou


def training_step(
    network: nn.Module, batch: ClipBatch, options: TrainingOptions, amp: torch.dtype | None = None
) -> StepResult:
    """Embed a batch of clips and compare with their labels.

    Args:
        network: in train mode, on the device of the batch.
        batch: clips and their labels, 255 what does not count; with categories where the network has several.
        options: see `TrainingOptions`.
        amp: autocast type, for example torch.bfloat16; None runs in the weights' own type.

    Returns:
        The loss, taken in float32, and the IoU of the instances' Gaussians.

    Raises:
        OptionError: clips of a length that the decoders do not know, or a category that the network lacks.
    """
    with nullcontext() if amp is None else torch.autocast(batch.clips.device.type, amp):
        maps = _floats(network(batch.clips))
    classes = 2 if maps.classes is None else maps.classes.shape[1]
    if batch.categories is not None and classes > 2 and int(batch.categories.max()) >= classes:
        raise OptionError(
            f"the clips have objects of category {int(batch.categories.max())}, the network knows {classes - 1}; "
            "choose the network of this data set, or `classes` in its table of data"
        )
    height, width = maps.seediness.shape[-2:]
    found, iou = losses(maps, targets(batch, (height, width), options.most, classes == 2, options.form), options)
    return StepResult(torch.stack(list(found.values())).sum(), iou)


def _floats(maps: Maps) -> Maps:
    changes = {one.name: value.float() for one in fields(maps) if (value := getattr(maps, one.name)) is not None}
    return replace(maps, **changes)


def _norms(network: nn.Module) -> list[nn.Module]:
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d | nn.SyncBatchNorm)]


def _begin(network: nn.Module, options: TrainingOptions) -> None:
    for layer in _norms(network):
        layer.requires_grad_(False)
    encoder = network.get_submodule("encoder")
    parts = {"none": [], "stem": encoder.first_parts(), "encoder": [encoder]}  # type: ignore[operator]
    for part in parts[options.frozen]:
        part.requires_grad_(False)


def _mode(network: nn.Module, options: TrainingOptions) -> None:
    network.train()
    for layer in _norms(network):
        layer.eval()


TRAINABLE = Trainable(options=TrainingOptions, begin=_begin, mode=_mode, step=training_step)
