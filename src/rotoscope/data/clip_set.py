"""Annotated clips on disk, as DAVIS and YouTube-VIS have them, so that scorers and readers of either take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.data.annotation_set import check_name
from rotoscope.errors import MaskError, OutputError
from rotoscope.files import write_whole
from rotoscope.masks.label_map import present
from rotoscope.masks.png import palette_png
from rotoscope.masks.run_length import encode
from rotoscope.masks.video_set_file import write_video_set
from rotoscope.masks.youtube_vis import AnnotatedTrack, Video, VideoSet
from rotoscope.types import RunLength

QUALITY = 95  # of the JPEG files
_MASKS = ("Annotations", "Annotations_unsupervised")
_LISTS = ("2016", "2017")


@dataclass(frozen=True, eq=False)
class AnnotatedClip:
    """A clip with its instances.

    Attributes:
        name: of its folders.
        pictures: a JPEG file of each frame.
        labels: (T, H, W) uint8, 0 background, else the id of the instance.
        categories: id to category number.
    """

    name: str
    pictures: Sequence[bytes]
    labels: NDArray[np.uint8]
    categories: Mapping[int, int]


class ClipSetWriter:
    """Writes clips as they are made.

    `JPEGImages/<clip>/00000.jpg`, `Annotations/<clip>/00000.png` (the same in `Annotations_unsupervised`), the lists
    `ImageSets/2017/val.txt` and `ImageSets/2016/val.txt`, and `instances.json`, which `close` writes last.

    Args:
        root: folder to make; it may be there, if it is empty.
        categories: number to name.

    Raises:
        OutputError: the folder holds something.
    """

    def __init__(self, root: Path, categories: Mapping[int, str]) -> None:
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise OutputError(f"{root} holds something already; choose a new folder for the clips")
        self.root, self._categories = root, dict(categories)
        self._videos: dict[int, Video] = {}
        self._tracks: dict[int, list[AnnotatedTrack]] = {}
        self.tracks = 0

    def write(self, clip: AnnotatedClip) -> None:
        """Write one clip.

        Raises:
            MaskError: an id without a category, as 255 for what does not count, or as many pictures as there are not
                masks.
            OutputError: a file cannot be written.
        """
        check_name(clip.name, "the clip")
        if len(clip.pictures) != len(clip.labels):
            raise MaskError(f"{clip.name} has {len(clip.pictures)} pictures and {len(clip.labels)} masks")
        unknown = set(present(clip.labels.reshape(1, -1)).tolist()) - clip.categories.keys()
        if unknown:
            raise MaskError(f"{clip.name} has the ids {sorted(unknown)} without a category; name one for each")
        names = [f"{clip.name}/{index:05d}" for index in range(len(clip.pictures))]
        for name, picture, labels in zip(names, clip.pictures, clip.labels, strict=True):
            write_whole(self.root / "JPEGImages" / f"{name}.jpg", picture)
            for folder in _MASKS:
                write_whole(self.root / folder / f"{name}.png", palette_png(labels))
        number = len(self._videos) + 1
        frames, height, width = clip.labels.shape
        files = tuple(f"{name}.jpg" for name in names)
        self._videos[number] = Video(number, clip.name, width, height, frames, files)
        self._tracks[number] = []
        for label, category in sorted(clip.categories.items()):
            masks = _masks(clip.labels == label)
            if masks:
                self.tracks += 1
                areas = tuple(float(mask.area) for mask in masks.values())
                self._tracks[number].append(AnnotatedTrack(self.tracks, number, category, False, frames, masks, areas))

    def close(self) -> None:
        """Write the lists and the annotation file.

        Raises:
            OutputError: a file cannot be written.
        """
        names = "".join(f"{video.name}\n" for video in self._videos.values()).encode()
        for year in _LISTS:
            write_whole(self.root / "ImageSets" / year / "val.txt", names)
        write_video_set(self.root / "instances.json", VideoSet(self._videos, self._categories, self._tracks))


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    """Encode (H, W, 3) uint8 RGB; colours are kept at full resolution."""
    data = BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=QUALITY, subsampling=0)
    return data.getvalue()


def _masks(shown: NDArray[np.bool_]) -> dict[int, RunLength]:
    """(T, H, W) bool -> frame index to mask, where there is one."""
    return {index: encode(mask) for index, mask in enumerate(shown) if mask.any()}
