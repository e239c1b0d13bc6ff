"""Anchors: boxes of a few sizes and shapes at every position of every map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rotoscope.backbones.detector.conventions import Conventions


def anchors_of(
    shapes: Sequence[tuple[int, int]], padded: tuple[int, int], sizes: Sequence[int], conventions: Conventions
) -> list[Tensor]:
    """The anchors of each map.

    Args:
        shapes: (height, width) of the maps, finest first.
        padded: (height, width) of the padded picture.
        sizes: side of the square anchor of each map, in pixels.
        conventions: see `Conventions`.

    Returns:
        (h * w * 3, 4) float32 for each map: row by row, in a row column by column, the ratios one after the other.
    """
    found = []
    for (height, width), size in zip(shapes, sizes, strict=True):
        down, across = conventions.strides((height, width), padded, size)
        base = conventions.base_anchors(size, across)
        y, x = torch.meshgrid(torch.arange(height) * down, torch.arange(width) * across, indexing="ij")
        shifts = torch.stack([x, y, x, y], dim=2).reshape(-1, 1, 4)  # (h * w, 1, 4)
        found.append((shifts + base).reshape(-1, 4))
    return found
