"""The plain kind of PNG read fast: 8 bits a pixel, one channel, not interlaced, as nearly every mask file is.

Scoring reads two masks a frame, and that is most of its time. A mask is long runs of one number: its filtered scan
lines are nearly all zeros, and those need not be gone through byte by byte. Whatever is not of the plain kind is left
to pillow. With the package `zlib-ng` installed inflating takes a tenth of the time.
"""

from __future__ import annotations

import importlib
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import MaskError

_library: Any = zlib
with suppress(ImportError):
    _library = importlib.import_module("zlib_ng.zlib_ng")

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_LARGEST = 1 << 27  # pixels; beyond, pillow decides
_PLAIN = ((8, 0, 0, 0, 0), (8, 3, 0, 0, 0))  # depth, colour type (grey, palette), compression, filter, interlace


@dataclass(frozen=True, slots=True, eq=False)
class PlainPng:
    """A PNG file of the plain kind.

    Attributes:
        values: (H, W) uint8, grey levels or palette indices.
        palette: (P, 3) uint8 RGB, None for a grey file.
    """

    values: NDArray[np.uint8]
    palette: NDArray[np.uint8] | None


def read_plain(data: bytes) -> PlainPng | None:
    """Read a PNG file of the plain kind; None for any other file, and for one whose chunks are damaged.

    Raises:
        MaskError: the file is whole, but holds other than its header announces.
    """
    if not data.startswith(_SIGNATURE):
        return None
    header: tuple[int, ...] = ()
    palette: NDArray[np.uint8] | None = None
    parts: list[memoryview] = []
    ended = False
    for kind, body in _chunks(data):
        if kind == b"IHDR" and len(body) == _HEADER.size:
            header = _HEADER.unpack(body)
        elif kind == b"PLTE" and len(body) % 3 == 0:
            palette = np.frombuffer(body, np.uint8).reshape(-1, 3)
        elif kind == b"IDAT":
            parts.append(body)
        elif kind == b"tRNS":
            return None
        ended = ended or kind == b"IEND"
    if header[2:] not in _PLAIN or not ended or (header[3] == 3) != (palette is not None):
        return None
    if header[0] * header[1] > _LARGEST:
        return None
    values = _unfiltered(b"".join(parts), header[1], header[0])
    return None if values is None else PlainPng(values, palette)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Go through the chunks whose check sums hold; ends at the first that does not."""
    view = memoryview(data)
    place = len(_SIGNATURE)
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            return
        if _library.crc32(view[place + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return
        yield data[place + 4 : place + 8], view[place + 8 : end]
        place = end + 4


def _unfiltered(packed: bytes, height: int, width: int) -> NDArray[np.uint8] | None:
    """Inflate and undo the filters "none", "sub" and "up"; None where others are in use."""
    size = height * (width + 1)
    try:
        data: bytes = _library.decompressobj().decompress(packed, size + 1)
    except _library.error as error:
        raise MaskError(f"its pixels are damaged ({error})") from error
    if len(data) != size or not size:
        raise MaskError(f"it announces {width}x{height} pixels and holds {len(data) / (width + 1):.4g} lines of them")
    lines = np.frombuffer(data, np.uint8).reshape(height, width + 1)
    filters = lines[:, 0]
    first, kinds = int(filters[0]), int(filters.max())
    if kinds == 0:
        return lines[:, 1:]
    if kinds > 2:
        return None
    if first == 1 and (filters == 1).all():
        return _sub(lines)
    return _mixed(lines, filters)


def _sub(lines: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo "sub": every byte is the difference to the one on its left; a running sum, over the few that are not 0."""
    height, stride = lines.shape
    flat = lines.reshape(-1)
    places = np.flatnonzero(flat != 0)
    steps = flat[places]
    starts = np.flatnonzero(places % stride == 0)  # the filter bytes; all are 1, so every line has one
    steps[starts] = 0
    sums = np.add.accumulate(steps, dtype=np.uint8)
    sums -= np.repeat(sums[starts], np.diff(starts, append=places.size))
    return np.repeat(sums, np.diff(places, append=flat.size)).reshape(height, stride)[:, 1:]


def _mixed(lines: NDArray[np.uint8], filters: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo "none" and "sub" line by line where they stand, then "up": a running sum from each such line downwards."""
    values = lines[:, 1:].copy()
    left = np.flatnonzero(filters == 1)
    if left.size:
        values[left] = _sub(lines[left])
    heads = np.union1d(np.flatnonzero(filters != 2), 0)  # above the first line all is 0
    for start, stop in zip(heads, np.append(heads[1:], len(values)), strict=True):
        if stop - start > 1:
            np.add.accumulate(values[start:stop], axis=0, dtype=np.uint8, out=values[start:stop])
    return values
