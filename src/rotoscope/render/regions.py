"""What is to be drawn on one frame, whichever form it came in: objects with run lengths, or a label map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import MaskError
from rotoscope.masks.run_length import columns
from rotoscope.types import ObjectMask

Objects = Sequence[ObjectMask] | NDArray[np.integer]


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One object's pixels, cut to the box around them.

    Attributes:
        track_id: 1 or more.
        left: first column of the box.
        top: first row of the box.
        mask: (h, w) uint8, 255 on the object and 0 elsewhere; h and w are 1 or more.
        label: category name, None where there is none.
        score: confidence in [0, 1], None where the source holds none (a label map).
    """

    track_id: int
    left: int
    top: int
    mask: NDArray[np.uint8]
    label: str | None = None
    score: float | None = None


def regions(objects: Objects, size: tuple[int, int]) -> list[Region]:
    """Unpack the objects of one frame; those without a pixel are left out.

    Args:
        objects: objects with run lengths, in drawing order, or a (H, W) integer label map with 0 as background.
        size: (height, width) of the frame.

    Raises:
        MaskError: a mask or the label map has another size than the frame, or ids below 0.
    """
    if isinstance(objects, np.ndarray):
        return _from_label_map(objects, size)
    found = (_from_object(item, size) for item in objects)
    return [region for region in found if region is not None]


def _from_object(item: ObjectMask, size: tuple[int, int]) -> Region | None:
    if item.mask.size != tuple(size):
        raise MaskError(
            f"object {item.track_id} has a mask of {item.mask.size[0]}x{item.mask.size[1]} on a frame of "
            f"{size[0]}x{size[1]} (height x width); resize the mask to the frame first"
        )
    found = _cut(columns(item.mask).view(np.uint8).T)
    if found is None:
        return None
    top, left, cut = found
    return Region(item.track_id, left, top, cut, item.label, item.score)


def _from_label_map(labels: NDArray[np.integer], size: tuple[int, int]) -> list[Region]:
    if labels.shape != tuple(size) or not (labels.dtype == np.bool_ or np.issubdtype(labels.dtype, np.integer)):
        raise MaskError(
            f"label map is {labels.shape} {labels.dtype}; expected integers, {tuple(size)}, 0 as background"
        )
    if labels.size and labels.min() < 0:
        raise MaskError(f"label map holds {labels.min()}; expected ids of 1 or more and 0 as background")
    found = []
    for track_id in _ids(labels):
        cut = _cut((labels == track_id).view(np.uint8))
        if cut is not None:
            found.append(Region(track_id, cut[1], cut[0], cut[2]))
    return found


def _ids(labels: NDArray[np.integer]) -> list[int]:
    """Sorted ids present; counting is many times faster than sorting for the usual small ids."""
    if labels.dtype.itemsize == 1:
        present = np.flatnonzero(np.bincount(labels.view(np.uint8).ravel(), minlength=1))
    else:
        present = np.unique(labels)
    return [int(value) for value in present if value != 0]


def _cut(mask: NDArray[np.uint8]) -> tuple[int, int, NDArray[np.uint8]] | None:
    """Row, column and 0/255 content of the box around the ones of a 0/1 mask; None when there are none."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return top, left, np.ascontiguousarray(mask[top:bottom, left:right]) * np.uint8(255)
