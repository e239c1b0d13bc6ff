"""Training Propose-Reduce: one batch of pairs of frames -> loss, and what of the network is trained.

Clips are two frames of a video, the reference and the frame, in either order of time, or one picture twice, each turned
and cropped by itself. The loop is in `rotoscope.training`, the numbers are in recipes/propose-reduce; inference imports
nothing from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.detector.box_head import POOLED as BOX_POOLED
from rotoscope.backbones.detector.losses import DetectorTraining, Objects
from rotoscope.backbones.detector.mask_head import POOLED as MASK_POOLED
from rotoscope.backbones.detector.targets import SampleOptions
from rotoscope.data.clips import ClipBatch
from rotoscope.data.fitted import ClipObjects
from rotoscope.errors import OptionError
from rotoscope.models.contract import StepResult, Trainable
from rotoscope.models.propose_reduce.losses import Pair, pair_losses
from rotoscope.models.propose_reduce.network import SeqMaskRCNN
from rotoscope.ops.box_masks import tight_boxes

_VOID = 255
_TRACED = 2  # objects of a frame that a dry run counts with


@dataclass(frozen=True)
class TrainingOptions:
    """How much of a frame is learnt from.

    Attributes:
        anchors: of a frame, that are learnt from.
        positive_anchors: of those at most so many stand for objects.
        boxes: of a frame, in the second stage.
        positive_boxes: of those at most so many stand for objects; the objects' own boxes always do.
        followed: objects of a pair that are found again.
        cross_entropy: weight of a cross entropy of objects and background beside the soft IoU; published is 0. From
            random weights the soft IoU alone can end where every object is everywhere and no gradient is left.
    """

    anchors: int = 64
    positive_anchors: int = 32
    boxes: int = 128
    positive_boxes: int = 32
    followed: int = 5
    cross_entropy: float = 0.0

    def __post_init__(self) -> None:
        if self.cross_entropy < 0:
            raise OptionError(f"cross_entropy {self.cross_entropy}: expected a weight of 0 or more")
        for name in ("anchors", "positive_anchors", "boxes", "positive_boxes", "followed"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} {getattr(self, name)}: expected 1 or more")

    @property
    def detector(self) -> DetectorTraining:
        """The detector's part."""
        return DetectorTraining(
            SampleOptions(self.anchors, self.positive_anchors), SampleOptions(self.boxes, self.positive_boxes)
        )


def training_step(
    network: nn.Module, batch: ClipBatch, options: TrainingOptions, amp: torch.dtype | None = None
) -> StepResult:
    """Run pairs of frames through the network and compare with their labels.

    Args:
        network: in train mode, on the device of the batch.
        batch: clips of two frames, the reference and the frame, their labels and, where there are any, the categories
            of these; without them every object is of the first.
        options: see `TrainingOptions`.
        amp: autocast type, for example torch.bfloat16; None runs in the weights' own type.

    Returns:
        The sum of the losses, and the mean soft IoU of the objects that are found again.

    Raises:
        OptionError: clips of another length, or a category that the network does not have.
    """
    if batch.clips.shape[2] != 2:
        raise OptionError(f"propose-reduce learns from pairs of frames; clips.length is {batch.clips.shape[2]}, not 2")
    with nullcontext() if amp is None else torch.autocast(batch.clips.device.type, amp):
        if batch.masks.is_meta:
            return network(lambda own: _traced(own, batch.clips, options))  # type: ignore[no-any-return]
        generator = np.random.default_rng(int(torch.randint(1 << 31, ()).item()))
        losses = network(lambda own: _losses(own, batch, options, generator))
    score = 1 - losses["propagation"].detach()
    return StepResult(torch.stack([loss.float() for loss in losses.values()]).sum(), score.clamp(0, 1))


def _losses(
    network: SeqMaskRCNN, batch: ClipBatch, options: TrainingOptions, generator: np.random.Generator
) -> dict[str, Tensor]:
    references, frames = (prepared(network, clip, batch) for clip in batch.clips.unbind(2))
    pairs = []
    for place, labels in enumerate(batch.masks[:, 0]):
        table = None if batch.categories is None else batch.categories[place]
        objects = (batch.objects[place] if batch.objects else None) or objects_of(labels)
        pairs.append(pair_of(objects, table, network.classes, options.followed, frames.shape[2:], generator))
    return pair_losses(network, frames, references, pairs, options.detector, generator, options.cross_entropy)


def prepared(network: SeqMaskRCNN, frames: Tensor, batch: ClipBatch) -> Tensor:
    """One frame of each clip for the network: normalised, zero where whole frames do not fill the clip.

    Args:
        network: tells how.
        frames: (B, 3, H, W) float32 RGB in [0, 1].
        batch: which the frames are of.

    Returns:
        (B, 3, H', W'), both sides multiples of `network.MULTIPLE`.
    """
    found = network.normalised(frames)
    for picture, objects in zip(found, batch.objects or (), strict=False):
        if objects is not None:
            picture[:, objects.size[0] :] = 0
            picture[:, :, objects.size[1] :] = 0
    return found


def objects_of(labels: Tensor) -> ClipObjects:
    """The objects of a clip by its labels alone: boxes are those of the masks.

    Args:
        labels: (T, H, W), any number type, ids of objects; 0 and 255 are none.
    """
    ids = torch.unique(labels).long()
    ids = ids[(ids > 0) & (ids < _VOID)]
    masks = labels[:, None] == ids[:, None, None].to(labels.dtype)  # (T, N, H, W)
    if not len(ids):
        nothing = torch.zeros(len(labels), 0, dtype=torch.bool, device=labels.device)
        return ClipObjects(ids, nothing[..., None].expand(-1, -1, 4).float(), nothing, masks)
    boxes, there = tight_boxes(masks.flatten(0, 1))
    boxes = (boxes - boxes.new_tensor([0, 0, 1, 1])).reshape(*masks.shape[:2], 4)
    return ClipObjects(ids, boxes, there.reshape(masks.shape[:2]), masks)


def pair_of(
    objects: ClipObjects,
    table: Tensor | None,
    classes: int,
    followed: int,
    padded: Sequence[int],
    generator: np.random.Generator,
) -> Pair:
    """What is true of one clip of two frames.

    Args:
        objects: of the reference and of the frame.
        table: (256,) category of each id from 1, 0 where it has none; None: all are of the first.
        classes: of the network.
        followed: objects that are to be found again, at most; drawn where there are more.
        padded: (height, width) of the network's frames.
        generator: source of chance.

    Raises:
        OptionError: a category that the network does not have.
    """
    ids = objects.ids
    chosen = torch.ones_like(ids, dtype=torch.bool) if table is None else table[ids] > 0
    kinds = torch.zeros_like(ids) if table is None else table[ids] - 1
    if len(kinds) and int(kinds.max()) >= classes:
        raise OptionError(
            f"an object is of category {int(kinds.max()) + 1}, the network has {classes}; map the data's classes, or "
            f"choose another network"
        )
    (height, width), (reference, current) = objects.size, (there & chosen for there in objects.annotated)
    masks = functional.pad(objects.masks[1], (0, padded[1] - width, 0, padded[0] - height)).to(torch.uint8)
    both = (reference & chosen & masks.flatten(1).any(dim=1)).nonzero()[:, 0]
    if len(both) > followed:
        drawn = np.sort(generator.choice(len(both), followed, replace=False))
        both = both[torch.from_numpy(drawn).to(both.device)]
    boxes = objects.boxes
    found = Objects(boxes[1][current], kinds[current], masks[current], (height, width))
    return Pair(found, boxes[0][both], kinds[both], masks[both])


def _traced(network: SeqMaskRCNN, clips: Tensor, options: TrainingOptions) -> StepResult:
    """The same without data: every sample is taken, some objects are followed."""
    detector, count = network.detector, len(clips)
    (_, before), (own, levels) = (detector.maps(network.normalised(clip)) for clip in clips.unbind(2))
    total = torch.stack([part.sum() for pair in detector.proposal_head(levels) for part in pair]).sum()
    channels = levels[0].shape[1]
    boxes = levels[0].new_zeros(count * options.boxes, channels, BOX_POOLED, BOX_POOLED)
    total = total + torch.stack([part.sum() for part in detector.box_head(boxes)]).sum()
    maps = levels[0].new_zeros(count * options.positive_boxes, channels, MASK_POOLED, MASK_POOLED)
    total = total + detector.mask_head(maps).sum()
    padded = (4 * levels[0].shape[2], 4 * levels[0].shape[3])
    for place in range(count):
        masks = levels[0].new_zeros(_TRACED, *padded)
        keys, values = network.propagation.memorise(before[0][place : place + 1], masks)
        asked = network.propagation.ask(*(x[place : place + 1] for x in (levels[0], own[0], own[1])))
        total = total + network.propagation.segment(asked, list(zip(keys, values, strict=True))).sum()
    return StepResult(total, total.detach())


def _begin(network: nn.Module, options: TrainingOptions) -> None:
    frozen = network.frozen if isinstance(network, SeqMaskRCNN) else ()
    for name, parameter in network.named_parameters():
        if name.startswith(frozen):
            parameter.requires_grad_(False)


def _mode(network: nn.Module, options: TrainingOptions) -> None:
    network.train()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


TRAINABLE = Trainable(options=TrainingOptions, begin=_begin, mode=_mode, step=training_step)
