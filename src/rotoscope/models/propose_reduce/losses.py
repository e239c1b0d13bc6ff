"""What Seq Mask R-CNN is trained by: the detector's losses on a frame, and how well objects are found in it again.

Paper: Lin et al., "Video Instance Segmentation with a Propose-Reduce Paradigm" (ICCV 2021), section 3.4; supplement,
equation 2.

Intended differences to the authors' code: a picture whose objects are all out of sight in its reference has no loss of
propagation, instead of being replaced by another one; where it is asked for, a cross entropy beside the soft IoU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.backbones.detector.losses import DetectorTraining, Objects, detector_losses
from rotoscope.models.propose_reduce.network import SeqMaskRCNN
from rotoscope.ops.soft_aggregation import soft_aggregation

_EPSILON = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A frame and an earlier or later one of the same video, and what is to be found again.

    Attributes:
        current: the frame's objects.
        boxes: (O, 4) in the reference, of objects that both have.
        labels: (O,) int64, 0 for the first class.
        masks: (O, H, W) 0 or 1, of the same objects in the frame, padded.
    """

    current: Objects
    boxes: Tensor
    labels: Tensor
    masks: Tensor


def soft_iou_losses(found: Tensor, true: Tensor) -> Tensor:
    """The scale-balanced loss of masks: small objects count as much as large ones.

    Args:
        found: (O, H, W) in [0, 1].
        true: (O, H, W) 0 or 1.

    Returns:
        (O,) one less the soft IoU of each.
    """
    true = true.to(found.dtype)
    shared, joint = (extreme(found, true).flatten(1).sum(dim=1) for extreme in (torch.minimum, torch.maximum))
    return 1 - shared / (joint + _EPSILON)


def pair_losses(
    network: SeqMaskRCNN,
    frames: Tensor,
    references: Tensor,
    pairs: Sequence[Pair],
    options: DetectorTraining,
    generator: np.random.Generator,
    cross_entropy: float = 0.0,
) -> dict[str, Tensor]:
    """The losses of a batch of frames with their references.

    The reference's objects are remembered by the masks that the mask head gives them, without gradient.

    Args:
        network: in train mode.
        frames: (B, 3, H, W) normalised, padded.
        references: the same.
        pairs: one for each.
        options: see `DetectorTraining`.
        generator: source of chance.
        cross_entropy: weight of that loss; 0: there is none, as published.

    Returns:
        Scalars: those of `detector_losses`, `propagation`, and `cross_entropy` where it has a weight.
    """
    padded = (frames.shape[2], frames.shape[3])
    own, levels = network.detector.maps(frames)
    found = detector_losses(network.detector, levels, [pair.current for pair in pairs], padded, options, generator)
    _, before = network.detector.maps(references)
    losses = [
        _propagation_losses(network, [x[place : place + 1] for x in (*levels[:1], *own[:2])], before, place, pair)
        for place, pair in enumerate(pairs)
        if len(pair.boxes)
    ]
    nothing = levels[0].sum() * 0 + before[0].sum() * 0
    shares = torch.cat([share for share, _ in losses]).mean() if losses else nothing
    if not cross_entropy:
        return found | {"propagation": shares}
    entropy = torch.stack([own for _, own in losses]).mean() if losses else nothing
    return found | {"propagation": shares, "cross_entropy": cross_entropy * entropy}


def _propagation_losses(
    network: SeqMaskRCNN, maps: Sequence[Tensor], before: Sequence[Tensor], place: int, pair: Pair
) -> tuple[Tensor, Tensor]:
    """(O,) losses of a pair, and the cross entropy, from P2, C2 and C3 of the frame and the reference's pyramid."""
    head, reference = network.propagation, [x[place : place + 1] for x in before]
    with torch.no_grad():
        masks = network.masks_of(reference, pair.boxes, pair.labels, pair.current.size)
    keys, values = head.memorise(reference[0], masks)
    parts = head.segment(head.ask(*maps), list(zip(keys, values, strict=True)))
    logits = soft_aggregation(parts)  # (1 + O, H, W)
    labels = (pair.masks * torch.arange(1, 1 + len(pair.masks), device=logits.device)[:, None, None]).amax(dim=0)
    entropy = functional.cross_entropy(logits[None].float(), labels[None].long())
    return soft_iou_losses(logits.softmax(dim=0)[1:], pair.masks), entropy
