"""Keeping the allocator from hoarding: a setting of the whole process, so the command makes it, not the library.

Frames and maps that one thread allocates and another frees leave holes in glibc's heaps, and the process grows by a
tenth and more over some thousand frames although nothing is kept (benchmarks/bench_memory.py).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

M_ARENA_MAX = -8  # of glibc's malloc.h
ARENAS = 1  # two let the peak creep twice as far
EVERY = 50  # frames between two trims


@cache
def _glibc(name: str) -> Callable[..., Any] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)


def share_arenas() -> None:
    """Let all threads share one heap instead of having some each; to be called before threads start."""
    mallopt = _glibc("mallopt")
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS)


def give_back(frames: int) -> None:
    """Return free pages to the system, once in `EVERY` frames; a few milliseconds then.

    Args:
        frames: done so far.
    """
    trim = _glibc("malloc_trim")
    if trim is not None and frames % EVERY == 0:
        trim(0)
