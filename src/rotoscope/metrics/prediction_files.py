"""Finds the predicted mask file of every annotated frame, and says everything that does not fit before any scoring."""

from __future__ import annotations

import re
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


def evaluated_frames(name: str, count: int, keep_ends: bool) -> range:
    """List the frames of a sequence that count.

    Raises:
        DataError: none is left.
    """
    kept = range(count) if keep_ends else range(1, count - 1)
    if not kept:
        raise DataError(
            f"{name} has {count} annotated frames, and the protocol leaves out the first and the last; "
            "keep the end frames to score it"
        )
    return kept


def same_size(path: Path, size: tuple[int, ...], truth_path: Path, truth_size: tuple[int, ...]) -> None:
    """Refuse a prediction that has not its annotation's size.

    Raises:
        DataError: with both sizes.
    """
    if size != truth_size:
        raise DataError(
            f"{path} is {size[1]}x{size[0]}, its annotation {truth_path} is {truth_size[1]}x{truth_size[0]} "
            "(width x height); write predictions at the size of the annotations"
        )


def match_files(
    name: str,
    annotations: Sequence[Path],
    predictions: Path,
    evaluated: Sequence[int],
    missing: Missing = "error",
    *,
    soft: bool = False,
    sparse: bool = False,
) -> SequenceFiles:
    """Give each frame to score its prediction, by file name.

    Args:
        name: of the sequence.
        annotations: files of all its annotated frames, in order.
        predictions: folder of `<name>/<frame>.png`, or of one folder more, such as `<name>/masks/<frame>.png`.
        evaluated: places in `annotations` of the frames to score.
        missing: "empty" lets frames, and the whole sequence, be absent.
        soft: look for soft maps in `<name>.soft` or `<name>/soft` first.
        sparse: only some frames are annotated: predictions of others are passed over, and where no file name agrees,
            the numbers at the ends of the names decide.

    Raises:
        DataError: no such folder, frames that are missing, JPEG, or not annotated.
    """
    folder = prediction_folder(predictions, name, soft)
    if folder is None and missing == "error":
        raise DataError(
            f"there are no predictions of {name}: no PNG in {predictions / name}; "
            "predict it, leave it out by naming the other sequences, or count missing ones as empty (--missing empty)"
        )
    found = {} if folder is None else _by_stem(folder, (".png",))
    keys = [path.stem for path in annotations]
    if sparse and found and found.keys().isdisjoint(keys):
        found, keys = _by_number(name, found, annotations)
    elif folder is not None and not sparse:
        _refuse_extra(name, folder, found, annotations)
    pairs = tuple((annotations[index], found.get(keys[index])) for index in evaluated)
    absent = [truth.stem for truth, path in pairs if path is None]
    if folder is not None and absent:
        _refuse_jpeg(folder, absent)
        if missing == "error":
            raise DataError(
                f"{len(absent)} of {len(pairs)} frames of {name} have no prediction: no {_list(absent)} in {folder}; "
                "predict them, or count missing ones as empty (--missing empty)"
            )
    return SequenceFiles(name, tuple(annotations), pairs)


def prediction_folder(predictions: Path, name: str, soft: bool = False) -> Path | None:
    """Find the folder that holds the masks, or soft maps, of a sequence; None where there is none.

    Raises:
        DataError: no predictions folder at all, JPEG in place of PNG, or several folders that it could be.
    """
    if not predictions.is_dir():
        raise DataError(f"there is no predictions folder {predictions}; expected one with a folder for each sequence")
    if soft:
        for place in (predictions / f"{name}.soft", predictions / name / "soft"):
            if _by_stem(place, (".png",)):
                return place
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


def _by_number(name: str, found: dict[str, Path], annotations: Sequence[Path]) -> tuple[dict[str, Path], list[str]]:
    """Name predictions and annotations anew, by the last number in each name; as they were where that is not clear."""
    numbers = {stem: _number(stem) for stem in found}
    keys = [_number(path.stem) for path in annotations]
    if (
        None in keys
        or None in numbers.values()
        or len(set(numbers.values())) < len(numbers)
        or len(set(keys)) < len(keys)
    ):
        raise DataError(
            f"no prediction of {name} is named like an annotation: {_list(sorted(found))} and "
            f"{_list([path.stem for path in annotations])}; give them the same names"
        )
    return {str(numbers[stem]): path for stem, path in found.items()}, [str(key) for key in keys]


def _number(stem: str) -> int | None:
    digits = re.findall(r"\d+", stem)
    return int(digits[-1]) if digits else None


def _by_stem(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    listed = (path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
    found: dict[str, Path] = {}
    for path in sorted(path for path in listed if path.is_file()):
        if path.stem in found:
            raise DataError(f"{found[path.stem]} and {path.name} are both of frame {path.stem}; remove the one")
        found[path.stem] = path
    return found


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
