"""3DC-Seg on a video: the probabilities of overlapping clips are averaged (BMVC 2020, section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from rotoscope.models.clip_session import ClipSession


class ThreeDCSession(ClipSession):
    """One video going through 3DC-Seg; see `ClipSession`."""

    system = "3dc-seg"
    threshold = 0.5
    fill = "first"

    @staticmethod
    def evidence(logits: Tensor) -> Tensor:
        """(2, T, h, w) -> (T, h, w), the softmax of two channels, the second being the foreground."""
        return torch.sigmoid(logits[1] - logits[0])

    @staticmethod
    def probability(mean: Tensor) -> Tensor:
        """(h, w) -> (h, w), as it is."""
        return mean
