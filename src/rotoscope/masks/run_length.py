"""COCO's run-length code in vectorised numpy: masks, compressed strings, areas, boxes, overlaps, unions.

The code reads a mask column by column and alternates runs of zeros and ones, zeros first. The compressed string is
byte for byte that of pycocotools, which is not needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rotoscope.errors import MaskError
from rotoscope.types import RunLength

_LARGEST = np.iinfo(np.uint32).max
_DENSE = 64  # more than one change in so many pixels: sorting the changes costs more than transposing the mask
_GROUPS = 7  # groups of 5 bits that a difference of two uint32 runs can need


class CocoCode(TypedDict):
    """A run-length code as COCO's JSON files hold it."""

    size: list[int]
    counts: str


def encode(mask: NDArray[np.bool_] | NDArray[np.integer]) -> RunLength:
    """Turn a mask into run lengths.

    Args:
        mask: (H, W) bool or integer, any non-zero value is foreground; any memory order.

    Raises:
        MaskError: not two-dimensional, without pixels, or of floating point.
    """
    if mask.ndim != 2 or mask.size == 0:
        raise MaskError(f"a mask must be (height, width) with at least one pixel, found shape {mask.shape}")
    if mask.dtype.kind not in "biu":
        raise MaskError(f"a mask must be bool or integer, found {mask.dtype}; apply a threshold first")
    filled: NDArray[np.bool_] = mask if mask.dtype == np.bool_ else mask != 0  # type: ignore[assignment]
    edges = _edges(filled)
    if filled[0, 0]:
        edges = np.concatenate((np.zeros(1, edges.dtype), edges))
    height, width = mask.shape
    return RunLength((height, width), _runs(edges, mask.size))


def decode(code: RunLength) -> NDArray[np.bool_]:
    """Turn run lengths back into a mask.

    Returns:
        (H, W) bool, C order.

    Raises:
        MaskError: a broken code, see `check`.
    """
    return np.ascontiguousarray(columns(code).T)


def columns(code: RunLength) -> NDArray[np.bool_]:
    """Turn run lengths into the transposed mask, which costs no reordering.

    Returns:
        (W, H) bool, C order.

    Raises:
        MaskError: a broken code, see `check`.
    """
    check(code)
    height, width = code.size
    ones = np.zeros(len(code.counts), np.bool_)
    ones[1::2] = True
    return np.repeat(ones, code.counts.astype(np.intp)).reshape(width, height)


def from_counts(counts: ArrayLike, size: tuple[int, int]) -> RunLength:
    """Make a code from a list of runs, such as COCO's uncompressed form.

    Raises:
        MaskError: a broken code, see `check`.
    """
    runs = np.asarray(counts)
    if runs.size == 0:
        runs = runs.astype(np.int64)
    if runs.ndim != 1 or not np.issubdtype(runs.dtype, np.integer):
        raise MaskError(f"run lengths must be a list of whole numbers, found shape {runs.shape} of {runs.dtype}")
    if runs.size and int(runs.min()) < 0:
        raise MaskError(f"run lengths cannot be negative, found {int(runs.min())} at place {int(runs.argmin())}")
    if runs.size and int(runs.max()) > _LARGEST:
        raise MaskError(f"run lengths must be below 2**32, found {int(runs.max())}")
    code = RunLength((int(size[0]), int(size[1])), runs.astype(np.uint32))
    check(code)
    return code


def check(code: RunLength) -> None:
    """Make sure that a code describes a mask of its size.

    Raises:
        MaskError: a size without pixels, runs that are negative or no whole numbers, or a wrong sum.
    """
    height, width = code.size
    if height < 1 or width < 1:
        raise MaskError(f"a run-length code needs a size of at least one pixel, found {height}x{width}")
    counts = code.counts
    if counts.ndim != 1 or not np.issubdtype(counts.dtype, np.integer):
        raise MaskError(f"run lengths must be a list of whole numbers, found shape {counts.shape} of {counts.dtype}")
    if counts.dtype.kind == "i" and counts.size and int(counts.min()) < 0:
        raise MaskError(f"run lengths cannot be negative, found {int(counts.min())} at place {int(counts.argmin())}")
    total = int(counts.sum(dtype=np.uint64))
    if total != height * width:
        raise MaskError(
            f"run lengths sum to {total}, a mask of {height}x{width} needs {height * width}; "
            "is the size (height, width) the right way round?"
        )


def to_string(code: RunLength) -> str:
    """Write a code as COCO's compressed string.

    Each count, from the fourth on its difference to the count two places before, becomes groups of five bits, least
    significant first, as one character each: 48 + group, + 32 when more follow.

    Raises:
        MaskError: a broken code, see `check`.
    """
    check(code)
    values = code.counts.astype(np.int64)
    values[3:] -= code.counts[1:-2].astype(np.int64)
    bits = 5 * np.arange(_GROUPS, dtype=np.int64)
    shifted = values[:, None] >> bits  # (R, groups)
    groups = shifted & 31
    # A group is the last when what remains above it is only its own sign bit, repeated.
    more = (shifted >> 5) != -(groups >> 4)
    kept = np.ones_like(more)
    kept[:, 1:] = np.logical_and.accumulate(more[:, :-1], axis=1)
    characters: NDArray[np.uint8] = (groups + 32 * more + 48).astype(np.uint8)
    return bytes(characters[kept]).decode("ascii")


def from_string(text: str | bytes, size: tuple[int, int]) -> RunLength:
    """Read COCO's compressed string.

    Args:
        text: the string.
        size: (height, width).

    Raises:
        MaskError: characters outside the code, a string cut short, negative runs or a wrong sum.
    """
    groups = _groups(text)
    ends = np.flatnonzero(groups < 32)
    if ends.size == 0 or ends[-1] != groups.size - 1:
        raise MaskError("the run-length string ends in the middle of a number; it was cut short")
    starts = np.concatenate((np.zeros(1, np.intp), ends[:-1] + 1))
    lengths = ends - starts + 1
    if int(lengths.max()) > _GROUPS:
        raise MaskError(f"the run-length string holds a number of {int(lengths.max())} characters, at most {_GROUPS}")
    places = np.arange(groups.size) - np.repeat(starts, lengths)
    values = np.add.reduceat((groups & 31) << (5 * places), starts)
    values -= np.where(groups[ends] & 16, np.left_shift(1, 5 * lengths), 0)
    counts = values.copy()
    counts[1::2] = np.cumsum(values[1::2])  # the first three counts are plain, and so the first belongs to no chain
    counts[2::2] = np.cumsum(values[2::2])
    return from_counts(counts, size)


def to_coco(code: RunLength) -> CocoCode:
    """Give the code as COCO's JSON object, with its compressed string.

    Raises:
        MaskError: a broken code, see `check`.
    """
    return {"size": [code.size[0], code.size[1]], "counts": to_string(code)}


def from_coco(code: Mapping[str, object]) -> RunLength:
    """Read COCO's JSON object, with a compressed string or a list of runs.

    Raises:
        MaskError: keys that are missing or of another kind, or a broken code.
    """
    size, counts = code.get("size"), code.get("counts")
    if not (isinstance(size, Sequence) and len(size) == 2 and all(isinstance(side, int) for side in size)):
        raise MaskError(f"a run-length object needs 'size': [height, width], found {size!r}")
    if isinstance(counts, str | bytes):
        return from_string(counts, (size[0], size[1]))
    if isinstance(counts, Sequence):
        return from_counts(counts, (size[0], size[1]))
    raise MaskError(f"a run-length object needs 'counts' as a string or a list, found {type(counts).__name__}")


def empty(size: tuple[int, int]) -> RunLength:
    """Give the code of a mask without foreground."""
    return RunLength(size, np.array([size[0] * size[1]], np.uint32))


def area(code: RunLength) -> int:
    """Count the foreground pixels."""
    return int(code.counts[1::2].sum(dtype=np.uint64))


def box(code: RunLength) -> tuple[int, int, int, int]:
    """Find the smallest box around the foreground.

    Returns:
        (left, top, width, height) in pixels as COCO has it; all 0 for an empty mask.

    Raises:
        MaskError: a broken code, see `check`.
    """
    starts, stops = intervals(code)
    if starts.size == 0:
        return 0, 0, 0, 0
    height = code.size[0]
    left, top = np.divmod(starts, height)
    right, bottom = np.divmod(stops - 1, height)
    if np.any(left != right):  # a run that goes on into the next column touches both the lower and the upper edge
        y0, y1 = 0, height - 1
    else:
        y0, y1 = int(top.min()), int(bottom.max())
    x0, x1 = int(left[0]), int(right[-1])
    return x0, y0, x1 - x0 + 1, y1 - y0 + 1


def intersection(a: RunLength, b: RunLength) -> int:
    """Count the pixels that two masks share, without decoding.

    Raises:
        MaskError: sizes that differ, or a broken code.
    """
    _same_size((a, b))
    starts, stops = intervals(a)
    ends = _ends(b)
    return int((_ones_before(stops, b, ends) - _ones_before(starts, b, ends)).sum())


def iou(a: RunLength, b: RunLength) -> float:
    """Divide the shared pixels by the joint ones; 0 when both masks are empty, as COCO does.

    Raises:
        MaskError: sizes that differ, or a broken code.
    """
    shared = intersection(a, b)
    joint = area(a) + area(b) - shared
    return shared / joint if joint else 0.0


def merge(codes: Iterable[RunLength], how: Literal["union", "intersection"] = "union") -> RunLength:
    """Join masks of one size, without decoding.

    Raises:
        MaskError: no masks, sizes that differ, or a broken code.
    """
    members = tuple(codes)
    if not members:
        raise MaskError("there is no mask to merge; give at least one")
    _same_size(members)
    parts = [intervals(member) for member in members]
    starts = np.concatenate([part[0] for part in parts])
    stops = np.concatenate([part[1] for part in parts])
    positions, where = np.unique(np.concatenate((starts, stops)), return_inverse=True)
    opened = np.bincount(where[: starts.size], minlength=positions.size)
    closed = np.bincount(where[starts.size :], minlength=positions.size)
    cover = np.cumsum(opened - closed)
    inside = cover >= (1 if how == "union" else len(members))
    changes = np.flatnonzero(np.diff(inside, prepend=False))
    size = members[0].size
    return RunLength(size, _runs(positions[changes], size[0] * size[1]))


def union(a: RunLength, b: RunLength) -> RunLength:
    """Join two masks, without decoding.

    Raises:
        MaskError: sizes that differ, or a broken code.
    """
    return merge((a, b))


def intervals(code: RunLength) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find where the runs of ones begin and end, in column-by-column positions.

    Returns:
        (R,) first positions and (R,) positions after the last, int64, ascending, no empty run.

    Raises:
        MaskError: a broken code, see `check`.
    """
    ends = _ends(code)
    pairs = 2 * (ends.size // 2)
    starts, stops = ends[0:pairs:2], ends[1:pairs:2]
    filled = stops > starts
    return (starts, stops) if filled.all() else (starts[filled], stops[filled])


def _edges(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Find the column-by-column positions whose pixel differs from the one before."""
    height, width = mask.shape
    if mask.flags.f_contiguous:
        line = mask.ravel(order="F")
        return np.flatnonzero(line[1:] != line[:-1]) + 1
    down = mask[1:] != mask[:-1]
    if np.count_nonzero(down) * _DENSE > mask.size:
        line = mask.T.ravel()
        return np.flatnonzero(line[1:] != line[:-1]) + 1
    # Few changes: finding them row by row and sorting them is several times faster than transposing the mask.
    y, x = np.divmod(np.flatnonzero(down), width)
    over = np.flatnonzero(mask[0, 1:] != mask[-1, :-1]) + 1  # from the foot of a column to the head of the next
    edges = np.concatenate((x * height + y + 1, over * height))
    edges.sort()
    return edges


def _runs(edges: NDArray[np.integer], pixels: int) -> NDArray[np.uint32]:
    """Turn positions of change, 0 included where the mask begins with ones, into runs."""
    bounds = np.empty(edges.size + 2, np.int64)
    bounds[0], bounds[1:-1], bounds[-1] = 0, edges, pixels
    runs = np.diff(bounds)
    if runs.size > 1 and runs[-1] == 0:
        runs = runs[:-1]
    return runs.astype(np.uint32)


def _ends(code: RunLength) -> NDArray[np.int64]:
    check(code)
    return np.cumsum(code.counts, dtype=np.int64)


def _ones_before(positions: NDArray[np.int64], code: RunLength, ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the ones of `code` before each position."""
    ones = code.counts.astype(np.int64)
    ones[0::2] = 0
    total = np.concatenate((np.zeros(1, np.int64), np.cumsum(ones)))
    run = np.minimum(np.searchsorted(ends, positions, side="right"), ends.size - 1)
    found: NDArray[np.int64] = total[run + 1] - (ends[run] - positions) * (run & 1)
    return found


def _groups(text: str | bytes) -> NDArray[np.int64]:
    try:
        data = text.encode("ascii") if isinstance(text, str) else bytes(text)
    except UnicodeEncodeError as error:
        raise MaskError(f"the run-length string holds {text[error.start]!r}, which is no character of it") from error
    if not data:
        raise MaskError("the run-length string is empty; a mask without foreground still has one run")
    groups = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    bad = np.flatnonzero((groups < 0) | (groups > 63))
    if bad.size:
        found = chr(data[int(bad[0])])
        raise MaskError(f"the run-length string holds {found!r} at place {int(bad[0])}, which is no character of it")
    return groups


def _same_size(codes: Sequence[RunLength]) -> None:
    for code in codes[1:]:
        if code.size != codes[0].size:
            raise MaskError(f"masks of one frame must have one size, found {codes[0].size} and {code.size}")
