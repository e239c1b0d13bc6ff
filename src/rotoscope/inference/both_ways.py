"""Following objects from a frame in the middle: backwards to the start first, then forwards to the end.

The source is read in pieces from the back, then once from the front. Of the backward pass run lengths are kept, and
soft maps, where they are wanted, compressed in a temporary file.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from rotoscope.errors import OptionError
from rotoscope.files import explained
from rotoscope.inference.pipeline import Prompts, answered
from rotoscope.types import Declaration, Frame, FrameResult, Prompt, Session
from rotoscope.video import Video

PIECE = 16  # frames read at once on the way back


def answered_both_ways(
    open_session: Callable[[], Session], video: Video, declaration: Declaration, prompts: Sequence[Prompt]
) -> Iterator[tuple[Frame, FrameResult]]:
    """Every frame of a video with its result, in order.

    The frames before the first prompt are answered by a session of their own, which sees them last to first.

    Args:
        open_session: a new session for the video.
        video: see `pipeline.answered`.
        declaration: of an online system.
        prompts: at least one.

    Raises:
        VideoError: the video has no frame, or a prompt lies behind its end.
        OptionError: the system cannot be used so.
        OutputError: there is no room for the soft maps of the backward pass.
    """
    if declaration.look_ahead != 0 or declaration.prompts == "none" or not prompts:
        raise OptionError("only a system that follows given objects frame by frame can go both ways")
    start = min(prompt.frame_index for prompt in prompts)
    with _Earlier() as earlier:
        _go_back(open_session, video, start, prompts, earlier)
        with open_session() as session:
            for frame, result in answered(session, video, declaration, prompts):
                yield frame, earlier.take(frame.index) or result


class _Earlier:
    """Results of the frames before the first prompt, until they are taken."""

    def __init__(self) -> None:
        self._results: dict[int, FrameResult] = {}
        self._places: dict[int, tuple[int, int]] = {}  # of soft maps in the file: where, how many bytes
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, closed with this

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def keep(self, result: FrameResult) -> None:
        """Keep one for later.

        Raises:
            OutputError: there is no room for its soft map.
        """
        self._results[result.index] = replace(result, soft=None)
        if result.soft is not None:
            packed = zlib.compress(result.soft.tobytes(), 1)
            try:
                self._places[result.index] = self._file.tell(), self._file.write(packed)
            except OSError as error:
                raise explained(error, Path(tempfile.gettempdir())) from error

    def take(self, index: int) -> FrameResult | None:
        """The result of a frame, once; None where nothing was kept."""
        result = self._results.pop(index, None)
        if result is None or index not in self._places:
            return result
        start, length = self._places.pop(index)
        self._file.seek(start)
        soft = np.frombuffer(zlib.decompress(self._file.read(length)), np.uint8)
        return replace(result, soft=soft.reshape(result.size))


def _go_back(
    open_session: Callable[[], Session], video: Video, start: int, prompts: Sequence[Prompt], earlier: _Earlier
) -> None:
    """Answer the frames before `start`."""
    if start == 0:
        return
    first = Prompts(prompts).take(start)
    with open_session() as session:
        for frame in reversed_frames(video, start + 1):
            for result in session.step(frame, first if frame.index == start else None):
                if result.index != start:
                    earlier.keep(result)
        session.finish()


def reversed_frames(video: Video, stop: int) -> Iterator[Frame]:
    """The frames `stop` - 1 to 0, at most `PIECE` in memory."""
    for end in range(stop, 0, -PIECE):
        yield from reversed(list(video.frames(max(0, end - PIECE), end)))
