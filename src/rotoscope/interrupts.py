"""Signals that ask to stop: Ctrl-C, SIGTERM and SIGHUP. It imports nothing heavy: handlers come before all else.

A signal that is ignored when a process starts, as in the background of a shell script or under nohup, stays ignored.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType

STOPPED = "stopped; files already written are whole"
PATIENCE = 3.0  # seconds after which a second signal no longer waits for what the first one began
_AGAIN = 0.05  # seconds until an interrupt that was lost is raised again

PassOn = Callable[[int], None]
Handler = Callable[[int, PassOn], None]


def asking() -> list[int]:
    """The signals that ask this process to stop: none of those that it was told to ignore."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)]


def end_at_once() -> None:
    """From now on a signal ends the process with one line: for its start, when there is nothing to clean up.

    An exception, such as `KeyboardInterrupt`, may get lost in the middle of an import.
    """
    for number in asking():
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    with suppress(OSError):
        os.write(2, f"rotoscope: {STOPPED}\n".encode())
    os._exit(128 + number)


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """Let a function take the signals of the block; elsewhere than in the main thread there are none to take.

    Args:
        handler: gets the signal's number, and a function that passes it on to whatever took it before.
    """
    with ExitStack() as stack:
        _take(handler, stack)
        yield


def _take(handler: Handler, stack: ExitStack) -> None:
    """Install a handler; the stack puts back the ones before it."""
    before = {number: signal.getsignal(number) for number in asking()}

    def pass_on(number: int) -> None:
        signal.signal(number, before[number])
        signal.raise_signal(number)

    def take(number: int, frame: FrameType | None) -> None:
        handler(number, pass_on)

    import threading  # not before `end_at_once`: it takes milliseconds

    if threading.current_thread() is threading.main_thread():
        for number, earlier in before.items():
            stack.callback(signal.signal, number, earlier)
            signal.signal(number, take)


@contextmanager
def raised() -> Iterator[None]:
    """Turn the signals of the block into `KeyboardInterrupt(number)`, once: cleaning up is not to be interrupted.

    One that got lost, because a finaliser was at work, is raised again. A second signal ends the process after
    `PATIENCE` seconds.
    """
    first: list[float] = []

    def stop(number: int, pass_on: PassOn) -> None:
        if not first:
            first.append(time.monotonic())
            raise KeyboardInterrupt(number)
        if time.monotonic() - first[0] > PATIENCE:
            os._exit(128 + number)

    def lost(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt) and first:
            first.clear()
            _send_soon(*unraisable.exc_value.args)
        else:
            told(unraisable)

    told, sys.unraisablehook = sys.unraisablehook, lost
    stack = ExitStack()
    try:
        _take(stop, stack)
        yield
    finally:
        sys.unraisablehook = told
        if not first:  # else the process is about to end, and is to end in peace
            stack.close()


def _send_soon(number: int) -> None:
    """Send this process a signal once what is at work now is done; the main thread is woken up where it waits."""
    import threading

    def send() -> None:
        if hasattr(signal, "pthread_kill"):
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        else:
            signal.raise_signal(number)

    again = threading.Timer(_AGAIN, send)
    again.daemon = True
    again.start()


@contextmanager
def held_back() -> Iterator[None]:
    """Let signals wait until the end of the block, which is short and would leave things half begun otherwise.

    A second one, after `PATIENCE` seconds, does not wait.
    """
    waiting: list[tuple[int, float]] = []

    def note(number: int, pass_on: PassOn) -> None:
        if not waiting:
            waiting.append((number, time.monotonic()))
        elif time.monotonic() - waiting[0][1] > PATIENCE:
            waiting.clear()
            pass_on(number)

    try:
        with handled(note):
            yield
    finally:
        if waiting:
            signal.raise_signal(waiting[0][0])
