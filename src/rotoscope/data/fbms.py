"""FBMS-59 on disk: its test set, where every twentieth frame or so is annotated.

The official annotations are PPM and PGM with a grey level an object; the papers scored converted PNG files, where 0 is
background. Every level but 0 is foreground here: convert annotations whose background is not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rotoscope.data.annotation_set import AnnotationSet, collected, files, folders
from rotoscope.errors import DataError

_MASKS = (".png", ".pgm", ".ppm")
_PLACES = ("Testset", "TestSet", "inst/test")
_INNER = "GroundTruth"


def find_annotations(folder: Path, names: Sequence[str] = ()) -> AnnotationSet:
    """Find the annotations: `Testset/<sequence>/GroundTruth/*`, `inst/test/<sequence>/*` or `<sequence>/*`.

    Args:
        folder: root of the package, or a folder with one for each sequence.
        names: the sequences wanted; all that are there without them.

    Raises:
        DataError: no such folder, no annotations in it, or a sequence named that is not there.
    """
    if not folder.is_dir():
        raise DataError(f"there is no annotations folder {folder}; expected the root of FBMS or its Testset")
    base = next((folder / place for place in _PLACES if (folder / place).is_dir()), folder)
    found = {}
    for name in dict.fromkeys(names) or folders(base):
        inner = base / name / _INNER
        found[name] = files(inner if inner.is_dir() else base / name, _MASKS)
    return collected(base, found, None, names)
