"""Training VISOLO: one batch of short clips -> loss, and what of the network is trained.

Clips are three frames of a video, or one picture three times, each turned and cropped by itself (`data.rotated`). Every
frame reads the two others. The loop is in `rotoscope.training`, the numbers are in recipes/visolo; inference imports
nothing from here.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rotoscope.data.clips import ClipBatch
from rotoscope.errors import OptionError
from rotoscope.models.contract import StepResult, Trainable
from rotoscope.models.visolo.losses import MASK_WEIGHT, category_loss, mask_loss, similarity_loss
from rotoscope.models.visolo.network import VISOLO, Grid, Predicted, padding_of
from rotoscope.models.visolo.options import parse_grid
from rotoscope.models.visolo.targets import NONE, Targets, clip_targets

_VOID = 255
_TRACED_CELLS = 32  # positive cells of a frame that a dry run counts with


@dataclass(frozen=True)
class TrainingOptions:
    """The grid, which cells an instance belongs to, and the losses' weights.

    Attributes:
        grid: rows x columns of cells.
        centre: share of an instance's height and width that the rectangle around its centre has.
        published_extent: that height and width reach from the frame's corner, as the released code has it by a slip;
            the published weights were trained so.
        category, mask, similarity: weights of the three losses beside the published ones, of which that of masks is 3.
    """

    grid: str = "12x21"
    centre: float = 0.2
    published_extent: bool = False
    category: float = 1.0
    mask: float = 1.0
    similarity: float = 1.0

    def __post_init__(self) -> None:
        parse_grid(self.grid)
        if not 0 <= self.centre <= 1:
            raise OptionError(f"centre is a share from 0 to 1, not {self.centre}")
        if min(self.category, self.mask, self.similarity) < 0:
            raise OptionError("weights of the losses are 0 or more")


def training_step(
    network: nn.Module, batch: ClipBatch, options: TrainingOptions, amp: torch.dtype | None = None
) -> StepResult:
    """Run clips through the network and compare with what their cells are to say.

    Args:
        network: in train mode, on the device of the batch.
        batch: clips, their labels and, where there are any, the categories of these; without them every object is of
            the first. Objects that have no category among others that do are left out.
        options: see `TrainingOptions`.
        amp: autocast type, for example torch.bfloat16; None runs in the weights' own type.

    Returns:
        The loss, and the mean dice of the masks of positive cells.

    Raises:
        OptionError: a category that the network does not have.
    """
    grid = parse_grid(options.grid)
    with nullcontext() if amp is None else torch.autocast(batch.clips.device.type, amp):
        found: Predicted = network(batch.clips, grid)
    found = Predicted(*(part.float() for part in found))
    masks, targets = _truth(batch, found.categories.shape[2], grid, options)
    instance = torch.stack([one.instance for one in targets])
    of_masks = mask_loss(found.features, found.kernels, instance, masks)
    loss = options.mask * of_masks
    loss = loss + options.category * category_loss(
        found.categories.flatten(3), torch.stack([one.category for one in targets])
    )
    loss = loss + options.similarity * similarity_loss(
        found.similarity, torch.stack([one.similarity for one in targets])
    )
    return StepResult(loss, (1 - of_masks.detach() / MASK_WEIGHT).clamp(0, 1))


def _truth(batch: ClipBatch, classes: int, grid: Grid, options: TrainingOptions) -> tuple[list[Tensor], list[Targets]]:
    """Masks (T, N, H, W) and targets of each clip."""
    if batch.masks.is_meta:  # traced without data
        return _traced(batch, classes, grid)
    height, width = batch.clips.shape[-2:]
    _, right, _, below = padding_of(batch.clips)
    masks, targets = [], []
    for place, labels in enumerate(batch.masks[:, 0]):
        table = None if batch.categories is None else batch.categories[place]
        own, categories = clip_instances(labels, table)
        if len(categories) and int(categories.max()) >= classes:
            raise OptionError(
                f"an object is of category {int(categories.max()) + 1}, the network has {classes}; map the data's "
                f"classes, or choose another network"
            )
        masks.append(own)
        size = (height + below, width + right)
        targets.append(clip_targets(own, categories, classes, grid, options.centre, options.published_extent, size))
    return masks, targets


def clip_instances(labels: Tensor, table: Tensor | None) -> tuple[Tensor, Tensor]:
    """The instances of one clip, those of all its frames.

    Args:
        labels: (T, H, W), any number type, ids of objects; 0 and 255 are none.
        table: (256,) category of each id from 1, 0 where it has none; None: all are of the first.

    Returns:
        (T, N, H, W) bool and (N,) int64 categories from 0.
    """
    ids = torch.unique(labels).long()
    ids = ids[(ids > 0) & (ids < _VOID)]
    if table is not None:
        ids = ids[table[ids] > 0]
    categories = torch.zeros_like(ids) if table is None else table[ids] - 1
    return labels[:, None] == ids[:, None, None].to(labels.dtype), categories


def _traced(batch: ClipBatch, classes: int, grid: Grid) -> tuple[list[Tensor], list[Targets]]:
    """The same without data: one instance on every frame, with many cells."""
    count, _, length, height, width = batch.clips.shape
    cells = grid[0] * grid[1]
    instance = torch.full((length, cells), NONE, device="cpu")
    instance[:, :_TRACED_CELLS] = 0
    device = batch.clips.device
    pairs = max(1, length * (length - 1) // 2)
    one = Targets(
        instance,
        torch.zeros(length, classes, cells, device=device),
        torch.zeros(pairs, cells, cells, device=device),
    )
    masks = torch.zeros(length, 1, height, width, dtype=torch.bool, device=device)
    return [masks] * count, [one] * count


def _begin(network: nn.Module, options: TrainingOptions) -> None:
    frozen = network.frozen if isinstance(network, VISOLO) else ()
    for name, parameter in network.named_parameters():
        if name.startswith(frozen):
            parameter.requires_grad_(False)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.requires_grad_(False)


def _mode(network: nn.Module, options: TrainingOptions) -> None:
    network.train()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


TRAINABLE = Trainable(options=TrainingOptions, begin=_begin, mode=_mode, step=training_step)
