"""A second copy of a clip's only object, beside it: so that a network has to tell two alike things apart.

As STEm-Seg does in training (ECCV 2020; the rules are those of its code). The copy moves with the object, to the side
where there is room, and lies in front of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Pictures = NDArray[np.uint8]
Masks = NDArray[np.bool_]
Draw = Callable[[], float]  # uniform in [0, 1)

_FARTHEST = 0.3  # of the frame's side


@dataclass(frozen=True, slots=True)
class _Box:
    """Where an object is on one frame: first row and column, rows, columns."""

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def of(cls, mask: Masks) -> _Box | None:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return None
        return cls(int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)


def duplicated(frames: Pictures, masks: Masks, draw: Draw) -> tuple[Pictures, Masks, Masks] | None:
    """Lay a copy of an object over a clip.

    Args:
        frames: (T, H, W, 3) uint8.
        masks: (T, H, W) bool, the object.
        draw: source of chance.

    Returns:
        New frames, the object's masks as far as they are still seen, the copy's; None where there is no room, because
        the object reaches from the left edge to the right one.
    """
    size = frames.shape[1:3]
    boxes = [_Box.of(mask) for mask in masks]
    there = [box for box in boxes if box is not None]
    across = _direction([(box.left, box.width) for box in there], size[1])
    down = _direction([(box.top, box.height) for box in there], size[0])
    if across is None or not there:
        return None
    across = across or _side(draw)
    down = 0 if down is None else down or _side(draw)
    edges = any(box.left == 0 or box.left + box.width == size[1] for box in there)
    mirrored = not edges and draw() < 0.5
    frames, left_over, copies = frames.copy(), masks.copy(), np.zeros_like(masks)
    for place, box in enumerate(boxes):
        if box is None:
            continue
        shift_x = min(across * (0.75 + 0.25 * draw()) * box.width, _FARTHEST * size[1])
        shift_y = min(down * 0.25 * draw() * box.height, _FARTHEST * size[0])
        picture, mask = frames[place].copy(), masks[place].copy()
        if mirrored:
            window = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
            picture[window], mask[window] = picture[window][:, ::-1].copy(), mask[window][:, ::-1].copy()
        copy = _shifted(mask.astype(np.float32), (shift_y, shift_x)) >= 0.5
        moved = _shifted(picture.astype(np.float32), (shift_y, shift_x, 0))
        frames[place][copy] = np.rint(moved[copy]).astype(np.uint8)
        copies[place] = copy
        left_over[place] &= ~copy
    return frames, left_over, copies


def _side(draw: Draw) -> int:
    return -1 if draw() < 0.5 else 1


def _direction(spans: list[tuple[int, int]], side: int) -> int | None:
    """Which way there is room along one axis: -1 or 1; 0 where it is open, None where the object reaches both ends.

    Args:
        spans: first pixel and length, on the frames that show the object.
        side: of the frame.
    """
    if any(first == 0 for first, _ in spans) and any(first + length == side for first, length in spans):
        return None
    found = 0
    for first, length in spans:
        large, small, middle = length > 0.4 * side, length < 0.2 * side, first + length / 2
        if (large and first == 0) or (small and middle > 0.75 * side):
            found = -1
        elif (large and first + length == side) or (small and middle < 0.25 * side):
            found = 1
    return found


def _shifted(values: NDArray[np.float32], shift: tuple[float, ...]) -> NDArray[np.float32]:
    """Bilinear, zeros beyond the border."""
    moved: NDArray[np.float32] = ndimage.shift(values, shift, order=1, mode="grid-constant", prefilter=False)
    return moved
