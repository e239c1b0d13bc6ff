"""ViSal on disk: 17 sequences, of which some frames are annotated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rotoscope.data.annotation_set import AnnotationSet, collected, files, folders
from rotoscope.errors import DataError

_MASKS = (".png", ".bmp")
_PLACES = ("GroundTruth", "Annotations")


def find_annotations(folder: Path, names: Sequence[str] = ()) -> AnnotationSet:
    """Find the annotations: `GroundTruth/<sequence>/*`, `Annotations/<sequence>/*` or `<sequence>/*`.

    Args:
        folder: root of the package, or a folder with one for each sequence.
        names: the sequences wanted; all that are there without them.

    Raises:
        DataError: no such folder, no annotations in it, or a sequence named that is not there.
    """
    if not folder.is_dir():
        raise DataError(f"there is no annotations folder {folder}; expected the root of ViSal or its GroundTruth")
    base = next((folder / place for place in _PLACES if (folder / place).is_dir()), folder)
    wanted = dict.fromkeys(names) or folders(base)
    return collected(base, {name: files(base / name, _MASKS) for name in wanted}, None, names)
