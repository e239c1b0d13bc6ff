"""Every picture and mask is read whole, as a training reads it; what remains is a few facts."""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rotoscope.data.checking.problems import Problem, error, size_words, warning
from rotoscope.data.reading import as_labels
from rotoscope.errors import DataError, RotoscopeError
from rotoscope.masks.label_map import is_binary_0_255, present
from rotoscope.masks.png import ANNOTATION_FORMATS, StoredMap, read_png
from rotoscope.video.pictures import read_picture

Pair = tuple[Path, Path | None]  # a picture, and its mask

_AT_ONCE = 8  # pairs that a process is handed
_MOST_IDS = 50  # more levels of grey than this are no ids
_EDGE_LEVELS = 3  # as many levels of grey without any area make a mask doubtful


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """What a mask that could be read says.

    Attributes:
        ids: of its objects.
        has_background: whether any pixel is 0.
    """

    ids: tuple[int, ...]
    has_background: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What a pair says.

    Attributes:
        size: (height, width) of the picture, None where it cannot be read.
        mask: None where there is none, or it cannot be read.
        problems: of these two files.
    """

    size: tuple[int, int] | None
    mask: MaskFacts | None
    problems: tuple[Problem, ...]


def look_at_all(pairs: Sequence[Pair], workers: int = 1) -> Generator[Facts, None, None]:
    """Look at every pair, in order; to be closed, which ends the processes.

    Args:
        pairs: pictures and their masks.
        workers: processes that share them; with 1 there is none but this.

    Raises:
        DataError: a process was ended from outside, as for want of memory.
    """
    if workers == 1 or len(pairs) <= _AT_ONCE:
        yield from map(look_at, pairs)
        return
    # Spawned, since a fork of a process with threads may hang. Ctrl-C is the parent's: it ends the workers, which have
    # but a few pairs at hand.
    spawn = multiprocessing.get_context("spawn")
    interrupt = (signal.SIGINT, signal.SIG_IGN)
    try:
        with ProcessPoolExecutor(workers, spawn, initializer=signal.signal, initargs=interrupt) as pool:
            yield from pool.map(look_at, pairs, chunksize=_AT_ONCE)
    except BrokenProcessPool as broken:
        raise DataError("a worker process was ended, perhaps for want of memory; use fewer workers") from broken


def look_at(pair: Pair) -> Facts:
    """Read a picture and its mask."""
    picture, mask = pair
    problems: list[Problem] = []
    size = None
    facts = None
    with _noting(picture, problems):
        _refuse_empty(picture)
        height, width = read_picture(picture).shape[:2]
        size = (height, width)
    if mask is not None:
        with _noting(mask, problems):
            _refuse_empty(mask)
            stored = read_png(mask, ANNOTATION_FORMATS)
            problems += _of_mask(mask, stored, size)
            labels = as_labels(stored.values, mask)
            facts = MaskFacts(tuple(present(labels).tolist()), bool((labels == 0).any()))
    return Facts(size, facts, tuple(problems))


@contextmanager
def _noting(path: Path, problems: list[Problem]) -> Iterator[None]:
    """Note what goes wrong, and what the libraries remark, as problems of a file."""
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        try:
            yield
        except RotoscopeError as fault:
            problems.append(error(path, _after_path(str(fault), path)))
        except OSError as fault:
            problems.append(error(path, f"cannot be read: {fault.strerror or fault}"))
    problems += [warning(path, words) for words in dict.fromkeys(str(remark.message).strip() for remark in remarks)]


def _refuse_empty(path: Path) -> None:
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty (0 bytes); copy it again")


def _of_mask(path: Path, stored: StoredMap, size: tuple[int, int] | None) -> Iterator[Problem]:
    height, width = stored.values.shape
    if size is not None and size != (height, width):
        turned = "; is the picture turned, or its EXIF rotation left out?" if size == (width, height) else ""
        yield error(
            path, f"is {size_words((height, width))}, its picture is {size_words(size)} (width x height){turned}"
        )
    if levels := _doubtful_levels(stored):
        yield warning(
            path,
            f"holds {levels} levels of grey, as soft edges have, and each counts as an object; expected ids, or black "
            "and white: save masks without anti-aliasing, not scaled, never as JPEG",
        )


def _doubtful_levels(stored: StoredMap) -> int:
    """Count the levels of a grey mask that looks soft; 0 for one that holds ids.

    An object has pixels with the same number all around; the levels of soft edges hardly ever do.
    """
    values = stored.values
    if stored.kind == "labels" or is_binary_0_255(values):
        return 0
    levels = present(values).size
    across = values[1:-1, 1:-1]
    inside = (across == values[:-2, 1:-1]) & (across == values[2:, 1:-1])
    inside &= (across == values[1:-1, :-2]) & (across == values[1:-1, 2:])
    solid = int(np.count_nonzero(np.bincount(across[inside], minlength=1)[1:]))
    thin = levels - solid
    return levels if levels > _MOST_IDS or (thin >= _EDGE_LEVELS and thin > solid) else 0


def _after_path(message: str, path: Path) -> str:
    """Take the path from a message that is shown after it."""
    for begin, new in ((f"{path} ", ""), (f"the picture {path} ", ""), (f"cannot read {path}:", "cannot be read:")):
        if message.startswith(begin):
            return new + message.removeprefix(begin)
    return message.replace(str(path), path.name)
