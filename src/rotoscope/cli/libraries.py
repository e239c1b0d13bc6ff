"""Telling a library that cannot be loaded, as under a limit of memory, from other faults."""

from __future__ import annotations

from types import TracebackType

_OURS = ("rotoscope", "importlib", "_frozen_importlib", "__main__")


def not_loaded(error: BaseException) -> str | None:
    """Which library could not be loaded, why, and what to do, in one line; None if that is not what went wrong.

    Args:
        error: with the traceback that it was raised with.
    """
    name = _library(error.__traceback__)
    if name is None and isinstance(error, ModuleNotFoundError) and error.name:
        name = error.name.partition(".")[0]
    if name is None or name in _OURS:
        return None
    cause: BaseException = error
    while cause.__cause__ is not None:  # numpy puts pages of advice around what went wrong
        cause = cause.__cause__
    lines = str(cause).strip().splitlines()
    why = "out of memory" if isinstance(cause, MemoryError) else lines[0] if lines else type(cause).__name__
    return f"{name} could not be loaded: {why}; allow more memory (ulimit -v), or install {name} again"


def _library(trace: TracebackType | None) -> str | None:
    """The outermost library whose own code was running because it was being imported."""
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name == "<module>":
            name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            if name not in _OURS:
                return name
        trace = trace.tb_next
    return None
