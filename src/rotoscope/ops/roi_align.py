"""RoIAlign: a fixed grid of values from each box of a map, by bilinear samples without rounding.

Paper: He et al., "Mask R-CNN" (ICCV 2017), section 3. Three variants are in use; they differ in where a map's values
lie and in what happens to small boxes, see `RoiAlign`.

A sample of four neighbours, and the mean of the samples of a bin, are one weighted sum of rows of the map; so all boxes
are one `embedding_bag`, without a copy of the samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_BINS = 1 << 16  # bins at once; 2^16 hold about 16 MiB of places and weights


@dataclass(frozen=True)
class RoiAlign:
    """One variant.

    Attributes:
        size: bins a side.
        samples: a bin and side.
        aligned: values of the map lie at the middles of its cells; otherwise, as first published, at their corners.
        inclusive: a box's x2 and y2 are its last pixels, as in the legacy convention.
        least: a box is made at least so many cells wide and high; 1 in torchvision where `aligned` is off, else 0.
    """

    size: int = 7
    samples: int = 2
    aligned: bool = False
    inclusive: bool = False
    least: float = 0.0

    def __call__(self, maps: Tensor, boxes: Tensor, scale: float, of: Tensor | None = None) -> Tensor:
        """Pool boxes.

        Args:
            maps: (B, C, H, W).
            boxes: (N, 4) x1, y1, x2, y2 in pixels; no gradient flows to them.
            scale: cells a pixel, such as 1 / 16.
            of: (N,) int64, the map that each box lies on; all on the first without it.

        Returns:
            (N, C, size, size), the type of `maps`.
        """
        batch, channels, height, width = maps.shape
        if not len(boxes):
            return maps.new_zeros(0, channels, self.size, self.size)
        rows = maps.permute(0, 2, 3, 1).reshape(batch * height * width, channels).float()
        boxes = boxes.detach().float()
        which = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device) if of is None else of
        y, y_weights = self._axis(boxes[:, 1], boxes[:, 3], scale, height)  # (N, size, 2 * samples)
        x, x_weights = self._axis(boxes[:, 0], boxes[:, 2], scale, width)
        parts = []
        per_box = self.size * self.size
        for part in torch.split(torch.arange(len(boxes), device=boxes.device), max(1, _BINS // per_box)):
            first = which[part, None, None, None, None] * height + y[part, :, None, :, None]  # (n, S, 1, 2s, 1)
            places = first * width + x[part, None, :, None, :]  # (n, S, S, 2s, 2s)
            weights = y_weights[part, :, None, :, None] * x_weights[part, None, :, None, :]
            bags = len(part) * per_box
            pooled = functional.embedding_bag(
                places.reshape(bags, -1), rows, mode="sum", per_sample_weights=weights.reshape(bags, -1)
            )  # (n * S * S, C)
            parts.append(pooled.view(len(part), self.size, self.size, channels).permute(0, 3, 1, 2))
        return torch.cat(parts).to(maps.dtype)

    def _axis(self, start: Tensor, end: Tensor, scale: float, count: int) -> tuple[Tensor, Tensor]:
        """Neighbours of the samples along one axis, (N, size, 2 * samples): places int64 in the map, and weights."""
        shift = 0.5 if self.aligned else 0.0
        begin = start * scale - shift
        length = (end + (1 if self.inclusive else 0)) * scale - shift - begin
        length = length.clamp(min=self.least)
        total = self.size * self.samples
        steps = (torch.arange(total, device=start.device) + 0.5) / self.samples  # in bins
        at = begin[:, None] + steps * (length / self.size)[:, None]  # (N, size * samples)
        # What is no number, or beyond a cell's width outside, gives nothing.
        inside = (at >= -1) & (at <= count)
        at = torch.where(inside, at, torch.zeros_like(at)).clamp(0, count - 1)
        low = at.floor()
        high = (low + 1).clamp(max=count - 1)
        share = at - low
        places = torch.stack([low, high], dim=-1).long()
        weights = torch.stack([1 - share, share], dim=-1) * (inside / self.samples)[..., None]
        shape = (len(start), self.size, 2 * self.samples)
        return places.view(shape), weights.view(shape)
