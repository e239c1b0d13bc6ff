"""Label maps: one whole number a pixel, 0 for background, else the id of the object that lies on top."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import MaskError
from rotoscope.masks import run_length
from rotoscope.masks.png import read_png, write_grey_png, write_palette_png
from rotoscope.types import ObjectMask

LabelMap = NDArray[np.uint8] | NDArray[np.uint16]
_LARGEST_ID = 65535


def from_objects(objects: Sequence[ObjectMask], size: tuple[int, int]) -> LabelMap:
    """Paint objects into a label map; where they overlap the higher score wins, then the lower id.

    Args:
        objects: any order.
        size: (height, width).

    Returns:
        (H, W) uint8, or uint16 where an id is above 255.

    Raises:
        MaskError: an id outside 1..65535, or a mask of another size.
    """
    for item in objects:
        _check(item, size)
    wide = any(item.track_id > 255 for item in objects)
    canvas = np.zeros((size[1], size[0]), np.uint16 if wide else np.uint8)  # (W, H), the order of run lengths
    for item in sorted(objects, key=lambda item: (item.score, -item.track_id)):
        canvas[run_length.columns(item.mask)] = item.track_id
    return np.ascontiguousarray(canvas.T)


def to_masks(labels: LabelMap, ignore: int | None = None) -> dict[int, NDArray[np.bool_]]:
    """Split a label map into one mask an object.

    Args:
        labels: (H, W) unsigned or whole numbers.
        ignore: an id to leave out, such as 255 where a data set marks void pixels with it.

    Returns:
        id to (H, W) bool, ascending ids, without background.

    Raises:
        MaskError: not (H, W) whole numbers from 0 to 65535.
    """
    return {int(label): labels == label for label in present(labels) if label != ignore}


def present(labels: LabelMap) -> NDArray[np.int64]:
    """List the ids that a label map holds, ascending, without 0.

    Raises:
        MaskError: not (H, W) whole numbers from 0 to 65535.
    """
    narrow = _checked(labels)
    counts = np.bincount(narrow.ravel(), minlength=1)
    counts[0] = 0
    return np.flatnonzero(counts)


def is_binary_0_255(labels: LabelMap) -> bool:
    """Tell whether a map holds 255 and nothing else but 0: a mask in black and white, not the ids of objects."""
    return bool((labels == 255).any()) and bool(((labels == 0) | (labels == 255)).all())


def write_label_png(path: Path, labels: LabelMap) -> None:
    """Write a label map: 8-bit palette PNG with DAVIS's colours, 16-bit grey PNG where an id is above 255.

    Raises:
        MaskError: not (H, W) whole numbers from 0 to 65535.
        OutputError: the file cannot be written.
    """
    checked = _checked(labels)
    if checked.max() > 255:
        write_grey_png(path, checked.astype(np.uint16))
    else:
        write_palette_png(path, checked.astype(np.uint8))


def read_label_png(path: Path, size: tuple[int, int] | None = None, formats: Collection[str] = ("PNG",)) -> LabelMap:
    """Read a label map from a palette, grey or 16-bit PNG.

    A colour PNG is taken where every colour is one of DAVIS's palette, or where every pixel is grey. Black and white
    maps come back as 0 and 255: see `is_binary_0_255`.

    Args:
        path: the file.
        size: (height, width) that it must have, None for any.
        formats: see `png.read_png`.

    Returns:
        (H, W) uint8 or uint16, the numbers stored.

    Raises:
        MaskError: no such file, a JPEG, damaged, colours without meaning, or another size.
    """
    stored = read_png(path, formats)
    if size is not None and stored.values.shape != size:
        found, wanted = _size_words(stored.values.shape), _size_words(size)
        raise MaskError(f"{path} is {found}, the frame is {wanted} (width x height); masks must have the frame's size")
    return stored.values


def _size_words(size: tuple[int, ...]) -> str:
    return f"{size[1]}x{size[0]}"


def _check(item: ObjectMask, size: tuple[int, int]) -> None:
    if not 1 <= item.track_id <= _LARGEST_ID:
        raise MaskError(f"ids in a label map lie in 1..{_LARGEST_ID}, found {item.track_id}; number the objects anew")
    if item.mask.size != size:
        found, wanted = _size_words(item.mask.size), _size_words(size)
        raise MaskError(f"the mask of object {item.track_id} is {found}, the frame is {wanted} (width x height)")


def _checked(labels: LabelMap) -> LabelMap:
    if labels.ndim != 2 or labels.size == 0 or labels.dtype.kind not in "iub":
        raise MaskError(f"a label map must be (height, width) whole numbers, found {labels.shape} of {labels.dtype}")
    if labels.dtype == np.uint8 or labels.dtype == np.uint16:
        return labels
    if int(labels.min()) < 0 or int(labels.max()) > _LARGEST_ID:
        raise MaskError(f"ids in a label map lie in 0..{_LARGEST_ID}, found {labels.min()} to {labels.max()}")
    return labels.astype(np.uint16)
