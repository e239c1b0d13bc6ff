"""Decode ahead of the consumer, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue

from rotoscope.errors import OptionError
from rotoscope.interrupts import held_back
from rotoscope.types import Frame
from rotoscope.video.notices import notify, redirected

# A source that hangs must not hang its consumer's exit; the thread is a daemon.
_PATIENCE = 10.0


class _Notice(str):
    """A warning on its way to the consumer."""


class _End:
    """The last item: nothing more follows; with an error, that is to be raised."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


_Item = Frame | _Notice | _End


def read_ahead(frames: Iterable[Frame], depth: int = 8) -> Iterator[Frame]:
    """Give the frames in order while a thread reads up to `depth` of them ahead.

    What the source raises is raised here, after the frames before it; its warnings are issued here. When the consumer
    stops early (break, exception, interrupt, `close`) the thread ends and the source is closed.

    Args:
        frames: any source; it is iterated in the thread.
        depth: frames held at most, besides the one that the consumer has and the one being decoded.

    Returns:
        A generator of the same frames.

    Raises:
        OptionError: `depth` is below 1.
    """
    if depth < 1:
        raise OptionError(f"depth {depth}: expected 1 or more frames to read ahead")
    return _consume(frames, depth)


def _consume(frames: Iterable[Frame], depth: int) -> Iterator[Frame]:
    queue: Queue[_Item] = Queue(depth)
    stop = threading.Event()
    thread = threading.Thread(target=_produce, args=(frames, queue, stop), name="rotoscope-read-ahead", daemon=True)
    try:
        with held_back():  # of a thread half started nobody could tell whether it is to be waited for
            thread.start()
        while not isinstance(item := queue.get(), _End):
            if isinstance(item, _Notice):
                notify(item)
            else:
                yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        # Making room frees a thread that waits to put; it then sees the stop.
        with suppress(Empty):
            while True:
                queue.get_nowait()
        if thread.ident is not None:
            thread.join(_PATIENCE)


def _produce(frames: Iterable[Frame], queue: Queue[_Item], stop: threading.Event) -> None:
    def offer(item: _Item) -> None:
        # Once the consumer has gone nobody makes room, so no wait may be for ever.
        while not stop.is_set():
            with suppress(Full):
                queue.put(item, timeout=0.1)
                return

    end = _End()
    try:
        with redirected(lambda message: offer(_Notice(message))):
            iterator = iter(frames)
            try:
                for frame in iterator:
                    offer(frame)
                    if stop.is_set():
                        break
            finally:
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
    except BaseException as error:  # whatever it is, the consumer must hear of it rather than wait for ever
        end = _End(error)
    offer(end)
