"""The fastest clip there is, for tests: a textured disc moves over a textured background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rotoscope.data.synthetic.clip import check_clip
from rotoscope.data.synthetic.noise import octave_noise
from rotoscope.types import Frame


def moving_disc_clip(
    frames: int = 8, size: tuple[int, int] = (64, 96), seed: int = 0
) -> tuple[list[Frame], list[NDArray[np.bool_]]]:
    """Render a short clip of one moving disc, held in memory.

    Args:
        frames: number of frames, 1 or more.
        size: (height, width), each 16 or more.
        seed: decides textures, colours and path.

    Returns:
        Frames at 24 per second, and for each a (H, W) bool mask of the disc, never empty.

    Raises:
        OptionError: an argument is out of its range.
    """
    check_clip(frames, size)
    rng = np.random.default_rng(seed)
    height, width = size
    radius = 0.22 * min(size)
    ground = _texture(rng, size, rng.uniform(60, 130, 3), 26)
    side = int(2 * radius) + 3
    skin = _texture(rng, (side, side), rng.uniform(150, 230, 3) * rng.permutation((1.0, 0.75, 0.45)), 18)
    start, end = (rng.uniform(radius + 1, (height, width)[axis] - radius - 1, 2) for axis in (0, 1))
    progress = np.linspace(0, 1, frames)
    ys = start[0] + (start[1] - start[0]) * progress
    xs = np.sort(end)[0] * (1 - progress) + np.sort(end)[1] * progress
    rows, columns = np.ogrid[:height, :width]
    clip, masks = [], []
    for index, (y, x) in enumerate(zip(ys, xs, strict=True)):
        mask = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
        image = ground.copy()
        row, column = np.nonzero(mask)
        inside = skin[
            np.clip(np.rint(row - y + radius), 0, side - 1).astype(int),
            np.clip(np.rint(column - x + radius), 0, side - 1).astype(int),
        ]
        image[row, column] = inside
        clip.append(Frame(index, index / 24.0, image))
        masks.append(mask)
    return clip, masks


def _texture(
    rng: np.random.Generator, size: tuple[int, int], colour: NDArray[np.float64], contrast: float
) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 about a colour."""
    light = contrast * octave_noise(rng, size, (size[0] / 3, size[0] / 3), 5, 0.7)
    return np.clip(colour + light[..., None], 0, 255).astype(np.uint8)
