"""What a network does first to pixels: subtract a mean, divide by a spread."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PixelNorm(nn.Module):
    """x -> (255 x - mean) / std / scale, the constants kept as buffers so that files carry them.

    Args:
        mean: per channel R, G, B, or one for all, in 0..255.
        std: likewise.
        scale: a last divisor; 3DC-Seg divides by 255 again, so that only the mean is removed.
        dimensions: what follows the channels: 3 for clips (T, H, W), 2 for pictures (H, W).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], scale: float = 255.0, dimensions: int = 3) -> None:
        super().__init__()
        shape = (1, -1, *[1] * dimensions)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(shape))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(shape))
        self.scale = scale
        self.output: torch.dtype | None = None  # None: that of the input

    def forward(self, clip: Tensor) -> Tensor:
        """(B, 3, T, H, W) or (B, 3, H, W) RGB, float in [0, 1] or uint8 -> the same shape, float."""
        divisor = self.std * self.scale
        if clip.dtype == torch.uint8:
            normal = (clip - self.mean).mul_(1 / divisor)
        else:
            normal = clip * (255.0 / divisor).to(clip.dtype) - (self.mean / divisor).to(clip.dtype)
        return normal if self.output is None else normal.to(self.output)
