"""FBMS-59 on disk: its test set, where every twentieth frame or so is annotated.

The official annotations are PPM and PGM with a grey level an object; the papers scored converted PNG files, where 0 is
background. Every level but 0 is foreground here: convert annotations whose background is not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rotoscope.data.annotation_set import AnnotationSet, in_folders
from rotoscope.data.sequences import Place, VideoSequence, read_place, sequence_names
from rotoscope.errors import DataError

Split = Literal["test", "train"]

_PICTURES = (".jpg", ".jpeg")
_MASKS = (".png", ".pgm", ".ppm")
_PLACES = ("Testset", "TestSet", "inst/test")
_SPLITS = {"test": ("Testset", "TestSet"), "train": ("Trainingset", "TrainingSet")}


def find_annotations(folder: Path, names: Sequence[str] = ()) -> AnnotationSet:
    """Find the annotations: `Testset/<sequence>/GroundTruth/*`, `inst/test/<sequence>/*` or `<sequence>/*`.

    Arguments and errors as in `annotation_set.in_folders`.
    """
    return in_folders(folder, names, _PLACES, "GroundTruth", _MASKS)


def find_sequences(root: Path | str, names: Sequence[str] = (), split: Split = "test") -> list[VideoSequence]:
    """List the sequences of a split, or those named, with frames in order of their numbers.

    Frames are `Testset/<sequence>/<sequence>_<number>.jpg`; numbers need not begin with 0 nor be of one width. Masks
    are in `GroundTruth` beside them, else in `inst/test/<sequence>`, else among the frames, and belong to the frame of
    their number: `<sequence>_01_gt.ppm`, `<sequence>_01.pgm`, `00001_gt.png`. ("train": `Trainingset`, `inst/train`.)

    Args:
        root: of the data set, or its folder of the split.
        names: the sequences wanted; all without them.
        split: which set.

    Raises:
        DataError: see `places` and `sequences.read_place`.
    """
    return [read_place(place) for place in places(root, names, split)]


def places(root: Path | str, names: Sequence[str] = (), split: Split = "test") -> list[Place]:
    """Say where the files of each sequence lie; arguments as in `find_sequences`.

    Raises:
        DataError: no such folder, no sequences in it, or a sequence named that is not there.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; expected FBMS's root or its {_SPLITS[split][0]}")
    base = next((root / inner for inner in _SPLITS[split] if (root / inner).is_dir()), root)
    found = []
    for name in sequence_names(base, names, but=("inst", *_SPLITS["test"], *_SPLITS["train"])):
        inside = (base / name / "GroundTruth", root / "inst" / split / name)
        masks = next((folder for folder in inside if folder.is_dir()), base / name)
        found.append(Place(name, base / name, masks, _PICTURES, _MASKS, "number"))
    return found
