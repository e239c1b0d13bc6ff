"""Reading the frames and masks of annotated sequences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rotoscope.data.sequences import VideoSequence
from rotoscope.data.tracks import VOID, TrackSequence
from rotoscope.errors import DataError
from rotoscope.masks.label_map import LabelMap, is_binary_0_255, read_label_png
from rotoscope.masks.png import ANNOTATION_FORMATS
from rotoscope.video.pictures import read_picture


def read_clip(
    sequence: VideoSequence | TrackSequence, indices: Sequence[int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read some frames and their masks.

    Args:
        sequence: where from.
        indices: of frames that have an annotation; repeated ones are read once.

    Returns:
        (T, H, W, 3) uint8 RGB, (T, H, W) uint8 labels, 0 background, `tracks.VOID` what does not count; black and white
        masks come as 0 and 1.

    Raises:
        DataError: a frame has no annotation, or sizes differ.
        RotoscopeError: a file cannot be read.
    """
    read: dict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = {}
    for index in indices:
        if index not in read:
            read[index] = _read_frame(sequence, index)
            first = read[indices[0]]
            if read[index][0].shape != first[0].shape:
                raise DataError(f"{sequence.frames[index]} has another size than {sequence.frames[indices[0]]}")
    return np.stack([read[index][0] for index in indices]), np.stack([read[index][1] for index in indices])


def _read_frame(sequence: VideoSequence | TrackSequence, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    picture = read_picture(sequence.frames[index])
    labels = labels_of(sequence, index, (picture.shape[0], picture.shape[1]))
    if sequence.void_background:
        labels = np.where(labels == 0, np.uint8(VOID), labels)
    return picture, labels


def labels_of(sequence: VideoSequence | TrackSequence, index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read the labels of a frame (H, W) uint8, the background 0.

    Raises:
        DataError: it has no annotation, or one of another size than (height, width) `size`.
        RotoscopeError: its file cannot be read.
    """
    if isinstance(sequence, TrackSequence):
        if sequence.size != size:
            raise DataError(f"{sequence.frames[index]} is {size}, its annotation says {sequence.size} (height, width)")
        return sequence.labels(index)
    mask = sequence.masks[index]
    if mask is None:
        raise DataError(f"{sequence.frames[index]} has no annotation")
    return read_labels(mask, size)


def read_labels(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read a mask as labels (H, W) uint8: ids as stored, 1 for the white of black and white masks.

    Args:
        path: PNG, PGM, PPM or BMP.
        size: (height, width) that it must have.

    Raises:
        DataError: ids above 255.
        MaskError: it cannot be read or has another size.
    """
    return as_labels(read_label_png(path, size, ANNOTATION_FORMATS), path)


def as_labels(stored: LabelMap, path: Path) -> NDArray[np.uint8]:
    """Turn what a mask file stores into labels (H, W) uint8; see `read_labels`.

    Raises:
        DataError: ids above 255.
    """
    if is_binary_0_255(stored):
        return (stored > 0).astype(np.uint8)
    if stored.dtype != np.uint8 and (highest := int(stored.max())) > 255:
        raise DataError(f"{path} has the id {highest}; expected ids from 0 to 255")
    return stored.astype(np.uint8, copy=False)
