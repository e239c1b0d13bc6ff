"""The mask of a detection, as a small map in its box."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

POOLED = 14  # bins a side that the head sees
SIDE = 28  # of the masks


class MaskHead(nn.Module):
    """Four 3x3 convolutions on 14x14 bins, a transposed one to 28x28, a map for each class.

    Args:
        channels: of the maps.
        classes: without the background, which has a map too.
        width: of the hidden maps.
        depth: number of 3x3 convolutions.
    """

    def __init__(self, channels: int, classes: int, width: int = 256, depth: int = 4) -> None:
        super().__init__()
        inner = [channels, *[width] * depth]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(inner))
        self.enlarge = nn.ConvTranspose2d(inner[-1], width, 2, 2)
        self.logits = nn.Conv2d(width, classes + 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, 14, 14) -> logits (N, 1 + classes, 28, 28), the background's map first."""
        x = features
        for conv in self.convs:
            x = functional.relu(conv(x), inplace=True)
        x = functional.relu(self.enlarge(x), inplace=True)
        return self.logits(x)  # type: ignore[no-any-return]

    def of_labels(self, features: Tensor, labels: Tensor) -> Tensor:
        """The maps of given classes.

        Args:
            features: (N, C, 14, 14).
            labels: (N,) int64, 0 for the first class.

        Returns:
            (N, 28, 28) logits.
        """
        maps = self(features)
        return maps[torch.arange(len(maps), device=maps.device), labels + 1]  # type: ignore[no-any-return]
