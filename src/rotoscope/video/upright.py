"""From a decoded frame, as the codec left it, to upright RGB bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import av
import numpy as np
from av.buffer import Buffer
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from rotoscope.video.pictures import over_black

# (columns and rows change places, left and right change, top and bottom change), done in this order
Turn = tuple[bool, bool, bool]
_AS_STORED: Turn = (False, False, False)
_NAMES: dict[Turn, str] = {
    _AS_STORED: "none",
    (True, True, False): "90 degrees clockwise",
    (False, True, True): "180 degrees",
    (True, False, True): "90 degrees counterclockwise",
    (False, True, False): "left and right exchanged",
    (False, False, True): "top and bottom exchanged",
    (True, False, False): "transposed",
    (True, True, True): "transposed along the other diagonal",
}

# By quarter turns counterclockwise.
_QUARTERS: tuple[Turn, ...] = (_AS_STORED, (True, False, True), (False, True, True), (True, True, False))


class Converter:
    """Turns decoded frames into RGB arrays; keeps the scaler between frames, which saves a third of its time."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def upright(self, picture: av.VideoFrame) -> NDArray[np.uint8]:
        """Convert a frame to (H, W, 3) uint8 RGB, C-contiguous, turned as its display matrix says.

        The frame's own matrix and range are used (BT.601 and limited where it names none, as FFmpeg does);
        more than 8 bits are scaled down; transparency is laid over black.
        """
        turn = turn_of(picture)
        if any(component.is_alpha for component in picture.format.components):
            return np.ascontiguousarray(_turned(over_black(self._array(picture, "rgba")), turn))
        # Without an explicit copy the array would be a view with padded rows.
        return np.ascontiguousarray(_turned(self._array(picture, "rgb24"), turn))

    def _array(self, picture: av.VideoFrame, layout: str) -> NDArray[np.uint8]:
        # One thread: slices of so small a job cost more than they save, and decoding uses the other cores.
        return np.asarray(self._reformatter.reformat(picture, format=layout, threads=1).to_ndarray(), np.uint8)


def turn_of(picture: av.VideoFrame) -> Turn:
    """Read how a frame must be turned to stand upright, to the nearest quarter turn."""
    try:
        matrix = np.frombuffer(bytes(_side_data(picture)["DISPLAYMATRIX"]), np.int32).reshape(3, 3)
    except KeyError:
        return _AS_STORED
    except ValueError:  # PyAV lists side data of known kinds only, and gives up on a list with another
        return _QUARTERS[round(picture.rotation / 90) % 4]
    # A stored point (x, y) is shown at (a x + c y, b x + d y), y pointing down.
    (a, b), (c, d) = matrix[0, :2], matrix[1, :2]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, bool(a < 0), bool(d < 0)
    return True, bool(c < 0), bool(b < 0)


def _side_data(picture: av.VideoFrame) -> Mapping[str, Buffer]:
    return cast("Mapping[str, Buffer]", picture.side_data)  # the stub names only some of its keys


def turn_name(turn: Turn) -> str:
    """Say a turn in words."""
    return _NAMES[turn]


def resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale a (H, W, 3) image to `size` (height, width), bilinear."""
    return np.array(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _turned(image: NDArray[np.uint8], turn: Turn) -> NDArray[np.uint8]:
    transpose, left_right, top_bottom = turn
    if transpose:
        image = image.transpose(1, 0, 2)
    if left_right:
        image = image[:, ::-1]
    if top_bottom:
        image = image[::-1]
    return image
