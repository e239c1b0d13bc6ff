"""Arrays in memory as a video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import VideoError
from rotoscope.types import Frame, VideoInfo
from rotoscope.video.pictures import grey_to_rgb, over_black
from rotoscope.video.source import Count, Video, check_bounds

_EXPECTED = "expected a uint8 array of shape (H, W, 3) RGB, (H, W) grey or (H, W, 4) RGBA, values 0 to 255"


class ArrayVideo(Video):
    """A sequence of arrays, one a frame; grey is repeated to RGB, RGBA laid over black."""

    def __init__(self, arrays: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], name: str, frame_rate: float) -> None:
        """Check the arrays; of a lazy sequence only the first, the others when they are read.

        Args:
            arrays: at least one; kept, not copied.
            name: short name of the video.
            frame_rate: frames per second that timestamps are made from.

        Raises:
            VideoError: no array, or one of a wrong type, shape or size.
        """
        super().__init__()
        self.source = f"the sequence of {len(arrays)} arrays"
        self._arrays = arrays
        self._rate = frame_rate
        if len(arrays) == 0:
            raise VideoError("the sequence of arrays is empty; give at least one frame")
        _check(arrays[0], 0)
        height, width = arrays[0].shape[:2]
        self.info = VideoInfo(name, width, height, len(arrays), frame_rate)
        if isinstance(arrays, (list, tuple)):
            for index, array in enumerate(arrays):
                self._check_size(array, index)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """See `Video.frames`. An array that already is a frame is given as it is, not copied.

        Raises:
            VideoError: an array is of a wrong type, shape or size, by index.
        """
        check_bounds(self.source, start, stop)
        for index in range(len(self._arrays))[start:stop]:
            array = self._arrays[index]
            self._check_size(array, index)
            yield Frame(index, index / self._rate, _to_rgb(array))

    def details(self) -> Mapping[str, str]:
        """See `Video.details`."""
        return {"kind": "arrays", "variable rate": "no"}

    def count(self) -> Count:
        """See `Video.count`."""
        return Count(len(self._arrays), len(self._arrays) / self._rate, variable_rate=False)

    def _check_size(self, array: object, index: int) -> None:
        shape = _check(array, index)
        if shape[:2] != self.info.size:
            raise VideoError(
                f"array {index} is {shape[1]}x{shape[0]} pixels, but array 0 is "
                f"{self.info.width}x{self.info.height}; the frames of a video must be of one size"
            )


def _check(array: object, index: int) -> tuple[int, ...]:
    if not isinstance(array, np.ndarray):
        raise VideoError(f"frame {index} is a {type(array).__name__}; {_EXPECTED}")
    if array.dtype != np.uint8:
        span = f", values {array.min():g} to {array.max():g}" if array.size and array.dtype.kind in "iuf" else ""
        raise VideoError(f"array {index} is {array.dtype} of shape {array.shape}{span}; {_EXPECTED}")
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,), (4,)) or array.size == 0:
        raise VideoError(f"array {index} has shape {array.shape}; {_EXPECTED}")
    return tuple(array.shape)


def _to_rgb(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if array.ndim == 2:
        return grey_to_rgb(array)
    if array.shape[2] == 4:
        return over_black(array)
    return np.require(array, requirements=["C", "W"])
