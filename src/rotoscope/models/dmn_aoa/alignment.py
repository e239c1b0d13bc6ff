"""Adaptive object alignment: parts of an object are compared wherever they lie in its box.

Paper: Liang et al., "Video Object Segmentation with Dynamic Memory Networks and Adaptive Object Alignment" (ICCV 2021).
The paper aligns each proposal to the template ("forward"); "mutual" also aligns the template to each proposal, since
forward alone is content with any proposal that holds more than the object. "cell" and "pooled" are what it is compared
with: cell by cell, and of the mean cells.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Mode = Literal["mutual", "forward", "backward", "cell", "pooled"]
MODES: tuple[Mode, ...] = ("mutual", "forward", "backward", "cell", "pooled")

_LEAST = 1e-3  # inside the logarithm of a mask
_EMPTY = 1e-6  # masks with less in all count as full
_ENTRIES = 1 << 22  # of the aligned tokens at once


def alignment_scores(
    template: Tensor,
    template_masks: Tensor | None,
    proposals: Tensor,
    proposal_masks: Tensor | None,
    kappa: Tensor | float,
    mode: Mode = "mutual",
) -> Tensor:
    """Compare every object with every proposal.

    Args:
        template: (O, U, D) tokens of the objects' cells.
        template_masks: (O, U) in [0, 1], how much of a cell is the object; None: all.
        proposals: (P, V, D) tokens of the proposals' cells; V equals U for "cell".
        proposal_masks: (P, V) likewise.
        kappa: temperature of the alignment.
        mode: see the module.

    Returns:
        (O, P) float, cosines in [-1, 1].
    """
    if not len(template) or not len(proposals):
        return template.new_zeros(len(template), len(proposals))
    if mode == "pooled":
        means = functional.normalize(template.mean(dim=1), dim=1), functional.normalize(proposals.mean(dim=1), dim=1)
        return means[0] @ means[1].T
    many = max(1, _ENTRIES // max(1, len(proposals) * template.shape[1] * template.shape[2]))
    masks = [None] * len(template) if template_masks is None else list(template_masks)
    scores = []
    for start in range(0, len(template), many):
        part = template[start : start + many]
        own = None if template_masks is None else torch.stack(masks[start : start + many])  # type: ignore[arg-type]
        scores.append(_scores(part, own, proposals, proposal_masks, kappa, mode))
    return torch.cat(scores)


def _scores(
    template: Tensor,
    template_masks: Tensor | None,
    proposals: Tensor,
    proposal_masks: Tensor | None,
    kappa: Tensor | float,
    mode: Mode,
) -> Tensor:
    if mode == "cell":
        return _weighted(functional.cosine_similarity(template[:, None], proposals[None], dim=3), template_masks)
    found = template.new_zeros(len(template), len(proposals))
    if mode in ("forward", "mutual"):
        weights = alignment_weights(template, proposals, proposal_masks, kappa)  # (O, P, U, V)
        aligned = torch.einsum("opuv,pvd->opud", weights, proposals)
        cosines = functional.cosine_similarity(template[:, None], aligned, dim=3)  # (O, P, U)
        found = found + _weighted(cosines, template_masks)
    if mode in ("backward", "mutual"):
        weights = alignment_weights(proposals, template, template_masks, kappa)  # (P, O, V, U)
        aligned = torch.einsum("povu,oud->povd", weights, template)
        cosines = functional.cosine_similarity(proposals[:, None], aligned, dim=3)  # (P, O, V)
        found = found + _weighted(cosines, proposal_masks).T
    return found / 2 if mode == "mutual" else found


def alignment_weights(tokens: Tensor, others: Tensor, masks: Tensor | None, kappa: Tensor | float) -> Tensor:
    """Where each cell of some boxes finds itself in other boxes.

    Args:
        tokens: (O, U, D) of the cells that look.
        others: (P, V, D) of the cells that are looked at.
        masks: (P, V) in [0, 1], how much of a cell counts; None: all.
        kappa: temperature.

    Returns:
        (O, P, U, V), the weights of each (O, P, U) sum to 1.
    """
    likeness = torch.einsum("oud,pvd->opuv", functional.normalize(tokens, dim=2), functional.normalize(others, dim=2))
    likeness = likeness / kappa
    if masks is not None:
        likeness = likeness + torch.log(masks + _LEAST)[None, :, None]
    return likeness.softmax(dim=3)


def _weighted(cosines: Tensor, masks: Tensor | None) -> Tensor:
    """(A, B, U), masks (A, U) -> (A, B): the mean over the cells, weighted by the masks of the first."""
    if masks is None:
        return cosines.mean(dim=2)
    weights = torch.where(masks.sum(dim=1, keepdim=True) < _EMPTY, torch.ones_like(masks), masks)[:, None]
    return (cosines * weights).sum(dim=2) / weights.sum(dim=2)
