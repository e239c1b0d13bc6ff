"""Signals that ask to stop: raised once, never lost, held back where something is half begun."""

import signal
import sys
import threading
from contextlib import ExitStack

import pytest

from rotoscope import interrupts
from tests import children

NUMBERS = pytest.mark.parametrize("number", children.ASKING, ids=lambda number: number.name)


@pytest.fixture(autouse=True)
def _listening():
    with children.listening():
        yield


@NUMBERS
def test_a_signal_is_raised_once_and_handlers_are_put_back(number):
    def work():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)  # cleaning up is not interrupted

    with interrupts.raised():
        assert callable(signal.getsignal(number))
    assert signal.getsignal(number) is signal.SIG_DFL
    with pytest.raises(KeyboardInterrupt) as caught, interrupts.raised():
        work()
    assert caught.value.args == (number,)


@NUMBERS
def test_an_ignored_signal_stays_ignored(number):
    with children.listening((number,)), interrupts.raised(), interrupts.held_back():
        signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN


@NUMBERS
def test_a_signal_waits_until_what_must_be_whole_is(number):
    done = []

    def work():
        with interrupts.held_back():
            signal.raise_signal(number)
            done.append(1)
        done.append(2)

    with pytest.raises(KeyboardInterrupt), interrupts.raised():
        work()
    assert done == [1]


def test_a_signal_that_waits_is_not_lost_to_an_error():
    def work():
        signal.raise_signal(signal.SIGINT)
        raise ValueError

    with pytest.raises(KeyboardInterrupt) as caught, interrupts.raised(), interrupts.held_back():
        work()
    assert isinstance(caught.value.__context__, ValueError)


def test_impatience_is_not_held_back(monkeypatch):
    clock = iter([0.0, 1.0, 1.0 + interrupts.PATIENCE, 9.0])
    monkeypatch.setattr(interrupts.time, "monotonic", lambda: next(clock))
    seen = []

    def work():
        for _ in range(4):
            seen.append(1)
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt), interrupts.raised(), interrupts.held_back():
        work()
    assert len(seen) == 3


def test_threads_hold_nothing_back():
    """Python hands signals to the main thread."""
    seen = []

    def work():
        with interrupts.held_back():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]


def test_an_interrupt_that_a_finaliser_swallows_comes_again(capsys):
    class Swallowing:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def wait():
        Swallowing()
        threading.Event().wait(children.LIMIT)

    with ExitStack() as stack:
        stack.callback(setattr, sys, "unraisablehook", sys.unraisablehook)
        sys.unraisablehook = sys.__unraisablehook__
        with pytest.raises(KeyboardInterrupt), interrupts.raised():
            wait()
    assert capsys.readouterr().err == ""
