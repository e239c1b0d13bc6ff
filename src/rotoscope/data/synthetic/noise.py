"""Noise with structure at several scales: the grain of grass, cloud, fur and film."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Field = NDArray[np.float32]


def octave_noise(
    rng: np.random.Generator,
    size: tuple[int, int],
    cell: tuple[float, float],
    octaves: int = 4,
    persistence: float = 0.55,
) -> Field:
    """Sum random grids, each finer and weaker than the one before.

    Args:
        rng: source of the grids.
        size: (height, width).
        cell: (height, width) in pixels of the coarsest grid's cells.
        octaves: grids to sum; those finer than a pixel are left out.
        persistence: weight of a grid relative to the coarser one.

    Returns:
        (H, W) float32, mean about 0, most values within [-1, 1].
    """
    height, width = size
    total = np.zeros(size, np.float32)
    weight, power = 1.0, 0.0
    for octave in range(octaves):
        step = cell[0] / 2**octave, cell[1] / 2**octave
        if octave and min(step) < 1.0:
            break
        grid = rng.standard_normal((int(height / step[0]) + 4, int(width / step[1]) + 4), dtype=np.float32)
        box = (1.5, 1.5, 1.5 + width / step[1], 1.5 + height / step[0])
        layer = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC, box=box)
        total += weight * np.asarray(layer)
        power += weight**2
        weight *= persistence
    return total * np.float32(0.75 / np.sqrt(power))


def tile_noise(rng: np.random.Generator, side: int, softness: float) -> Field:
    """Noise that repeats without a seam.

    Args:
        rng: source of the values.
        side: height and width.
        softness: standard deviation, in pixels, of the blur that gives the grain its size.

    Returns:
        (side, side) float32, mean 0 and standard deviation 1.
    """
    values = rng.standard_normal((side, side), dtype=np.float32)
    if softness > 0:
        values = ndimage.gaussian_filter(values, softness, mode="wrap")
    values -= values.mean()
    return np.asarray(values / max(float(values.std()), 1e-6), dtype=np.float32)


def ridge(rng: np.random.Generator, width: int, longest: float, octaves: int, persistence: float = 0.5) -> Field:
    """A skyline: (width,) float32, mean about 0, most values within [-1, 1]; `longest` is the widest hill in pixels."""
    total = np.zeros(width, np.float32)
    weight, power = 1.0, 0.0
    for octave in range(octaves):
        step = longest / 2**octave
        if octave and step < 2.0:
            break
        points = rng.standard_normal(int(width / step) + 4, dtype=np.float32)
        positions = np.arange(width, dtype=np.float32) / step + 1
        total += weight * ndimage.map_coordinates(points, positions[None], order=3, mode="nearest")
        power += weight**2
        weight *= persistence
    return total * np.float32(0.75 / np.sqrt(power))
