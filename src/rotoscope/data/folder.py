"""A user's own data: a folder of pictures or of sequences, and a folder of masks beside it.

    DATA/frames/<sequence>/<frame>.jpg    DATA/masks/<sequence>/<frame>.png     videos
    DATA/images/<name>.jpg                DATA/masks/<name>.png                 single pictures

A mask has its picture's name and size; 0 is background, every other number (or palette entry) an object's id, and black
and white masks (0 and 255) are one object. Frames of a sequence may lack a mask: those are used for nothing but
playing. `JPEGImages` and `Annotations` are understood for `frames` and `masks` as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rotoscope.data.annotation_set import files, folders
from rotoscope.data.reading import read_labels
from rotoscope.data.sequences import Place, VideoSequence, in_order, match, read_place, sequence_names
from rotoscope.data.tracks import MOST
from rotoscope.errors import DataError
from rotoscope.video.pictures import read_picture

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MASKS = (".png",)
FRAMES = ("frames", "JPEGImages", "images")
LABELS = ("masks", "Annotations")


@dataclass(frozen=True)
class Layout:
    """Where a folder keeps what.

    Attributes:
        frames: the folder of pictures, or of a folder a sequence.
        masks: the same for the masks.
        videos: whether there are sequences.
    """

    frames: Path
    masks: Path
    videos: bool


def find_layout(root: Path) -> Layout:
    """Find out how a folder is laid out.

    Raises:
        DataError: it is not there, or lacks pictures or masks.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}")
    frames = next((root / name for name in FRAMES if (root / name).is_dir()), None)
    masks = next((root / name for name in LABELS if (root / name).is_dir()), None)
    if frames is None or masks is None:
        lacking = FRAMES if frames is None else LABELS
        raise DataError(f"{root} has none of the folders {', '.join(lacking)}; see the layout in docs/training.md")
    return Layout(frames, masks, bool(folders(frames)) or (bool(folders(masks)) and not files(frames, PICTURES)))


def find_sequences(root: Path | str, names: Sequence[str] = ()) -> list[VideoSequence]:
    """List the sequences of a folder, or those named, with frames in natural order: `2.jpg` before `10.jpg`.

    Raises:
        DataError: see `places` and `sequences.read_place`.
    """
    return [read_place(place) for place in places(root, names)]


def places(root: Path | str, names: Sequence[str] = ()) -> list[Place]:
    """Say where the files of each sequence lie.

    Raises:
        DataError: see `find_layout`; or a sequence named that is not there.
    """
    layout = find_layout(Path(root))
    if not layout.videos:
        raise DataError(f"{layout.frames} holds no folder a sequence; for single pictures use the kind pictures")
    wanted = sequence_names(layout.frames, names)
    return [Place(name, layout.frames / name, layout.masks / name, PICTURES, MASKS) for name in wanted]


class LabelledPictures:
    """Single pictures with masks of the same name.

    Args:
        root: see the module.
        category: of all objects; 0 where it is not known.
        hold_out: every picture whose place, counted from 0, it divides is left out; 0: none is.

    Raises:
        DataError: see `find_layout`; or no picture has a mask; or `hold_out` leaves none.
    """

    def __init__(self, root: Path | str, category: int = 0, hold_out: int = 0) -> None:
        if hold_out < 0 or hold_out == 1:
            raise DataError(
                f"hold_out = {hold_out} was given; expected 0, or 2 and more: every n-th picture is left out"
            )
        self._category = category
        layout = find_layout(Path(root))
        pictures = in_order(files(layout.frames, PICTURES))
        masks = match(pictures, in_order(files(layout.masks, MASKS))).masks
        pairs = [(path, mask) for path, mask in zip(pictures, masks, strict=True) if mask is not None]
        self._pairs = [pair for place, pair in enumerate(pairs) if not hold_out or place % hold_out]
        if not self._pairs:
            raise DataError(f"no picture of {layout.frames} has a mask of its name in {layout.masks}")

    def __len__(self) -> int:
        return len(self._pairs)

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Give a picture (H, W, 3) uint8 RGB and its labels (H, W) uint8.

        Raises:
            RotoscopeError: a file cannot be read, or sizes differ.
        """
        picture_path, mask_path = self._pairs[index]
        picture = read_picture(picture_path)
        return picture, read_labels(mask_path, (picture.shape[0], picture.shape[1]))

    def categories(self, index: int) -> dict[int, int]:
        """Give the category number of every label that a picture may have."""
        return dict.fromkeys(range(1, MOST + 1), self._category) if self._category else {}
