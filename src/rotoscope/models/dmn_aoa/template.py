"""The dynamic template: what an object looks like in its own box, cell by cell from the past frames that matter now.

Paper: Liang, Shen, Huang, Hua, "Video Object Segmentation with Dynamic Memory Networks and Adaptive Object Alignment"
(ICCV 2021). Its form is ours: see docs/dmn-aoa.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Mode = Literal["dynamic", "first", "previous", "mean"]

_LEAST = 1e-3  # relevance that every view has, so that shares are defined
_ABSENT = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """An object as it was in the frames of its memory, each in its own box of S x S cells.

    Attributes:
        tokens: (T, S * S, D) keys and values of the cells.
        masks: (T, S * S) in [0, 1], how much of a cell is the object.
        boxes: (T, 4) left, top, right, bottom in the pixels of the padded frame, ends exclusive.
        present: (T,) 1 where the object was there, 0 where not.
    """

    tokens: Tensor
    masks: Tensor
    boxes: Tensor
    present: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """What an object looks like.

    Attributes:
        shares: (T, S * S) how much each view counts in each cell; they sum to 1 over the views.
        tokens: (S * S, D).
        masks: (S * S,) in [0, 1].
    """

    shares: Tensor
    tokens: Tensor
    masks: Tensor


def template_of(
    views: Views, relevance: Tensor, mode: Mode = "dynamic", first: int = 0, previous: int = -1
) -> Template:
    """Join the views of an object to what it looks like now.

    Args:
        views: see `Views`.
        relevance: (T, S * S), of the same cells; 1 is indifferent.
        mode: "dynamic": by relevance; "mean": all views that show the object alike; "first", "previous": one view.
        first: place of the first frame.
        previous: place of the latest frame.
    """
    present = views.present[:, None].to(relevance.dtype)  # (T, 1)
    if mode == "dynamic":
        raw = present * (relevance + _LEAST)
    elif mode == "mean":
        raw = present.expand_as(relevance)
    else:
        raw = torch.zeros_like(relevance)
        if mode == "previous":
            raw[previous] = present[previous]
        raw[first] = raw[first] + 1 - raw.amax(dim=0)  # where the latest view is empty, too
    total = raw.sum(dim=0, keepdim=True)
    shares = torch.where(total > _ABSENT, raw / total.clamp(min=_ABSENT), 1 / len(raw))
    tokens = (shares[:, :, None] * views.tokens.float()).sum(dim=0)
    return Template(shares, tokens, (shares * views.masks.float()).sum(dim=0))
