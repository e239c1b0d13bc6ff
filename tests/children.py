"""Programs that tests start: what they are told by signals, and how much they may write."""

import resource
import signal
import subprocess
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

LIMIT = 600.0  # seconds until a program counts as hung: far above what any takes on a busy machine
ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def listening(ignored: Collection[int] = ()) -> Iterator[None]:
    """Programs started within answer the signals that ask to stop, but for those ignored.

    A program inherits what is ignored, and these tests may run in the background of a shell script, where Ctrl-C is.
    """
    before = {}
    for number in ASKING:
        before[number] = signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start(command: Sequence[str], ignored: Collection[int] = (), **options: Any) -> subprocess.Popen[str]:
    """Start a program that answers signals, but for those ignored; its streams are text."""
    with listening(ignored):
        return subprocess.Popen(command, text=True, **options)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes, here and in programs that are started within: as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
