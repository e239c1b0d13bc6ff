"""From the cells of one frame to its instances: candidates, Matrix NMS, removal of covered masks.

Masks are made one at a time at the network's size and kept as truth values. Empty masks are let go before anything is
divided by their size. What the released code makes of them, and of the first cell, comes with the option `published`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.models.visolo.network import ENLARGED
from rotoscope.models.visolo.options import Decay, OnlineOptions
from rotoscope.ops.products import times_transposed

MASK_LEVEL = 0.5
_PIXELS = 1 << 15  # that masks are compared on at once


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
    empty = int((areas == 0).sum()) if options.published else 0  # they are the first of the released code's order
    if empty > 1:
        return nothing(vectors, size)
    order = torch.argsort(scores * mask_scores, descending=True, stable=True)
    order = order[areas[order] > 0][: options.nms_pre - empty]
    chosen, areas = cells[order], areas[order]
    found = Detections(
        masks[order], vectors[chosen].argmax(dim=1), (scores * mask_scores)[order], vectors[chosen], chosen
    )
    shared = shared_pixels(found.masks)
    lowered = found.scores * matrix_decay(shared, areas, found.labels, options.decay, options.nms_sigma)
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


def matrix_decay(
    shared: Tensor, areas: Tensor, labels: Tensor, decay: Decay, sigma: float = OnlineOptions.nms_sigma
) -> Tensor:
    """Matrix NMS: by how much each mask's score is multiplied for the better masks of its category.

    Wang et al., "SOLOv2" (NeurIPS 2020), as VISOLO has it: the factor is never above 1.

    Args:
        shared: (N, N) pixels that two masks have in common, masks in descending order of score.
        areas: (N,) pixels, above 0.
        labels: (N,).
        decay: how.
        sigma: of the gaussian.

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
        ratio = torch.exp(-sigma * (iou**2 - own**2))
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
    found = torch.zeros(len(masks), len(masks), device=masks.device)
    for part in torch.split(masks.flatten(1), _PIXELS, dim=1):
        pixels = part.float()  # (N, some pixels)
        found += times_transposed(pixels, pixels)
    return found


def _masks(logits: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """(N, h, w) logits -> masks (N, H, W) bool, their mean probability inside (N,), their pixels (N,) float.

    One mask is enlarged after the other, and only where it has pixels: bilinear values between logits that are not
    above 0 are not either. So the result is that of enlarging everything.
    """
    height, width = size
    masks = torch.zeros((len(logits), height, width), dtype=torch.bool, device=logits.device)
    sums = torch.zeros(len(logits), device=logits.device)
    for place, (top, bottom, left, right) in enumerate(_boxes(logits > 0)):
        part = logits[None, None, place, top:bottom, left:right].float()
        soft = functional.interpolate(part, scale_factor=float(ENLARGED), mode="bilinear", align_corners=False)
        top, left = ENLARGED * top, ENLARGED * left
        soft = soft[0, 0, : max(0, height - top), : max(0, width - left)].sigmoid()
        inside = soft > MASK_LEVEL
        masks[place, top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        sums[place] = (soft * inside).sum()
    areas = masks.sum(dim=(1, 2)).float()
    return masks, sums / areas.clamp(min=1), areas


def _boxes(positive: Tensor) -> list[list[int]]:
    """(N, h, w) bool -> top, bottom, left, right around what is set and a line more; the whole where nothing is."""
    found = []
    for side in (1, 2):
        lines = positive.any(dim=3 - side)  # (N, h), (N, w)
        length = lines.shape[1]
        place = torch.arange(length, device=lines.device)
        first = torch.where(lines, place, length).amin(dim=1).sub(1).clamp(min=0)
        last = torch.where(lines, place, -1).amax(dim=1).add(2).clamp(max=length)
        found += [torch.where(lines.any(dim=1), first, 0), torch.where(lines.any(dim=1), last, length)]
    boxes: list[list[int]] = torch.stack(found, dim=1).tolist()
    return boxes
