"""A signal at any line that the main thread runs of the sinks leaves nothing half-written."""

import signal
import sys
import threading
from contextlib import suppress

from rotoscope import files, interrupts
from rotoscope.inference import sinks
from rotoscope.types import Frame, FrameResult, VideoInfo
from rotoscope.video import writer
from tests import children
from tests.inference import bright

WATCHED = {module.__file__ for module in (sinks, files, interrupts, threading, writer)}
INFO = VideoInfo("a", bright.SIZE[1], bright.SIZE[0], 1, 25.0)


class Striking:
    """Sends this process a signal at the nth line of the files watched."""

    def __init__(self, nth):
        self.lines, self._nth = 0, nth

    def __call__(self, frame, event, argument):
        if frame.f_code.co_filename not in WATCHED:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self._nth:
                signal.raise_signal(signal.SIGTERM)
        return self


def written(folder, nth=0):
    """Write a video of one frame, with a signal at line `nth`; how many lines there were."""
    striking = Striking(nth)
    frame = Frame(0, 0.0, bright.images(1)[0])
    with interrupts.raised():
        sys.settrace(striking)
        try:
            with sinks.WriteBehind([sinks.OverlaySink(folder / "a.mp4", INFO)]) as behind:
                behind.write(frame, FrameResult(0, 0.0, bright.SIZE, ()))
        finally:
            sys.settrace(None)
    return striking.lines


def test_nothing_is_left_half_written(tmp_path):
    total = written(tmp_path / "whole")
    assert (tmp_path / "whole" / "a.mp4").stat().st_size > 0
    assert total > 100
    missed = 0
    for nth in range(1, total, 3):
        folder = tmp_path / str(nth)
        with children.listening(), suppress(KeyboardInterrupt):
            written(folder, nth)
            missed += 1
        files.remove_unfinished()  # as the end of the process does
        left = [path.name for path in folder.iterdir()] if folder.exists() else []
        assert left in ([], ["a.mp4"]), nth
    assert missed < total / 20  # waiting for the thread takes a few lines more or less each time
