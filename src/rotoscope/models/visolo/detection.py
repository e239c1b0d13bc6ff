"""From the cells of one frame to its instances: candidates, Matrix NMS, removal of covered masks.

Masks are made a few at a time at the network's size and kept as bits. Scores of empty masks and quotients of nothing by
nothing never arise here; see `_hopeless` for what the released code makes of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.models.visolo.network import ENLARGED
from rotoscope.models.visolo.options import Decay, OnlineOptions

MASK_LEVEL = 0.5
_SIGMA = 2.0
_FIRST = 500  # candidates that Matrix NMS looks at
_AT_ONCE = 16  # masks that are enlarged together


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The instances of one frame, best first.

    Attributes:
        masks: (N, H, W) bool at the network's size.
        labels: (N,) int64 categories.
        scores: (N,) after reweighting, mask score and suppression.
        vectors: (N, C) probabilities of all categories as the network gave them.
        cells: (N,) int64.
    """

    masks: Tensor
    labels: Tensor
    scores: Tensor
    vectors: Tensor
    cells: Tensor

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, chosen: Tensor) -> Detections:
        """Some of them, by places or by truth values."""
        parts = (self.masks, self.labels, self.scores, self.vectors, self.cells)
        return Detections(*(part[chosen] for part in parts))


def candidate_cells(vectors: Tensor, weight: Tensor | None, options: OnlineOptions) -> tuple[Tensor, Tensor]:
    """Cells whose best category scores high enough.

    Args:
        vectors: (S, C) probabilities.
        weight: (S,) by which scores are multiplied; None leaves them.
        options: see `OnlineOptions`.

    Returns:
        Cells (N,) int64 in ascending order, and their scores (N,).
    """
    scores = vectors.amax(dim=1)
    if weight is not None:
        scores = scores * weight
    cells = torch.nonzero(scores >= options.least_score)[:, 0]
    if options.published and int(cells.sum()) == 0:  # the released code's test for none
        cells = cells[:0]
    return cells, scores[cells]


def detect(
    vectors: Tensor,
    cells: Tensor,
    scores: Tensor,
    logits: Tensor,
    size: tuple[int, int],
    options: OnlineOptions,
) -> Detections:
    """Turn candidates into instances.

    Args:
        vectors: (S, C) probabilities.
        cells: (N,) candidates; see `candidate_cells`.
        scores: (N,) of them.
        logits: (N, h, w) of their masks, at a quarter of the padded frame's size.
        size: (H, W) of the frame without padding.
        options: see `OnlineOptions`.

    Returns:
        At most `options.most`.
    """
    masks, mask_scores, areas = _masks(logits, size)
    if options.published and int((areas == 0).sum()) > 1:
        return nothing(vectors, size)
    order = torch.argsort(scores * mask_scores, descending=True, stable=True)
    order = order[areas[order] > 0][:_FIRST]
    chosen, areas = cells[order], areas[order]
    found = Detections(
        masks[order], vectors[chosen].argmax(dim=1), (scores * mask_scores)[order], vectors[chosen], chosen
    )
    shared = shared_pixels(found.masks)
    lowered = found.scores * matrix_decay(shared, areas, found.labels, options.decay)
    order = torch.argsort(lowered, descending=True, stable=True)
    order = order[lowered[order] >= options.keep_score][: options.most]
    alive = uncovered(shared[order][:, order], areas[order], options.overlap)
    order = order[alive]
    return Detections(found.masks[order], found.labels[order], lowered[order], found.vectors[order], found.cells[order])


def nothing(vectors: Tensor, size: tuple[int, int]) -> Detections:
    """No instance, on the device of (S, C) probabilities."""
    none = torch.zeros(0, dtype=torch.int64, device=vectors.device)
    masks = torch.zeros((0, *size), dtype=torch.bool, device=vectors.device)
    return Detections(masks, none, vectors.new_zeros(0), vectors[none], none)


def matrix_decay(shared: Tensor, areas: Tensor, labels: Tensor, decay: Decay) -> Tensor:
    """Matrix NMS: by how much each mask's score is multiplied for the better masks of its category.

    Wang et al., "SOLOv2" (NeurIPS 2020), as VISOLO has it: the factor is never above 1.

    Args:
        shared: (N, N) pixels that two masks have in common, masks in descending order of score.
        areas: (N,) pixels, above 0.
        labels: (N,).
        decay: how.

    Returns:
        (N,) factors in [0, 1].
    """
    if not len(areas):
        return areas.new_zeros(0)
    iou = shared / (areas[:, None] + areas - shared)
    better = torch.ones_like(iou, dtype=torch.bool).triu(1) & (labels[:, None] == labels)
    iou = torch.where(better, iou, 0.0)
    own = iou.amax(dim=0)[:, None]  # how much the better mask is itself covered by one still better
    if decay == "gaussian":
        ratio = torch.exp(-_SIGMA * (iou**2 - own**2))
    else:
        ratio = ((1 - iou) / (1 - own)).nan_to_num(nan=0.0)  # 0 / 0: the third of three that are the same
    return torch.where(better, ratio, 1.0).amin(dim=0).clamp(max=1)


def uncovered(shared: Tensor, areas: Tensor, overlap: float) -> Tensor:
    """Which masks remain when each, from the best on, removes those that it covers to more than a share (IoU*).

    Args:
        shared: (N, N) pixels in common, best first.
        areas: (N,).
        overlap: the share.

    Returns:
        (N,) bool.
    """
    covered = ((shared / areas) > overlap).triu(1).cpu()  # [i, j]: i covers j
    alive = torch.ones(len(areas), dtype=torch.bool)
    for place in range(len(areas)):
        if alive[place]:
            alive &= ~covered[place]
    return alive.to(areas.device)


def shared_pixels(masks: Tensor) -> Tensor:
    """Count the pixels that each two of (N, H, W) bool masks have in common: (N, N) float32, exact."""
    flat = masks.flatten(1)
    busy = flat.sum(dim=0, dtype=torch.int16) > 1  # only there can two masks meet
    total = torch.diag(flat.sum(dim=1).float())
    met = flat[:, busy].float()  # (N, pixels)
    common = met @ met.T
    return common.fill_diagonal_(0).add_(total)


def _masks(logits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """(N, h, w) logits -> masks (N, H, W) bool, their mean probability inside (N,), their pixels (N,) float."""
    height, width = size
    masks = torch.empty((len(logits), height, width), dtype=torch.bool, device=logits.device)
    sums = torch.zeros(len(logits), device=logits.device)
    for start in range(0, len(logits), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        large = functional.interpolate(
            logits[None, part].float(), scale_factor=float(ENLARGED), mode="bilinear", align_corners=False
        )[0, :, :height, :width]
        soft = large.sigmoid_()
        masks[part] = soft > MASK_LEVEL
        sums[part] = (soft * masks[part]).sum(dim=(1, 2))
    areas = masks.sum(dim=(1, 2)).float()
    return masks, sums / areas.clamp(min=1), areas
