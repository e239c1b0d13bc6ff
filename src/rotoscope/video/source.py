"""What every source of frames offers, whatever it is read from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rotoscope.errors import VideoError
from rotoscope.types import Frame, VideoInfo
from rotoscope.video.notices import notify


@dataclass(frozen=True, slots=True)
class Count:
    """What a whole pass over a video found.

    Attributes:
        frames: frames delivered.
        seconds: from the first frame to the end of the last.
        variable_rate: whether the time between frames varies.
    """

    frames: int
    seconds: float
    variable_rate: bool


class Video(ABC):
    """A video that can be read again and again from its start, one frame in memory at a time.

    Attributes:
        info: name, size and what the source says of its length; the size is that of the first frame, upright.
        source: what the video was opened from, in words.
    """

    info: VideoInfo
    source: str

    def __init__(self) -> None:
        self._told: set[str] = set()

    @abstractmethod
    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Give the frames `start` (included) to `stop` (excluded, None: to the end), each call reading anew.

        Every image is (H, W, 3) uint8 RGB, C-contiguous, writable, upright and of the size in `info`. The indices are
        those of plain iteration. A `start` behind the end gives nothing.

        Raises:
            VideoError: the source cannot be read, or a bound is negative.
        """

    @abstractmethod
    def details(self) -> Mapping[str, str]:
        """Say in words what the source tells of itself (codec, pixel format, rotation ...), without decoding it all."""

    @abstractmethod
    def count(self) -> Count:
        """Read the whole video and count it."""

    def __iter__(self) -> Iterator[Frame]:
        """Give all frames, from the start each time."""
        return self.frames()

    def seek(self, index: int) -> Frame:
        """Give frame `index`, the same as the `index`-th of iteration.

        Raises:
            VideoError: there is no such frame.
        """
        for frame in self.frames(index, index + 1):
            return frame
        raise self._no_frame(index)

    def close(self) -> None:
        """Let go of what `seek` holds open; the video can still be used afterwards."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _no_frame(self, index: int) -> VideoError:
        return VideoError(f"{self.source} has no frame {index}: it ends before; frames are numbered from 0")

    def _tell_once(self, kind: str, message: str) -> None:
        """Warn of one kind of fault once in the life of this object, however often it is read."""
        if kind not in self._told:
            self._told.add(kind)
            notify(message)


def check_bounds(source: str, start: int, stop: int | None) -> None:
    """Refuse negative frame numbers.

    Raises:
        VideoError: a bound is negative.
    """
    lowest = start if stop is None else min(start, stop)
    if lowest < 0:
        raise VideoError(f"{source}: frame {lowest} asked for; frames are numbered from 0, give 0 or more")
