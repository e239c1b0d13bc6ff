"""Warnings of this room go through one door, so that a decoding thread can hand them to the thread that consumes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rotoscope.errors import VideoWarning

_sink: ContextVar[Callable[[str], None] | None] = ContextVar("rotoscope_video_notices", default=None)


def notify(message: str) -> None:
    """Warn with a `VideoWarning`, or hand the message on where `redirected` is in force."""
    sink = _sink.get()
    if sink is None:
        warnings.warn(message, VideoWarning, stacklevel=3)
    else:
        sink(message)


@contextmanager
def redirected(sink: Callable[[str], None]) -> Iterator[None]:
    """Send the messages of this thread to `sink` while the block runs."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)
