"""Sets of pixels packed 64 to a word: the boundaries of all objects of a frame, grown by a disk, in a few passes.

The planes of a frame, one an object, lie below each other in one line of words. Each keeps only the rows around its own
object. Rows are separated by clear bits and planes by clear rows, so that a shift by columns or rows is a shift of the
whole line, and no plane reaches into another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotoscope.masks.label_map import LabelMap

Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]
Words = NDArray[np.uint64]

_BITS = 64
_WORD = np.dtype("<u8")  # the first column is the lowest bit of the first byte, on any machine


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """One set of pixels an object.

    Attributes:
        words: (R, S) uint64, the rows of all planes and the clear rows between them.
        tops: (N,) image row of each plane's first row.
        starts: (N,) row of `words` at which each plane begins.
        heights: (N,) rows of each plane, 0 for an object without pixels.
        columns: of the image; the bits above are clear.
    """

    words: Words
    tops: NDArray[np.intp]
    starts: NDArray[np.intp]
    heights: NDArray[np.intp]
    columns: int

    def __len__(self) -> int:
        return len(self.tops)

    def counts(self) -> NDArray[np.int64]:
        """(N,) pixels of each plane."""
        rows = np.bitwise_count(self.words).sum(axis=1, dtype=np.int64)
        sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(rows)))
        found: NDArray[np.int64] = sums[self.starts + self.heights] - sums[self.starts]
        return found


def bits_of(mask: Mask) -> Bits:
    """Pack an (H, W) bool mask row by row: (H, W / 8) uint8, the first column in the lowest bit."""
    return np.packbits(mask, axis=1, bitorder="little")


def bits_of_labels(labels: LabelMap) -> dict[int, Bits]:
    """Pack the pixels of every number but 0 that a label map holds.

    The map is looked at once for each binary digit of its numbers, however many objects there are; what remains is done
    eight pixels at a time.

    Args:
        labels: (H, W) uint8 or uint16.

    Returns:
        number to (H, W / 8) uint8, ascending.
    """
    found: dict[int, Bits] = {}
    digits = [bits_of((labels & (1 << place)) != 0) for place in range(int(labels.max()).bit_length())]
    if digits:
        filled: Bits = np.bitwise_or.reduce(digits)
        _split(filled, [(~digit, digit) for digit in digits], 0, found)
    return found


def pack(parts: Sequence[Bits], columns: int, reach: int) -> Planes:
    """Lay packed masks of one size below each other, with room to grow by `reach` pixels.

    A plane keeps the rows of its object and one more on either side, where the image has one.

    Args:
        parts: (H, W / 8) uint8 each, see `bits_of`.
        columns: W.
        reach: pixels.
    """
    stride = -(-(columns + reach) // _BITS)
    bounds = [_rows(part) for part in parts]
    tops, heights = np.array([top for top, _ in bounds]), np.array([bottom - top for top, bottom in bounds])
    gap = 2 * reach + 1  # two neighbours may grow into it, and the row above a plane is looked at too
    starts = gap + np.concatenate((np.zeros(1, np.intp), np.cumsum(heights[:-1] + gap)))
    bits = np.zeros((int(starts[-1] + heights[-1]) + gap, stride * _WORD.itemsize), np.uint8)
    for part, (top, bottom), start in zip(parts, bounds, starts, strict=True):
        bits[start : start + bottom - top, : part.shape[1]] = part[top:bottom]
    return Planes(bits.view(_WORD), tops, starts, heights, columns)


def edges(planes: Planes) -> Planes:
    """Keep the pixels whose 2x2 block (itself, right, below, below right) is not uniform; edges repeat outside.

    The planes must hold whole objects, as `pack` makes them.
    """
    words = planes.words
    line = words.reshape(-1)
    stride = words.shape[1]
    right = line >> np.uint64(1)
    right[:-1] |= line[1:] << np.uint64(_BITS - 1)
    across = (line ^ right).reshape(words.shape) & _inner_columns(planes.columns, stride)
    found = words.copy()
    found[:-1] ^= words[1:]  # unlike the row below
    last = planes.starts + planes.heights - 1
    found[last[planes.heights > 0]] = 0  # below it is the edge of the image, or nothing of the object
    found |= across
    found[:-1] |= across[1:]  # the block's lower row
    found[planes.starts - 1] = 0
    return Planes(found, planes.tops, planes.starts, planes.heights, planes.columns)


def grown(planes: Planes, radius: float) -> Words:
    """Add every pixel within the radius, by the exact disk.

    Args:
        planes: with room for the radius.
        radius: pixels.

    Returns:
        (R, S) words laid out as those of `planes`; a plane has grown into the clear rows around it.
    """
    reach = math.floor(radius)
    stride = planes.words.shape[1]
    wide = planes.words.reshape(-1).copy()
    result = np.zeros_like(wide)
    half = 0  # `wide` is grown along its rows by so much
    for dy in range(reach, -1, -1):  # from the narrow ends of the disk to its middle
        wanted = math.isqrt(math.floor(radius * radius) - dy * dy)
        while half < wanted:
            step = min(wanted - half, 2 * half + 1, _BITS - 1)
            wide = _spread(wide, step)
            half += step
        offset = dy * stride
        result[offset:] |= wide[: wide.size - offset]
        if dy:
            result[: wide.size - offset] |= wide[offset:]
    return result.reshape(planes.words.shape)


def shared(planes: Planes, i: int, j: int, grown: Words | None = None, reach: int = 0) -> int:
    """Count the pixels that two planes share.

    Args:
        planes: of one image.
        i: the one plane.
        j: the other.
        grown: what the other has grown to, instead of its own words.
        reach: rows that it has grown by.
    """
    if not planes.heights[i] or not planes.heights[j]:
        return 0
    tops, heights, starts = planes.tops, planes.heights, planes.starts
    top = max(int(tops[i]), int(tops[j]) - reach)
    bottom = min(int(tops[i] + heights[i]), int(tops[j] + heights[j]) + reach)
    if bottom <= top:
        return 0
    first, second = int(starts[i] - tops[i]), int(starts[j] - tops[j])
    other = planes.words if grown is None else grown
    both = planes.words[first + top : first + bottom] & other[second + top : second + bottom]
    return int(np.bitwise_count(both).sum())


def _spread(line: Words, step: int) -> Words:
    """Add the line shifted by `step` bits either way."""
    up, down = np.uint64(step), np.uint64(_BITS - step)
    wide = line | line << up
    wide |= line >> up
    wide[1:] |= line[:-1] >> down
    wide[:-1] |= line[1:] << down
    return wide


def _split(bits: Bits, digits: Sequence[tuple[Bits, Bits]], number: int, found: dict[int, Bits]) -> None:
    """Tell pixels apart by the highest digit that is left, then by those below it; empty branches end at once."""
    if not digits:
        found[number] = bits
        return
    for value, digit in enumerate(digits[-1]):
        part = bits & digit
        if part.any():
            _split(part, digits[:-1], 2 * number + value, found)


def _rows(part: Bits) -> tuple[int, int]:
    """Find the rows with pixels, and one more on either side; none at all without pixels."""
    filled = np.flatnonzero(part.any(axis=1))
    return (max(0, int(filled[0]) - 1), min(len(part), int(filled[-1]) + 2)) if filled.size else (0, 0)


def _inner_columns(columns: int, stride: int) -> Words:
    """(S,) words with a bit for each column that has one on its right."""
    bits = np.zeros(stride * _BITS, np.bool_)
    bits[: columns - 1] = True
    return np.packbits(bits, bitorder="little").view(_WORD)
