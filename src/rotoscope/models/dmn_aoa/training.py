"""Training DMN-AOA: one batch of short clips with their proposals -> loss, and what of the network is trained.

Nothing of the paper's training is known but its augmentation. As for STM the first frame is remembered with its true
masks, later ones with the predicted distribution, and losses of all frames are summed; the losses of coarse masks and
of matching are DMM-Net's. Clips without proposals train the memory's own prior. Numbers are in recipes/dmn-aoa.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.space_time_memory import STRIDE
from rotoscope.data.clips import ClipBatch
from rotoscope.data.proposals import ClipProposals
from rotoscope.errors import OptionError
from rotoscope.models.contract import StepResult, Trainable
from rotoscope.models.dmn_aoa import alignment, matching, template
from rotoscope.models.dmn_aoa.losses import coarse_loss, match_loss
from rotoscope.models.dmn_aoa.network import MatchRule, Proposals
from rotoscope.models.dmn_aoa.options import Motion
from rotoscope.models.memory.losses import objects_iou, objects_loss
from rotoscope.models.memory.training import TrainingOptions, at, begin, chosen_labels, mode
from rotoscope.models.option_checks import check_choices
from rotoscope.ops.resize import padding_to

_ENCODERS = ("memory_encoder", "query_encoder")


@dataclass(frozen=True)
class AlignmentTraining(TrainingOptions):
    """The losses, which objects are followed, how they are matched, and what is trained.

    Attributes:
        objects: at most so many of a clip; see `TrainingOptions` for it and the fields that are not told here.
        coarse: weight of the coarse masks' loss.
        match: weight of the matching's loss.
        target: what matching is to learn: "exact", or "greedy" as DMM-Net's code.
        encoders: "trained", or "frozen" for small budgets.
        template, align, mask_cells, solver, floor, motion: see `MatchRule`.
    """

    objects: int = 3
    coarse: float = 1.0
    match: float = 1.0
    target: Literal["exact", "greedy"] = "exact"
    encoders: Literal["trained", "frozen"] = "trained"
    template: template.Mode = "dynamic"
    align: alignment.Mode = "mutual"
    mask_cells: bool = True
    solver: matching.Solver = "ours"
    floor: float = 0.2
    motion: Motion = "previous"

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.coarse, self.match) < 0:
            raise OptionError(f"the weights of losses are 0 or more, not coarse {self.coarse}, match {self.match}")
        known = {
            "target": ("exact", "greedy"),
            "encoders": ("trained", "frozen"),
            "template": get_args(template.Mode),
            "align": alignment.MODES,
            "solver": matching.SOLVERS,
            "motion": get_args(Motion),
        }
        check_choices(self, known)

    @property
    def rule(self) -> MatchRule:
        """How objects are matched."""
        return MatchRule(
            template=self.template,
            align=self.align,
            mask_cells=self.mask_cells,
            solver=self.solver,
            floor=self.floor,
            motion=self.motion,
        )


def training_step(
    network: nn.Module, batch: ClipBatch, options: AlignmentTraining, amp: torch.dtype | None = None
) -> StepResult:
    """Follow the objects of each clip's first frame and compare with the labels of the others.

    Args:
        network: in train mode, on the device of the batch.
        batch: clips of two frames or more, their labels and proposals; see `ClipBatch`.
        options: see `AlignmentTraining`.
        amp: autocast type, for example torch.bfloat16; None runs in the weights' own type.

    Returns:
        The loss, and the mean IoU of the objects.

    Raises:
        OptionError: clips of one frame.
    """
    length, height, width = batch.clips.shape[2:]
    if length < 2:
        raise OptionError("dmn-aoa learns from clips of 2 frames or more, usually 3; set clips.length")
    labels, counts = chosen_labels(batch.masks[:, 0], options)  # (B, T, H, W) int64
    masks = torch.stack([labels[:, 0] == place for place in range(1, max(counts) + 1)], dim=1).float()
    top, bottom, left, right = padding_to((height, width), STRIDE)
    padding = (left, right, top, bottom)
    given = batch.proposals or (None,) * len(counts)
    proposals = [_padded(one, length, (height, width), padding, batch.clips.device) for one in given]
    rules = [replace(options.rule, dataset="default" if one is None else one.dataset) for one in given]
    with nullcontext() if amp is None else torch.autocast(batch.clips.device.type, amp):
        logits, scores, coarse = network(
            functional.pad(batch.clips, padding), functional.pad(masks, padding), counts, proposals, rules
        )
    logits = logits[..., top : top + height, left : left + width]
    loss = objects_loss(logits, labels[:, 1:], options)
    padded = functional.pad(labels, padding)
    for clip, count in enumerate(counts):
        for frame in range(1, length):
            truth = torch.stack([padded[clip, frame] == place for place in range(1, count + 1)]).float()
            found, own = coarse[clip][frame - 1].float(), scores[clip][frame - 1].float()
            parts = options.coarse * coarse_loss(found, truth)
            parts = parts + options.match * match_loss(
                own, proposals[clip][frame].masks, truth, greedy=options.target == "greedy"
            )
            loss = loss + parts / len(counts)
    loss = loss + 0 * sum(one.sum() for one in _matcher_parameters(network))  # processes agree on what has gradients
    return StepResult(loss, objects_iou(logits, labels[:, 1:]))


def _padded(
    found: ClipProposals | None,
    length: int,
    size: tuple[int, int],
    padding: tuple[int, int, int, int],
    device: torch.device,
) -> list[Proposals]:
    """The proposals of each frame of a clip, of the padded frame."""
    left, right, top, bottom = padding
    if found is None:
        return [Proposals.none((size[0] + top + bottom, size[1] + left + right), device)] * length
    shift = torch.tensor([left, top, left, top], dtype=torch.float32, device=device)
    return [
        Proposals(
            functional.pad(torch.from_numpy(frame.masks).to(device).float() / 255, padding),
            torch.from_numpy(frame.boxes).to(device) + shift,
            torch.from_numpy(frame.scores).to(device),
        )
        for frame in found.frames
    ]


def _matcher_parameters(network: nn.Module) -> list[Tensor]:
    return [one for name, one in network.named_parameters() if name.removeprefix("module.").startswith("matcher.")]


def _begin(network: nn.Module, options: AlignmentTraining) -> None:
    begin(network, options)
    if options.encoders == "frozen":
        for name in _ENCODERS:
            network.get_submodule(name).requires_grad_(False)


TRAINABLE = Trainable(options=AlignmentTraining, begin=_begin, mode=mode, step=training_step, at=at)
