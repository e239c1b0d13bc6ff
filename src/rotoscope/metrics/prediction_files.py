"""Finds the predicted mask file of every annotated frame, and says everything that does not fit before any scoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rotoscope.errors import DataError

Missing = Literal["error", "empty"]
_MASK_FOLDER = "masks"
_JPEG = (".jpg", ".jpeg")
_NAMED = 5  # so many names an error lists


@dataclass(frozen=True, slots=True)
class SequenceFiles:
    """The files of one sequence.

    Attributes:
        name: of the sequence.
        annotations: every annotated frame, in order.
        pairs: annotation and prediction of the frames to score; None where there is no prediction.
    """

    name: str
    annotations: tuple[Path, ...]
    pairs: tuple[tuple[Path, Path | None], ...]


def match_files(
    name: str, annotations: Sequence[Path], predictions: Path, evaluated: Sequence[int], missing: Missing = "error"
) -> SequenceFiles:
    """Give each frame to score its prediction, by file name.

    Args:
        name: of the sequence.
        annotations: files of all its frames, in order.
        predictions: folder of `<name>/<frame>.png`, or of one folder more, such as `<name>/masks/<frame>.png`.
        evaluated: places in `annotations` of the frames to score.
        missing: "empty" lets frames, and the whole sequence, be absent.

    Raises:
        DataError: no such folder, frames that are missing, JPEG, or not annotated.
    """
    folder = prediction_folder(predictions, name)
    if folder is None and missing == "error":
        raise DataError(
            f"there are no predictions of {name}: no PNG in {predictions / name}; "
            "predict it, leave it out by naming the other sequences, or count missing ones as empty"
        )
    found = {} if folder is None else _by_stem(folder, (".png",))
    if folder is not None:
        _refuse_extra(name, folder, found, annotations)
    pairs = tuple((annotations[index], found.get(annotations[index].stem)) for index in evaluated)
    absent = [truth.stem for truth, path in pairs if path is None]
    if folder is not None and absent:
        _refuse_jpeg(folder, absent)
        if missing == "error":
            raise DataError(
                f"{len(absent)} of {len(pairs)} frames of {name} have no prediction: no {_list(absent)} in {folder}; "
                "predict them, or count missing ones as empty"
            )
    return SequenceFiles(name, tuple(annotations), pairs)


def prediction_folder(predictions: Path, name: str) -> Path | None:
    """Find the folder that holds the masks of a sequence; None where there is none.

    Raises:
        DataError: no predictions folder at all, JPEG in place of PNG, or several folders that it could be.
    """
    if not predictions.is_dir():
        raise DataError(f"there is no predictions folder {predictions}; expected one with a folder for each sequence")
    folder = predictions / name
    if not folder.is_dir():
        return None
    masks = folder / _MASK_FOLDER
    if masks.is_dir() and _by_stem(masks, (".png",)):
        return masks
    if _by_stem(folder, (".png",)):
        return folder
    inner = [path for path in sorted(folder.iterdir()) if path.is_dir() and _by_stem(path, (".png",))]
    if len(inner) > 1:
        raise DataError(
            f"{folder} has several folders with PNG files: {_list([path.name for path in inner])}; "
            f"name the one with the masks '{_MASK_FOLDER}'"
        )
    if inner:
        return inner[0]
    for place in (folder, masks):
        _refuse_jpeg(place, list(_by_stem(place, _JPEG)))
    return None


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
    return {path.stem: path for path in files}


def _refuse_jpeg(folder: Path, stems: Sequence[str]) -> None:
    files = _by_stem(folder, _JPEG)
    lossy = [files[stem] for stem in stems if stem in files]
    if lossy:
        raise DataError(f"{lossy[0]} is a JPEG, whose compression changes masks near edges; save masks as PNG")


def _refuse_extra(name: str, folder: Path, found: dict[str, Path], annotations: Sequence[Path]) -> None:
    known = {path.stem for path in annotations}
    extra = [stem for stem in found if stem not in known]
    if extra:
        raise DataError(
            f"{folder} has {len(extra)} frames without annotation: {_list(extra)}; {name} has "
            f"{annotations[0].stem} to {annotations[-1].stem}; name predictions like the annotations, remove others"
        )


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown
