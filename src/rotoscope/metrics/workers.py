"""Sequences shared among processes."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from rotoscope.bounds import whole
from rotoscope.errors import DataError, OptionError

Job = TypeVar("Job")
Result = TypeVar("Result")
Progress = Callable[[str], None]


def score_all(
    score: Callable[[Job], Result],
    jobs: Sequence[Job],
    names: Sequence[str],
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Result]:
    """Score every job, in order.

    Args:
        score: a function of a module, so that another process can find it.
        jobs: what it is given, one a sequence.
        names: of the sequences.
        workers: processes that share the jobs; above 1, the calling script needs the usual
            `if __name__ == "__main__":`.
        progress: called with the name of each sequence that is done.

    Raises:
        OptionError: no worker.
        DataError: no sequence, or a worker was ended from outside, as for want of memory.
    """
    if workers < 1:
        raise OptionError(f"scoring needs at least one worker, found {workers}")
    whole("workers", workers, 1, 256)
    if not jobs:
        raise DataError("there is no sequence to score; name at least one")
    results = []
    try:
        for name, result in zip(names, _results(score, jobs, min(workers, len(jobs))), strict=True):
            results.append(result)
            if progress is not None:
                progress(name)
    except BrokenProcessPool as error:
        raise DataError("a worker process was ended, perhaps for want of memory; use fewer workers") from error
    return results


def _results(score: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    if workers == 1:
        yield from map(score, jobs)
        return
    # Spawned, not forked: a fork of a process with threads, such as torch's, may hang.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, initializer=_begin_worker) as pool:
        try:
            with _interrupts_waiting():
                futures = [pool.submit(score, job) for job in jobs]
            for future in futures:
                yield future.result()
        finally:
            # Not cancelled by hand, as `pool.map` does: the pool's own thread may be at them for a worker that ended.
            pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_waiting() -> Iterator[None]:
    """Let Ctrl-C wait, for this process and for those that are begun, until each is ready for it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker() -> None:
    """Ctrl-C ends a worker without a word: the process that began it speaks."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in the background of a shell script
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
