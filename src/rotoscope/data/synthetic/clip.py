"""The clip as a source of frames and ground truth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rotoscope.data.synthetic.scene import Scene
from rotoscope.errors import OptionError
from rotoscope.types import Frame, VideoInfo

_NAMES = {1: "dog", 2: "car"}
_SMALLEST = 16


class SyntheticClip:
    """A dog that trots over a meadow and a car that passes on the road behind, seen by a moving camera.

    Drawn by the package itself, frame by frame, with exact ground truth. The things cross the picture once in the
    clip, whatever its length. The same arguments give the same clip, and it can be iterated again. The scene itself
    is drawn when the first frame is asked for.

    Args:
        frames: number of frames, 1 or more.
        size: (height, width), each 16 or more.
        seed: decides landscape, colours, the camera's unrest and the direction of travel.
        things: 1 for the dog (id 1), 2 for the dog and the car (id 2).
        frame_rate: frames per second, for the timestamps.

    Raises:
        OptionError: an argument is out of its range.
    """

    def __init__(
        self,
        frames: int = 72,
        size: tuple[int, int] = (480, 854),
        seed: int = 0,
        things: int = 2,
        frame_rate: float = 24.0,
    ) -> None:
        check_clip(frames, size)
        if things not in (1, 2):
            raise OptionError(f"a synthetic clip with {things} things; expected 1 (dog) or 2 (dog and car)")
        if not frame_rate > 0:
            raise OptionError(f"frame rate is {frame_rate}; expected a number above 0")
        if seed < 0:
            raise OptionError(f"seed is {seed}; expected 0 or more")
        self.frames, self.size, self.seed, self.things, self.frame_rate = frames, size, seed, things, frame_rate
        self._scene: Scene | None = None

    @property
    def info(self) -> VideoInfo:
        """Name, size, number of frames and rate."""
        return VideoInfo(f"synthetic-{self.seed}", self.size[1], self.size[0], self.frames, self.frame_rate)

    @property
    def names(self) -> dict[int, str]:
        """Id to category name."""
        return {track_id: _NAMES[track_id] for track_id in range(1, self.things + 1)}

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[tuple[Frame, NDArray[np.uint8]]]:
        """Frames with (H, W) uint8 label maps: 0 background, else the id of the thing seen at the pixel."""
        for index in range(self.frames):
            yield self[index]

    def __getitem__(self, index: int) -> tuple[Frame, NDArray[np.uint8]]:
        """Draw one frame and its label map; any order is fine.

        Raises:
            IndexError: there is no such frame.
        """
        if not 0 <= index < self.frames:
            raise IndexError(f"frame {index} of a clip of {self.frames}")
        if self._scene is None:
            self._scene = Scene(self.seed, self.frames, self.size, self.things)
        image, labels = self._scene.render(index)
        return Frame(index, index / self.frame_rate, image), labels


def check_clip(frames: int, size: tuple[int, int]) -> None:
    """Refuse a clip that cannot be drawn.

    Raises:
        OptionError: no frames, or a side below 16 pixels.
    """
    if frames < 1:
        raise OptionError(f"a synthetic clip of {frames} frames; expected 1 or more")
    if len(size) != 2 or min(size) < _SMALLEST:
        raise OptionError(f"a synthetic clip of size {size}; expected (height, width), each {_SMALLEST} or more")
