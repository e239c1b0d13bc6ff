"""Numbers as colours: one scale from dark to light, told apart in grey and by colour-blind eyes too."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BLANK = (58, 62, 70)  # what NaN looks like

# Picked so that lightness rises evenly while the hue goes from blue by rose to yellow.
_STOPS = (
    (10, 12, 44),
    (44, 26, 110),
    (104, 32, 132),
    (168, 46, 116),
    (222, 78, 78),
    (248, 132, 44),
    (252, 192, 58),
    (252, 246, 176),
)


@lru_cache(maxsize=1)
def _table() -> NDArray[np.uint8]:
    """(256, 3)."""
    places = np.linspace(0, 1, len(_STOPS))
    stops = np.array(_STOPS, np.float64)
    channels = [np.interp(np.linspace(0, 1, 256), places, stops[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def heat(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    """Colour a map.

    Args:
        values: any shape; NaN gets the colour `BLANK`, what lies outside the scale its end's.
        low: value of the darkest colour.
        high: value of the lightest, above `low`.

    Returns:
        The shape and 3 more, uint8 RGB.
    """
    blank = np.isnan(values)
    share = (np.where(blank, low, values) - low) / (high - low)
    colours = _table()[(share.clip(0, 1) * 255).round().astype(np.uint8)]
    colours[blank] = BLANK
    return colours
