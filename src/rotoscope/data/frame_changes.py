"""Changes of each frame of a training clip by itself: turns, shears, shifts and scales, drawn frame by frame.

As open trainings of STM have them in their second stage: an object then moves between frames more than it did in the
video.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FrameChanges:
    """How far one frame may be changed.

    Attributes:
        chance: probability of each of the four changes, for each frame.
        turn: largest turn, in degrees.
        shear: largest shear along x, in degrees.
        shift: largest shift in either direction, as a share of the frame's short side.
        scale: range of the scale, for each axis by itself.
    """

    chance: float = 0.5
    turn: float = 30.0
    shear: float = 15.0
    shift: float = 15 / 384
    scale: tuple[float, float] = (0.8, 1.2)

    def draw(self, frames: int, size: tuple[int, int], generator: np.random.Generator) -> Floats:
        """Draw the maps from places in the changed frames to places in the given ones.

        Args:
            frames: T.
            size: (height, width) of the frames in pixels.
            generator: source of chance.

        Returns:
            (T, 2, 3) on coordinates x, y that run from -1 to 1 between the outer edges, x first.
        """
        return np.stack([self._one(size, generator) for _ in range(frames)])

    def _one(self, size: tuple[int, int], generator: np.random.Generator) -> Floats:
        turn = math.radians(generator.uniform(-self.turn, self.turn))
        shear = math.tan(math.radians(generator.uniform(-self.shear, self.shear)))
        shift = generator.uniform(-self.shift, self.shift, 2) * min(size)  # pixels
        scale = generator.uniform(*self.scale, 2)
        changes = [np.eye(3) for _ in range(4)]
        changes[0][:2, :2] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        changes[1][0, 1] = shear
        changes[2][:2, 2] = shift
        changes[3][[0, 1], [0, 1]] = 1 / scale
        used = [change for change in changes if generator.random() < self.chance]
        whole = np.eye(3)  # in pixels around the middle
        for place in generator.permutation(len(used)):
            whole = whole @ used[place]
        half = np.diag([size[1] / 2, size[0] / 2, 1.0])
        return (np.linalg.inv(half) @ whole @ half)[:2]


def changed(clip: Tensor, labels: Tensor, maps: Floats) -> tuple[Tensor, Tensor]:
    """Apply maps frame by frame; what comes from outside a frame is black, and background.

    Args:
        clip: (3, T, H, W) float in [0, 1].
        labels: (T, H, W) uint8.
        maps: (T, 2, 3), see `FrameChanges.draw`.

    Returns:
        Clip and labels of the same shapes; bilinear and nearest.
    """
    theta = torch.from_numpy(maps).to(clip.device, torch.float32)
    grid = functional.affine_grid(theta, [len(maps), 1, *clip.shape[2:]], align_corners=False)  # (T, H, W, 2)
    frames = functional.grid_sample(clip.transpose(0, 1), grid, align_corners=False).transpose(0, 1)
    own = functional.grid_sample(labels[:, None].float(), grid, mode="nearest", align_corners=False)[:, 0]
    return frames.clamp_(0, 1), own.round_().to(torch.uint8)
