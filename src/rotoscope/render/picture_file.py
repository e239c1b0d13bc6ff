"""Drawn pictures as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import OutputError
from rotoscope.files import writing


def save_png(path: str | Path, what: str, draw: Callable[[], NDArray[np.uint8]]) -> None:
    """Write a picture as a PNG file, whole or not at all.

    Args:
        path: of the file.
        what: the picture is, for the message.
        draw: gives it, (H, W, 3) uint8 RGB; not called when the name is not that of a PNG file.

    Raises:
        OutputError: the file cannot be written or its name does not end in .png.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise OutputError(f"{what} {path.name!r} is not a PNG file; let the name end in .png")
    with writing(path) as temporary:
        Image.fromarray(draw()).save(temporary, format="PNG")
