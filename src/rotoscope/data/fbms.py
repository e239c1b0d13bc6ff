"""FBMS-59 on disk: its test set, where every twentieth frame or so is annotated.

The official annotations are PPM and PGM with a grey level an object; the papers scored converted PNG files, where 0 is
background. Every level but 0 is foreground here: convert annotations whose background is not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rotoscope.data.annotation_set import AnnotationSet, in_folders

_MASKS = (".png", ".pgm", ".ppm")
_PLACES = ("Testset", "TestSet", "inst/test")


def find_annotations(folder: Path, names: Sequence[str] = ()) -> AnnotationSet:
    """Find the annotations: `Testset/<sequence>/GroundTruth/*`, `inst/test/<sequence>/*` or `<sequence>/*`.

    Arguments and errors as in `annotation_set.in_folders`.
    """
    return in_folders(folder, names, _PLACES, "GroundTruth", _MASKS)
