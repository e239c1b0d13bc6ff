"""What Mask R-CNN is trained by: two losses of each of its first two parts, one of its masks.

Papers: Ren et al., "Faster R-CNN" (NeurIPS 2015); He et al., "Mask R-CNN" (ICCV 2017), section 3. Counted as in the
legacy family's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.backbones.detector.mask_head import POOLED as MASK_POOLED
from rotoscope.backbones.detector.mask_rcnn import MaskRCNN
from rotoscope.backbones.detector.roi_extract import pooled
from rotoscope.backbones.detector.rpn import ProposalOptions
from rotoscope.backbones.detector.targets import (
    FIRST_STAGE,
    SECOND_STAGE,
    SampleOptions,
    assigned,
    mask_targets,
    sampled,
)

_SMOOTH = 1 / 9  # where the first stage's loss of boxes turns from a square into a line


@dataclass(frozen=True)
class DetectorTraining:
    """How many boxes are learnt from.

    Attributes:
        first: of the anchors.
        second: of the proposals.
        proposals: what goes from the first stage to the second.
    """

    first: SampleOptions = field(default_factory=lambda: SampleOptions(64, 32))
    second: SampleOptions = field(default_factory=lambda: SampleOptions(128, 32))
    proposals: ProposalOptions = field(default_factory=lambda: ProposalOptions(200, 200, 200, least=0.0))


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """The objects of one picture.

    Attributes:
        boxes: (G, 4).
        labels: (G,) int64, 0 for the first class.
        masks: (G, H, W) 0 or 1, on the padded picture.
        size: (height, width) of the picture without padding.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor
    size: tuple[int, int]


def detector_losses(
    network: MaskRCNN,
    levels: Sequence[Tensor],
    objects: Sequence[Objects],
    padded: tuple[int, int],
    options: DetectorTraining,
    generator: np.random.Generator,
) -> dict[str, Tensor]:
    """The five losses of a batch of pictures.

    Args:
        network: gives what is compared.
        levels: its maps P2 to P6, (B, C, h, w).
        objects: one for each picture.
        padded: (height, width) of the pictures.
        options: see `DetectorTraining`.
        generator: source of chance.

    Returns:
        Scalars: `proposal_score`, `proposal_box`, `score`, `box`, `mask`.
    """
    outputs = network.proposal_head(levels)
    found = _first_stage(network, outputs, objects, padded, options.first, generator)
    boxes, of, labels, wanted, masks = [], [], [], [], []
    for picture, own in enumerate(objects):
        proposals = network.proposal_head.proposals(outputs, own.size, padded, options.proposals, picture).boxes
        candidates = torch.cat([own.boxes, proposals])
        assignment = assigned(candidates, own.boxes, SECOND_STAGE, network.conventions.inclusive)
        positive, negative = sampled(assignment, options.second, generator, len(own.boxes))
        chosen = torch.cat([positive, negative])
        which = assignment[positive] - 1
        boxes.append(candidates[chosen])
        of.append(torch.full((len(chosen),), picture, device=chosen.device))
        labels.append(torch.cat([own.labels[which] + 1, torch.zeros_like(negative)]))
        wanted.append(torch.cat([own.boxes[which], candidates[negative]]))
        masks.append(mask_targets(own.masks, candidates[positive], which))
    return found | _second_stage(
        network, levels, padded, *(torch.cat(part) for part in (boxes, of, labels, wanted, masks))
    )


def _first_stage(
    network: MaskRCNN,
    outputs: Sequence[tuple[Tensor, Tensor]],
    objects: Sequence[Objects],
    padded: tuple[int, int],
    options: SampleOptions,
    generator: np.random.Generator,
) -> dict[str, Tensor]:
    head = network.proposal_head
    anchors = torch.cat(head.anchors(outputs, padded))
    logits = torch.cat([own.permute(0, 2, 3, 1).flatten(1) for own, _ in outputs], dim=1)  # (B, A)
    codes = torch.cat([own.permute(0, 2, 3, 1).reshape(len(own), -1, 4) for _, own in outputs], dim=1)  # (B, A, 4)
    score, box, count = logits.new_zeros(()), logits.new_zeros(()), 0
    for picture, own in enumerate(objects):
        height, width = own.size
        inside = (anchors[:, :2] >= 0).all(dim=1) & (anchors[:, 2] < width) & (anchors[:, 3] < height)
        places = inside.nonzero()[:, 0]
        assignment = assigned(anchors[places], own.boxes, FIRST_STAGE, network.conventions.inclusive)
        positive, negative = sampled(assignment, options, generator)
        count += max(1, len(positive)) + max(1, len(negative))
        up, down = places[positive], places[negative]
        score = score + functional.softplus(-logits[picture, up]).sum()
        score = score + functional.softplus(logits[picture, down]).sum()
        target = network.conventions.proposal_code.encode(anchors[up], own.boxes[assignment[positive] - 1])
        box = box + functional.smooth_l1_loss(codes[picture, up], target, beta=_SMOOTH, reduction="sum")
    return {"proposal_score": score / max(1, count), "proposal_box": box / max(1, count)}


def _second_stage(
    network: MaskRCNN,
    levels: Sequence[Tensor],
    padded: tuple[int, int],
    boxes: Tensor,
    of: Tensor,
    labels: Tensor,
    wanted: Tensor,
    masks: Tensor,
) -> dict[str, Tensor]:
    """Losses of boxes (N, 4) on pictures (N,) with labels (N,), 0 background; masks (P, 28, 28) of the others."""
    nothing = levels[0].sum() * 0
    if not len(boxes):
        return {"score": nothing, "box": nothing, "mask": nothing}
    logits, codes = network.box_outputs(levels, boxes, padded, of)
    positive = (labels > 0).nonzero()[:, 0]
    own = codes.view(len(boxes), -1, 4)[positive, labels[positive]]  # (P, 4)
    target = network.conventions.box_code.encode(boxes[positive], wanted[positive])
    found = {
        "score": functional.cross_entropy(logits, labels),
        "box": functional.smooth_l1_loss(own, target, reduction="sum") / len(boxes),
        "mask": nothing,
    }
    if len(positive):
        features = pooled(levels, boxes[positive], MASK_POOLED, network.conventions, padded, of[positive])
        maps = network.mask_head.of_labels(features, labels[positive] - 1)
        found["mask"] = functional.binary_cross_entropy_with_logits(maps, masks)
    return found
