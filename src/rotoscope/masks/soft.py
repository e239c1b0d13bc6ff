"""Soft maps: one 8-bit grey PNG a frame, 0 surely background, 255 surely foreground."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import MaskError
from rotoscope.masks.png import read_png, write_grey_png


def write_soft_png(path: Path, soft: NDArray[np.uint8]) -> None:
    """Write (H, W) uint8 foreground probabilities, 255 = certain.

    Raises:
        MaskError: another shape or dtype.
        OutputError: the file cannot be written.
    """
    if soft.ndim != 2 or soft.size == 0 or soft.dtype != np.uint8:
        raise MaskError(
            f"a soft map must be (height, width) uint8, found {soft.shape} of {soft.dtype}; "
            "round probabilities in 0..1 to 0..255 first"
        )
    write_grey_png(path, soft)


def read_soft_png(path: Path) -> NDArray[np.uint8]:
    """Read (H, W) uint8 foreground probabilities, 255 = certain.

    Raises:
        MaskError: no such file, damaged, or no 8-bit grey PNG.
    """
    stored = read_png(path)
    if stored.kind != "grey" or stored.values.dtype != np.uint8:
        raise MaskError(f"{path} holds ids, not levels of grey; expected an 8-bit grey PNG")
    return stored.values.astype(np.uint8, copy=False)
