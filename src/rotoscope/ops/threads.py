"""Threads that each run torch on one core: where work can be cut in pieces, that beats one operator over all cores."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from rotoscope.errors import OptionError

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_pools_lock = threading.Lock()


def single_core_pool(workers: int) -> ThreadPoolExecutor:
    """Threads whose torch operations each run on that thread alone; a forked process starts its own.

    One pool for each number of workers is kept and shared, so tasks must not wait for other tasks of the same pool.

    Raises:
        OptionError: the system does not let so many threads be started.
    """
    key = (os.getpid(), workers)
    with _pools_lock:
        if key not in _pools:
            before = torch.get_num_threads()
            together = threading.Barrier(workers)
            pool = ThreadPoolExecutor(workers, "single-core", initializer=torch.set_num_threads, initargs=(1,))
            try:
                started = [pool.submit(together.wait) for _ in range(workers)]
            except RuntimeError as error:  # those that were started wait for the others, in vain
                together.abort()
                pool.shutdown()
                raise OptionError(
                    f"the system starts no {workers} threads ({error}); use a smaller parallel"
                ) from error
            for future in started:
                future.result()
            # the setting is each thread's own, but a thread that starts later begins with the last one made
            torch.set_num_threads(before)
            _pools[key] = pool
        return _pools[key]
