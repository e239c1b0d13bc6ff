"""YouTube-VOS on disk: a folder of frames and one of masks for each video, every fifth frame of the original."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rotoscope.data.sequences import Place, VideoSequence, read_place, sequence_names
from rotoscope.errors import DataError

_PICTURES = (".jpg", ".jpeg")
_MASKS = ("CleanedAnnotations", "Annotations")


def find_sequences(root: Path | str, split: str = "train", names: Sequence[str] = ()) -> list[VideoSequence]:
    """List the videos of a split, or those named, with frames in order of their numbers.

    Frames are `<split>/JPEGImages/<video>/<number>.jpg`, masks `<split>/CleanedAnnotations/<video>/<number>.png` where
    that folder is there, else `<split>/Annotations/<video>/<number>.png`. Numbers need not follow one another.

    Args:
        root: of the package, or the folder of the split itself.
        split: train, valid or test.
        names: the videos wanted; all without them.

    Raises:
        DataError: see `places` and `sequences.read_place`.
    """
    return [read_place(place) for place in places(root, split, names)]


def places(root: Path | str, split: str = "train", names: Sequence[str] = ()) -> list[Place]:
    """Say where the files of each video lie; arguments as in `find_sequences`.

    Raises:
        DataError: no such folder, no `JPEGImages`, or a video named that is not there.
    """
    folder = split_folder(Path(root), split)
    frames = folder / "JPEGImages"
    found = []
    for name in sequence_names(frames, names):
        inner = next((inner for inner in _MASKS if (folder / inner / name).is_dir()), _MASKS[-1])
        found.append(Place(name, frames / name, folder / inner / name, _PICTURES))
    return found


def split_folder(root: Path, split: str = "train") -> Path:
    """Find the folder with `JPEGImages`: `root/split`, or `root` where that is the split's folder.

    Raises:
        DataError: neither has it.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; expected the root of YouTube-VOS or of one of its splits")
    for folder in (root / split, root):
        if (folder / "JPEGImages").is_dir():
            return folder
    raise DataError(f"{root} is not YouTube-VOS: looked for {root / split / 'JPEGImages'} and {root / 'JPEGImages'}")
