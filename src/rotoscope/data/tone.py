"""Changes of colour, the same for every pixel of a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Tone:
    """A change of colours: a gain for each channel, then contrast about the middle, then a shift.

    Attributes:
        gains: factors of R, G, B.
        contrast: factor of the distance to 0.5.
        shift: added to all, where colours run from 0 to 1.
    """

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    shift: float = 0.0

    @classmethod
    def draw(cls, width: float, generator: np.random.Generator) -> Tone:
        """Draw one, each part within `width` of leaving things as they are (the shift within half of it)."""
        red, green, blue, contrast = generator.uniform(1 - width, 1 + width, 4).tolist()
        return cls((red, green, blue), contrast, float(generator.uniform(-width, width)) / 2)

    def __call__(self, clip: Tensor) -> Tensor:
        """(3, ...) float in [0, 1] -> the same shape and range; the clip itself where nothing changes."""
        if self == Tone():
            return clip
        slope = torch.tensor(self.gains, dtype=clip.dtype, device=clip.device) * self.contrast
        return (clip * slope.view(3, *[1] * (clip.ndim - 1)) + (0.5 - 0.5 * self.contrast + self.shift)).clamp_(0, 1)
