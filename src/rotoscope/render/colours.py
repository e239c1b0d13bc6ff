"""One colour per track id, the same in every picture that the package draws."""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import OptionError

# Picked by eye over footage (greens, browns, blues, skin) and ordered so that neighbours differ in lightness as well as
# in hue, which keeps them apart for red-green colour blindness.
_PICKED: tuple[tuple[int, int, int], ...] = (
    (255, 56, 124),  # rose
    (36, 176, 255),  # azure
    (255, 205, 46),  # amber
    (20, 205, 160),  # jade
    (158, 108, 255),  # violet
    (255, 108, 32),  # orange
    (152, 232, 255),  # ice
    (172, 226, 44),  # lime
    (255, 150, 214),  # pink
    (62, 104, 240),  # cobalt
    (255, 240, 170),  # cream
    (0, 146, 138),  # teal
)
_GOLDEN_TURN = 0.61803398875  # steps of this fraction of the hue circle never fall close to an earlier one
_SATURATION = (0.80, 0.55, 0.95)
_VALUE = (1.0, 0.92, 0.78)


def track_colour(track_id: int) -> NDArray[np.uint8]:
    """Give the colour of a track.

    Args:
        track_id: 1 or more.

    Returns:
        (3,) uint8, RGB; a fresh array.

    Raises:
        OptionError: `track_id` is below 1.
    """
    return np.array(_colour(int(track_id)), dtype=np.uint8)


@lru_cache(maxsize=4096)
def _colour(track_id: int) -> tuple[int, int, int]:
    if track_id < 1:
        raise OptionError(f"track id {track_id} has no colour: ids start at 1, 0 is the background")
    if track_id <= len(_PICKED):
        return _PICKED[track_id - 1]
    step = track_id - len(_PICKED)
    red, green, blue = colorsys.hsv_to_rgb(
        (0.07 + step * _GOLDEN_TURN) % 1.0, _SATURATION[step % 3], _VALUE[step // 3 % 3]
    )
    return round(255 * red), round(255 * green), round(255 * blue)
