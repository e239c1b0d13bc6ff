"""Clips rendered for the tests of this room."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def numbered(index: int, size: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    """A frame that tells its number by eight blocks, black or white, and its corners by colour (red is top left)."""
    height, width = size
    image = np.full((height, width, 3), 90, np.uint8)
    image[: height // 4, : width // 4] = (255, 0, 0)
    image[: height // 4, -(width // 4) :] = (0, 255, 0)
    image[-(height // 4) :, : width // 4] = (0, 0, 255)
    for bit in range(8):
        left = bit * width // 8
        image[height // 3 : 2 * height // 3, left : left + width // 8] = 255 * (index >> bit & 1)
    return image


def number(image: NDArray[np.uint8]) -> int:
    """Read the number of a frame again."""
    height, width = image.shape[:2]
    row = image[height // 2].mean(-1)
    return sum(int(row[bit * width // 8 + width // 16] > 75) << bit for bit in range(8))


def encode(
    path: Path,
    images: Sequence[NDArray[np.uint8]],
    *,
    rate: Fraction | int = 25,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    times: Sequence[float] | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    matrix: Sequence[int] | None = None,
) -> Path:
    """Encode images, one packet stream, no part of the code under test."""
    with av.open(str(path), "w", options=container or {}) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[index] * 1000), Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
