from __future__ import annotations

import gc
import threading
import time
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from rotoscope.errors import OptionError, VideoError, VideoWarning
from rotoscope.types import Frame
from rotoscope.video import read_ahead
from rotoscope.video.notices import notify

PIXELS = np.zeros((2, 2, 3), np.uint8)


class Source:
    """Frames without end, that know how far they were read and whether they were closed."""

    def __init__(self, stop: int = 10**9) -> None:
        self.given = 0
        self.stop = stop
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        try:
            while self.given < self.stop:
                self.given += 1
                yield Frame(self.given - 1, 0.0, PIXELS)
        finally:
            self.closed.set()


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    gc.collect()
    until = time.monotonic() + 2
    while any(thread.name == "rotoscope-read-ahead" for thread in threading.enumerate()):
        assert time.monotonic() < until, "a read-ahead thread was left behind"
        time.sleep(0.01)


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_order_and_completeness(depth: int) -> None:
    assert [frame.index for frame in read_ahead(Source(50), depth)] == list(range(50))
    assert list(read_ahead([], depth)) == []


def test_no_more_than_depth_is_read_ahead() -> None:
    source = Source()
    frames = read_ahead(source, depth=3)
    next(frames)
    time.sleep(0.2)
    assert source.given <= 1 + 3 + 1
    frames.close()
    assert source.closed.is_set()


@pytest.mark.parametrize("depth", [1, 8])
def test_an_early_exit_ends_the_thread(depth: int) -> None:
    source = Source()
    for frame in read_ahead(source, depth):
        if frame.index == 2:
            break
    gc.collect()
    assert source.closed.wait(2)


def test_an_interrupt_in_the_consumer_ends_the_thread() -> None:
    source = Source()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        for _ in read_ahead(source):
            raise KeyboardInterrupt
    gc.collect()
    assert source.closed.wait(2)


def test_a_generator_never_started_starts_no_thread() -> None:
    source = Source()
    frames = read_ahead(source)
    time.sleep(0.05)
    assert source.given == 0
    frames.close()


def test_an_error_comes_after_the_frames_before_it() -> None:
    def broken() -> Iterator[Frame]:
        yield Frame(0, 0.0, PIXELS)
        yield Frame(1, 0.0, PIXELS)
        raise VideoError("broken here")

    seen = []
    with pytest.raises(VideoError, match="broken here"):
        seen.extend(frame.index for frame in read_ahead(broken()))
    frames = read_ahead(broken())
    assert [next(frames).index, next(frames).index] == [0, 1]
    with pytest.raises(VideoError, match="broken here"):
        next(frames)
    with pytest.raises(TypeError):
        next(read_ahead(3))  # type: ignore[arg-type]


def test_warnings_are_issued_by_the_consumer() -> None:
    def warned() -> Iterator[Frame]:
        yield Frame(0, 0.0, PIXELS)
        notify("something was mended")
        yield Frame(1, 0.0, PIXELS)

    issuers = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *_: issuers.append(threading.current_thread())  # type: ignore[assignment]
        assert len(list(read_ahead(warned()))) == 2
    assert issuers == [threading.current_thread()]
    frames = read_ahead(warned(), depth=1)
    next(frames)
    with pytest.raises(VideoWarning, match="mended"):  # warnings are errors in these tests
        next(frames)


def test_a_warning_while_closing_does_not_hang() -> None:
    def closing_loudly() -> Iterator[Frame]:
        try:
            while True:
                yield Frame(0, 0.0, PIXELS)
        finally:
            for _ in range(5):
                notify("closing")

    start = time.monotonic()
    frames = read_ahead(closing_loudly(), depth=1)
    next(frames)
    frames.close()
    assert time.monotonic() - start < 2


def test_depth_below_one() -> None:
    with pytest.raises(OptionError, match="depth 0"):
        read_ahead([], 0)
