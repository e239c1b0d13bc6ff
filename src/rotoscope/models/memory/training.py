"""What trainings of systems that follow given objects share: which objects, what becomes of batch norms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from rotoscope.errors import OptionError
from rotoscope.models.memory.losses import LossOptions

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


Options = TypeVar("Options", bound=TrainingOptions)


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


def at(options: Options, step: int) -> Options:
    """The options as they are at a step: the share of the worst pixels shrinks."""
    return replace(options, bootstrap=options.share_at(step), bootstrap_steps=(0, 0))


def begin(network: nn.Module, options: TrainingOptions) -> None:
    """Make a network ready to be trained: frozen norms have no gradient."""
    if options.batch_norm == "frozen":
        for layer in _norms(network):
            layer.requires_grad_(False)


def mode(network: nn.Module, options: TrainingOptions) -> None:
    """Put a network in train mode; frozen norms stay in eval mode."""
    network.train()
    if options.batch_norm == "frozen":
        for layer in _norms(network):
            layer.eval()
