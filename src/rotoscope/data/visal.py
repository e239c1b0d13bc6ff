"""ViSal on disk: 17 sequences, of which some frames are annotated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rotoscope.data.annotation_set import AnnotationSet, in_folders
from rotoscope.data.sequences import Place, VideoSequence, read_place, sequence_names
from rotoscope.errors import DataError

_PICTURES = (".bmp", ".jpg", ".jpeg", ".png")
_MASKS = (".png", ".bmp")
_PLACES = ("GroundTruth", "Annotations")
_FRAMES = ("ViSal", "JPEGImages", "Frames")


def find_annotations(folder: Path, names: Sequence[str] = ()) -> AnnotationSet:
    """Find the annotations: `GroundTruth/<sequence>/*`, `Annotations/<sequence>/*` or `<sequence>/*`.

    Arguments and errors as in `annotation_set.in_folders`.
    """
    return in_folders(folder, names, _PLACES, "GroundTruth", _MASKS)


def find_sequences(root: Path | str, names: Sequence[str] = ()) -> list[VideoSequence]:
    """List the sequences, or those named.

    Frames are in `ViSal/<sequence>`, `JPEGImages/<sequence>`, `Frames/<sequence>` or `<sequence>`. Masks are in
    `<sequence>/GroundTruth` beside the frames, else in `GroundTruth/<sequence>` or `Annotations/<sequence>`, else right
    in `GroundTruth` or `Annotations`, as the package has them. A mask has the stem of its frame; where none has, its
    number is the frame's place in the sequence, from 0.

    Args:
        root: of the data set.
        names: the sequences wanted; all without them.

    Raises:
        DataError: see `places` and `sequences.read_place`.
    """
    return [read_place(place) for place in places(root, names)]


def places(root: Path | str, names: Sequence[str] = ()) -> list[Place]:
    """Say where the files of each sequence lie; arguments as in `find_sequences`.

    Raises:
        DataError: no such folder, no sequences in it, or a sequence named that is not there.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; expected ViSal's root")
    base = next((root / inner for inner in _FRAMES if (root / inner).is_dir()), root)
    return [_place(root, base, name) for name in sequence_names(base, names, but=(*_PLACES, *_FRAMES))]


def _place(root: Path, base: Path, name: str) -> Place:
    inside = (base / name / "GroundTruth", *(root / inner / name for inner in _PLACES))
    own = next((folder for folder in inside if folder.is_dir()), None)
    if own is not None:
        return Place(name, base / name, own, _PICTURES, _MASKS, "stem or index")
    flat = next((root / inner for inner in _PLACES if (root / inner).is_dir()), root / _PLACES[0])
    return Place(name, base / name, flat, _PICTURES, _MASKS, "stem", shared=True)
