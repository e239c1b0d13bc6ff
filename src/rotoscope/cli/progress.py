"""What a long command tells while it works: lines, and a bar on a terminal or a line now and then elsewhere."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from rich.console import Console

    from rotoscope.inference.pipeline import Progress, Report

EVERY = 10.0  # seconds between lines where there is no terminal


def tell(message: str) -> None:
    """Print one line on the output stream; once that cannot be written to, to nobody: the work goes on."""
    try:
        print(message, flush=True)
    except OSError as error:
        silence(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            complain(f"warning: the output stream cannot be written to: {error.strerror}; the work goes on")


def complain(message: str) -> None:
    """Print one line on the error stream, as `tell`."""
    try:
        print(f"rotoscope: {' '.join(message.split())}", file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Send what is still in a stream's buffer, and all that follows, nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Forgiving(io.FileIO):
    """A file that swallows what it cannot take."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


@contextmanager
def always_writable() -> Iterator[None]:
    """Let nothing fail for want of an error stream that takes what is told: a full disk, a reader that has gone."""
    stream = sys.stderr
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if stream is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (as long as the process)
    elif isinstance(raw, io.FileIO):
        told = io.BufferedWriter(_Forgiving(raw.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(told, stream.encoding, stream.errors, line_buffering=True)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = stream


def speed(rate: float) -> str:
    """Frames a second in words; slow networks get the digits that tell them apart."""
    return f"{rate:.{1 if rate >= 1 else 3}f} frames/s"


@contextmanager
def watched(name: str) -> Iterator[Report]:
    """Give a function that shows progress under `name`, on the error stream."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(name)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:5.1f} frames/s"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=None, rate=0.0)
        # The source's own count is a hint: a bar that ran past it would be wrong, so it only ever grows.
        yield lambda done: bar.update(
            task,
            description=f"{name}, {done.what}" if done.what else name,
            completed=done.done,
            total=None if done.total is None else max(done.total, done.done),
            rate=done.rate,
        )


@contextmanager
def counting(console: Console) -> Iterator[Callable[[str, int], None]]:
    """Give a function that is called with a name and the total for each thing done, and that moves a bar.

    The bar is shown on a terminal only, and taken away after.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda name, total: bar.update(task, advance=1, total=total, description=name)


@contextmanager
def stepping(name: str) -> Iterator[Callable[[int, int, str, float, bool], None]]:
    """Give a function that shows a training's steps under `name`, on the error stream.

    It takes the steps done, the steps in all, words, the seconds left, and whether the step wrote a line of the log:
    those are what is printed where there is no terminal.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield (
            lambda done, total, words, left, logged: (
                complain(f"{name}: step {done} of {total}, {words}, {duration(left)} left") if logged else None
            )
        )
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, TextColumn("{task.fields[words]}", markup=False), console=console, transient=True) as bar:
        task = bar.add_task(name, total=None, words="")
        yield lambda done, total, words, left, logged: bar.update(
            task, completed=done, total=total, words=f"{words}, {duration(left)} left"
        )


def duration(seconds: float) -> str:
    """Seconds in words: 12 s, 3:05, 1:02:03."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


class _Lines:
    """Prints a line every ten seconds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < EVERY:
            return
        self._last = now
        total = "" if progress.total is None else f" of {progress.total}"
        left = progress.seconds_left
        rest = "" if left is None else f", {left:.0f} s left"
        what = f"{progress.what}, " if progress.what else ""
        complain(f"{self._name}: {what}{progress.done}{total} frames, {speed(progress.rate)}{rest}")
