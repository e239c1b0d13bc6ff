"""DAVIS folders: one palette PNG a frame, written as the results come and read back as tracks."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from rotoscope.errors import MaskError, OutputError
from rotoscope.masks.label_map import from_objects, is_binary_0_255, read_label_png, to_masks, write_label_png
from rotoscope.masks.run_length import encode
from rotoscope.masks.soft import write_soft_png
from rotoscope.names import fault_of
from rotoscope.types import FrameResult, Track


class DavisWriter:
    """Writes each frame's objects to `<folder>/<name>.png`, the name being the frame's own or its index (00000).

    Holds nothing between frames. A frame without objects is written too, as an empty map.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, result: FrameResult) -> Path:
        """Write one frame, whole or not at all, and say where.

        Raises:
            MaskError: ids outside 1..65535 or masks of another size than the frame.
            OutputError: the file cannot be written, or the frame's name is no plain stem.
        """
        path = self.folder / f"{frame_stem(result.index, result.name)}.png"
        write_label_png(path, from_objects(result.objects, result.size))
        return path

    def close(self) -> None:
        """End the folder; every file is whole already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class SoftWriter(DavisWriter):
    """Writes each frame's soft map to `<folder>/<name>.png`, under the same names as `DavisWriter`."""

    def write(self, result: FrameResult) -> Path:
        """Write one frame's soft map, whole or not at all, and say where.

        Raises:
            MaskError: the frame has no soft map, or one of another size than the frame.
            OutputError: the file cannot be written, or the frame's name is no plain stem.
        """
        if result.soft is None:
            raise MaskError(f"frame {result.index} has no soft map; ask the model for soft masks")
        if result.soft.shape != result.size:
            raise MaskError(f"the soft map of frame {result.index} is {result.soft.shape}, the frame {result.size}")
        path = self.folder / f"{frame_stem(result.index, result.name)}.png"
        write_soft_png(path, result.soft)
        return path


def frame_stem(index: int, name: str | None) -> str:
    """Name a frame's files: the stem of its picture where it has one, else its index in five digits.

    Raises:
        OutputError: the name would lead to another folder, or hide the file.
    """
    if name is None:
        return f"{index:05d}"
    fault = fault_of(name)
    if fault is not None:
        raise OutputError(f"frame {index} is named {name!r}: {fault}; give the stem of a file, without folders")
    return name


def png_files(folder: Path) -> list[Path]:
    """List a folder's PNG files in order of name, without hidden ones.

    Raises:
        MaskError: no such folder.
    """
    if not folder.is_dir():
        raise MaskError(f"there is no folder {folder}; expected one with a PNG for each frame")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".png" and path.name[0] != ".")


def read_davis(folder: Path, void: int | None = None) -> list[Track]:
    """Read a folder of label maps as tracks.

    Frames are numbered by the order of their names, from 0. Where every map of the folder is black and white (0 and
    255), the white object gets id 1.

    Args:
        folder: holds one PNG a frame.
        void: an id that marks pixels without meaning, such as 255 in the unsupervised annotations of DAVIS.

    Returns:
        Tracks in order of id; masks are kept as run lengths.

    Raises:
        MaskError: no such folder, no PNG in it, a file that is no label map, or frames of different sizes.
    """
    files = png_files(folder)
    if not files:
        raise MaskError(f"{folder} holds no PNG; expected one for each frame")
    tracks: dict[int, Track] = {}
    black_and_white = True
    size: tuple[int, int] | None = None
    for index, path in enumerate(files):
        labels = read_label_png(path, size)
        size = (labels.shape[0], labels.shape[1])
        masks = to_masks(labels, ignore=void)
        black_and_white = black_and_white and (not masks or is_binary_0_255(labels))
        for label, mask in masks.items():
            tracks.setdefault(label, Track(label)).masks[index] = encode(mask)
    if black_and_white and 255 in tracks:
        tracks[255].id = 1
    return [tracks[label] for label in sorted(tracks)]
