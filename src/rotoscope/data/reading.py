"""Reading the frames and masks of annotated sequences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rotoscope.data.sequences import VideoSequence
from rotoscope.errors import DataError
from rotoscope.masks.label_map import LabelMap, is_binary_0_255, read_label_png
from rotoscope.masks.png import ANNOTATION_FORMATS
from rotoscope.video.pictures import read_picture


def read_clip(sequence: VideoSequence, indices: Sequence[int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read some frames and their masks.

    Args:
        sequence: where from.
        indices: of frames that have an annotation; repeated ones are read once.

    Returns:
        (T, H, W, 3) uint8 RGB, (T, H, W) uint8 labels, 0 background; black and white masks come as 0 and 1.

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


def _read_frame(sequence: VideoSequence, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    mask = sequence.masks[index]
    if mask is None:
        raise DataError(f"{sequence.frames[index]} has no annotation")
    picture = read_picture(sequence.frames[index])
    return picture, read_labels(mask, (picture.shape[0], picture.shape[1]))


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
