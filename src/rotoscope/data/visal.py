"""ViSal on disk: 17 sequences, of which some frames are annotated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rotoscope.data.annotation_set import AnnotationSet, in_folders

_MASKS = (".png", ".bmp")
_PLACES = ("GroundTruth", "Annotations")


def find_annotations(folder: Path, names: Sequence[str] = ()) -> AnnotationSet:
    """Find the annotations: `GroundTruth/<sequence>/*`, `Annotations/<sequence>/*` or `<sequence>/*`.

    Arguments and errors as in `annotation_set.in_folders`.
    """
    return in_folders(folder, names, _PLACES, "GroundTruth", _MASKS)
