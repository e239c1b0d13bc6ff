"""Pixels that every two of many tracks share, counted a few frames at a time.

A column of a mask mostly has one run. The first runs of all columns are tables of rows, and two tables are compared
where both tracks can be; what runs there are besides is counted on the line (`masks.overlap`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotoscope.masks.overlap import Intervals, of_track, shared_pixels
from rotoscope.types import RunLength

_BLOCK = 1 << 22  # entries of a table of all tracks


def shared_by_tracks(tracks: Sequence[Mapping[int, RunLength]], frames: int) -> NDArray[np.int64]:
    """Count the pixels that each two tracks share over all frames; of a track with itself, its area.

    Args:
        tracks: frame index to mask, all of one size.
        frames: of the video.

    Returns:
        (N, N) int64.

    Raises:
        ValueError: masks are of several sizes.
        MaskError: a broken code, see `run_length.check`.
    """
    sizes = {mask.size for track in tracks for mask in track.values()}
    if len(sizes) > 1:
        raise ValueError(f"tracks of one video have masks of one size, not {sorted(sizes)}")
    found = np.zeros((len(tracks), len(tracks)), np.int64)
    if not sizes:
        return found
    size = sizes.pop()
    length = max(1, _BLOCK // (len(tracks) * size[1]))
    for first in range(0, frames, length):
        block = range(first, min(first + length, frames))
        found += _of_block([_laid_out(track, block, size) for track in tracks], len(block), size)
    return found


def _laid_out(track: Mapping[int, RunLength], block: range, size: tuple[int, int]) -> Intervals:
    """The frames of a block end to end, no run longer than a column."""
    height, width = size
    line = of_track({index - block.start: track[index] for index in block if index in track}, height * width)
    first, last = line.starts // height, (line.stops - 1) // height  # columns
    if (first == last).all():
        return line
    pieces = last - first + 1
    which = np.repeat(np.arange(len(pieces)), pieces)
    column = first[which] + np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    starts = np.maximum(line.starts[which], column * height)
    return Intervals(starts, np.minimum(line.stops[which], (column + 1) * height))


@dataclass(frozen=True, slots=True, eq=False)
class _Tables:
    """The first runs of the columns of a block.

    Attributes:
        tops, bottoms: (N, T, W) int16 or int32, which hold the sum over T: first row and the one after the last; both 0
            in a column without.
        reach: (N, 4) int64, first column and the one after the last, first row and the one after the last.
    """

    tops: NDArray[np.integer]
    bottoms: NDArray[np.integer]
    reach: NDArray[np.int64]


def _of_block(lines: Sequence[Intervals], frames: int, size: tuple[int, int]) -> NDArray[np.int64]:
    height, width = size
    shape, kind = (len(lines), frames, width), np.int16 if frames * height <= np.iinfo(np.int16).max else np.int32
    tables = _Tables(np.zeros(shape, kind), np.zeros(shape, kind), np.zeros((len(lines), 4), np.int64))
    rests = []
    for place, line in enumerate(lines):
        column = line.starts // height  # of all frames
        is_first = np.diff(column, prepend=-1) > 0
        used, starts, stops = column[is_first], line.starts[is_first], line.stops[is_first]
        if len(used):
            tops, bottoms, across = starts - used * height, stops - used * height, used % width
            tables.tops[place].reshape(-1)[used], tables.bottoms[place].reshape(-1)[used] = tops, bottoms
            tables.reach[place] = across.min(), across.max() + 1, tops.min(), bottoms.max()
        rests.append(Intervals(line.starts[~is_first], line.stops[~is_first]))
    return _of_first_runs(tables) + _of_further_runs(lines, rests)


def _of_first_runs(tables: _Tables) -> NDArray[np.int64]:
    """Shared pixels of every two tables: (N, N)."""
    count = len(tables.reach)
    found = np.zeros((count, count), np.int64)
    for place, (left, right, low, high) in enumerate(tables.reach):
        reach = tables.reach[place:]
        near = (reach[:, 0] < right) & (reach[:, 1] > left) & (reach[:, 2] < high) & (reach[:, 3] > low)
        others = place + np.flatnonzero(near)
        shared = np.minimum(tables.bottoms[others, :, left:right], tables.bottoms[place, :, left:right])
        shared -= np.maximum(tables.tops[others, :, left:right], tables.tops[place, :, left:right])
        found[place, others] = (
            np.maximum(shared, 0, out=shared).sum(axis=1, dtype=shared.dtype).sum(axis=1, dtype=np.int64)
        )
    return found + np.triu(found, 1).T


def _of_further_runs(lines: Sequence[Intervals], rests: Sequence[Intervals]) -> NDArray[np.int64]:
    """What pairs share beside their first runs: (N, N)."""
    some = [place for place, rest in enumerate(rests) if len(rest.starts)]
    found = np.zeros((len(lines), len(lines)), np.int64)
    if not some:
        return found
    further = [rests[place] for place in some]
    found[some] = shared_pixels(further, lines)
    found += found.T.copy()
    found[np.ix_(some, some)] -= shared_pixels(further, further)
    return found
