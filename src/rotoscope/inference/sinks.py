"""Where frames and their results go: masks, soft maps, overlay video, contact sheet, cut-outs, tracks.

A sink is a context manager; leaving it without an error finishes its file, leaving it with one leaves nothing
half-written.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rotoscope.inference.segmentation import Format, TrackCollector, write_tracks
from rotoscope.interrupts import held_back
from rotoscope.masks.davis import DavisWriter, SoftWriter
from rotoscope.masks.run_length import decode
from rotoscope.render import ContactSheet, CutoutFolder, overlay
from rotoscope.render import cutout as cut
from rotoscope.types import Frame, FrameResult, VideoInfo
from rotoscope.video import VideoWriter

SLOWEST = 0.001  # frames per second that a video file can state


class Sink(Protocol):
    """Takes every frame with its result, in order."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Take one frame and what was found in it."""
        ...


class _Plain:
    """A sink with nothing to open or close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class MaskSink(_Plain):
    """One palette PNG a frame."""

    def __init__(self, folder: Path) -> None:
        self._writer = DavisWriter(folder)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Write the frame's label map."""
        self._writer.write(result)


class SoftSink(_Plain):
    """One 8-bit grey PNG a frame, 255 = certainly foreground."""

    def __init__(self, folder: Path) -> None:
        self._writer = SoftWriter(folder)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Write the frame's soft map."""
        self._writer.write(result)


def _rate(info: VideoInfo) -> float | None:
    """The frame rate where a file can state it; frames carry their times anyway."""
    return info.frame_rate if info.frame_rate is not None and info.frame_rate >= SLOWEST else None


class OverlaySink:
    """A video with the objects drawn over it, and their names beside them where asked for."""

    def __init__(self, path: Path, info: VideoInfo, names: bool = False) -> None:
        self._writer = VideoWriter(path, info.size, _rate(info))
        self._names = names

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Draw and encode one frame."""
        self._writer.write(overlay(frame.image, result.objects, names=self._names, apart=True), frame.timestamp)


class SheetSink:
    """A contact sheet PNG: frames evenly spaced in time, written at the end; names may be kept from covering others."""

    def __init__(self, path: Path, info: VideoInfo, apart: bool = False) -> None:
        self._sheet = ContactSheet(title=" ".join(info.name.split()), apart=apart)
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._sheet.count:
            self._sheet.save(self._path)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Take one frame; most are only counted."""
        self._sheet.add(frame.image, result.objects, frame.index, frame.timestamp)


def is_cutout_folder(path: Path) -> bool:
    """Whether cut-outs at `path` are a folder of PNG rather than a video."""
    return not path.suffix or path.is_dir()


class CutoutSink:
    """The objects with alpha: a folder of PNG, or a .webm (VP9) or .mov (ProRes 4444) video, by the path's suffix."""

    def __init__(self, path: Path, info: VideoInfo) -> None:
        folder = is_cutout_folder(path)
        self._folder = CutoutFolder(path) if folder else None
        self._writer = None if folder else VideoWriter(path, info.size, _rate(info), alpha=True)

    def __enter__(self) -> Self:
        if self._writer is not None:
            self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.__exit__(kind, error, trace)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Cut one frame; the soft map is the alpha where there is one."""
        alpha = result.soft if result.soft is not None else _union(result)
        if self._folder is not None:
            self._folder.write(frame.image, alpha, frame.index, frame.name)
        if self._writer is not None:
            self._writer.write(cut(frame.image, alpha), frame.timestamp)


def _union(result: FrameResult) -> NDArray[np.bool_]:
    mask = np.zeros(result.size, np.bool_)
    for item in result.objects:
        mask |= decode(item.mask)
    return mask


class TrackSink:
    """All tracks of the video in one file, written at the end."""

    def __init__(self, path: Path, format: Format, categories: Mapping[str, int] | None = None) -> None:
        self._path, self._format, self._categories = path, format, categories
        self._collector = TrackCollector()
        self._frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            write_tracks(self._path, self._collector.tracks(), self._frames, self._format, self._categories)

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Take the frame's run lengths."""
        self._collector.add(result)
        self._frames += 1


class WriteBehind:
    """Runs several sinks in one thread, so that drawing and encoding overlap with the network.

    Args:
        sinks: entered and left together; an error in one leaves all of them with that error.
        depth: frames that may wait.
    """

    def __init__(self, sinks: Sequence[Sink], depth: int = 8) -> None:
        self._sinks = sinks
        self._queue: queue.Queue[tuple[Frame, FrameResult] | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._stack = ExitStack()
        self._thread = threading.Thread(target=self._work, name="rotoscope-write-behind", daemon=True)

    def __enter__(self) -> Self:
        try:
            with held_back():  # of a thread half started nobody could tell whether it is to be waited for
                with ExitStack() as stack:
                    for sink in reversed(self._sinks):  # so that they are finished in the order given, masks first
                        stack.enter_context(sink)
                    self._stack = stack.pop_all()
                self._thread.start()
            return self
        except BaseException as error:
            self._leave(error)
            raise

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Hand one frame over; raises what went wrong with an earlier one."""
        if self._error is not None:
            raise self._error
        self._put((frame, result))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failure = self._leave(error)
        if failure is not None and kind is None:
            raise failure

    def _leave(self, error: BaseException | None) -> BaseException | None:
        """End the thread and leave the sinks; what went wrong, if anything did."""
        try:
            self._end(error)
        except BaseException as interrupt:
            error = interrupt
            self._end(error)
        failure = self._error or error
        with held_back():
            if failure is None:
                self._stack.close()
            else:
                self._stack.__exit__(type(failure), failure, failure.__traceback__)
        return failure

    def _end(self, error: BaseException | None) -> None:
        if not isinstance(error, Exception | None):
            self._error = self._error or error  # interrupted: what still waits is not worth writing
        if self._thread.ident is not None:
            self._put(None)
            self._thread.join()

    def _put(self, item: tuple[Frame, FrameResult] | None) -> None:
        with held_back():  # Python's queue may forget to wake the thread when an exception strikes in the middle
            self._queue.put(item)

    def _work(self) -> None:
        # After an error the queue is still emptied, so that nobody waits for room in it.
        while (item := self._queue.get()) is not None:
            if self._error is None:
                try:
                    for sink in self._sinks:
                        sink.write(*item)
                except BaseException as error:  # handed to the thread that writes
                    self._error = error
