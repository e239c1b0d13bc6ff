"""What each cell of the grid is to say: categories, which instance's mask, which cells are alike.

An instance belongs to the cells that a small rectangle around its centre touches. Kept are the instance of each cell,
not its mask; the published code fills a mask of the frame's size for every cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.models.visolo.network import Grid, pairs

NONE = -1


@dataclass(frozen=True, eq=False)
class Targets:
    """Of one clip.

    Attributes:
        instance: (T, S) int64, the instance of each cell, -1 for none.
        category: (T, C, S) float, 0 or 1.
        similarity: (P, S, S) float, 1 where two cells of a pair of frames belong to the same instance.
    """

    instance: Tensor
    category: Tensor
    similarity: Tensor


def clip_targets(
    masks: Tensor,
    categories: Tensor,
    classes: int,
    grid: Grid,
    centre: float = 0.2,
    published_extent: bool = False,
    size: tuple[int, int] | None = None,
) -> Targets:
    """The targets of one clip.

    Args:
        masks: (T, N, H, W) bool; an instance without pixels is absent on that frame.
        categories: (N,) int64 from 0.
        classes: C.
        grid: rows and columns of cells.
        centre: the rectangle's share of an instance's height and width.
        published_extent: see `cell_instances`.
        size: (height, width) that the grid lies over, where frames are padded below and on the right.
    """
    length, count = masks.shape[:2]
    instance = cell_instances(masks, grid, centre, published_extent, size)
    belongs = functional.one_hot(instance + 1, count + 1)[..., 1:].float()  # (T, S, N)
    kinds = functional.one_hot(categories, classes).float()  # (N, C)
    category = (belongs @ kinds).transpose(1, 2)
    alike = [belongs[first] @ belongs[second].T for first, second in pairs(length)]
    cells = instance.shape[1]
    return Targets(instance, category, torch.stack(alike) if alike else category.new_zeros(1, cells, cells))


def cell_instances(
    masks: Tensor, grid: Grid, centre: float, published_extent: bool, size: tuple[int, int] | None = None
) -> Tensor:
    """Which instance each cell is to find.

    Where two want a cell it goes to the one whose centre is nearer to the cell's, to the first where they are equally
    near.

    Args:
        masks: (T, N, H, W) bool.
        grid: rows and columns.
        centre: share of an instance's height and width.
        published_extent: take an instance's height and width from the frame's corner, not from its own first row and
            column, as the released code does by a slip; its published weights were trained so.
        size: see `clip_targets`.

    Returns:
        (T, S) int64, -1 where no instance is.
    """
    length, count = masks.shape[:2]
    (height, width), (rows, columns) = size or masks.shape[2:], grid
    if not count:
        return torch.full((length, rows * columns), NONE, device=masks.device)
    down = _touched(masks.any(dim=3), masks.sum(dim=3), height / rows, rows, centre, published_extent)
    across = _touched(masks.any(dim=2), masks.sum(dim=2), width / columns, columns, centre, published_extent)
    touched = down.inside[..., :, None] & across.inside[..., None, :]  # (T, N, S1, S2)
    distance = down.distance[..., :, None] ** 2 + across.distance[..., None, :] ** 2
    distance = torch.where(touched, distance, float("inf")).flatten(2)  # (T, N, S)
    nearest = distance.min(dim=1)  # the first of equally near ones
    first = (distance == nearest.values[:, None]).to(torch.uint8).argmax(dim=1)
    return torch.where(nearest.values.isfinite(), first, NONE)


@dataclass(frozen=True, eq=False)
class _Side:
    """Along one side: which cells are touched, and how far their centres are; both (T, N, cells)."""

    inside: Tensor
    distance: Tensor


def _touched(occupied: Tensor, pixels: Tensor, cell: float, cells: int, share: float, published_extent: bool) -> _Side:
    """Lines of a mask that have pixels (T, N, L), how many they have, and the length of a cell -> see `_Side`."""
    length = occupied.shape[2]
    place = torch.arange(length, device=occupied.device, dtype=torch.float64)
    total = pixels.sum(dim=2)
    middle = (pixels.double() * place).sum(dim=2) / total.clamp(min=1)  # (T, N)
    last = torch.where(occupied, place, -1).amax(dim=2)
    first = torch.where(occupied, place, float(length)).amin(dim=2)
    extent = last + 1 if published_extent else last - first + 1
    reach = share * extent / 2
    low, high = (((middle + sign * reach) / cell).floor().clamp(0, cells - 1) for sign in (-1, 1))
    number = torch.arange(cells, device=occupied.device)
    inside = (number >= low[..., None]) & (number <= high[..., None]) & (total > 0)[..., None]
    centres = (number.double() + 0.5) * cell
    return _Side(inside, centres - middle[..., None])
