"""The protocol of KITTI-MOTS: cars and pedestrians, disjoint masks, regions that do not count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import DataError, MaskError
from rotoscope.masks.mots import KITTI_CLASSES, MotsMask, read_mots_frames, read_mots_pngs
from rotoscope.masks.overlap import Intervals, ious, of_mask, shared_pixels
from rotoscope.masks.run_length import merge
from rotoscope.metrics.older_mots import OlderMots
from rotoscope.metrics.prediction_files import Missing
from rotoscope.metrics.tracking import EPSILON, assigned, numbered
from rotoscope.metrics.tracking_scores import TrackingScores
from rotoscope.metrics.workers import Progress, score_all

Flags = NDArray[np.bool_]
FrameMasks = Mapping[int, Sequence[MotsMask]]

CLASSES: Mapping[str, int] = {"car": 1, "pedestrian": 2}
_IGNORE = KITTI_CLASSES["ignore"]
_MATCH = 0.5  # IoU from which a detection counts as one of an object, and so is never ignored
_INSIDE = 0.5  # share of its own area above which a detection lies in the ignore region


@dataclass(frozen=True, slots=True, eq=False)
class ClassScores:
    """Scores of one class, on one sequence or several.

    Attributes:
        tracking: HOTA, CLEAR and identity, by the tracking toolkit.
        older: MOTSA and kin, by the older tool of the MOTS paper.
    """

    tracking: TrackingScores
    older: OlderMots

    @classmethod
    def combined(cls, parts: Sequence[ClassScores]) -> ClassScores:
        """Join sequences."""
        return cls(
            TrackingScores.combined([part.tracking for part in parts]),
            OlderMots.combined([part.older for part in parts]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class SequenceScores:
    """Scores of one sequence.

    Attributes:
        name: of the sequence.
        frames: number of frames.
        classes: name to scores.
        missing: whether there was no prediction file, so that nothing was detected.
    """

    name: str
    frames: int
    classes: Mapping[str, ClassScores]
    missing: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class KittiMotsScores:
    """Scores of a set of sequences; classes are never joined.

    Attributes:
        sequences: in the order asked for.
        classes: name to scores over all sequences.
    """

    sequences: tuple[SequenceScores, ...]
    classes: Mapping[str, ClassScores]


def evaluate(
    annotations: Mapping[str, tuple[Path, int | None]],
    predictions: Path,
    *,
    missing: Missing = "error",
    workers: int = 1,
    progress: Progress | None = None,
) -> KittiMotsScores:
    """Score a folder of results.

    Args:
        annotations: sequence to its annotation, a text file or a folder of PNG, and its number of frames where that is
            known; else the sequence ends with its last mask.
        predictions: folder of `<sequence>.txt`, `data/<sequence>.txt` or `<sequence>/000000.png`.
        missing: what a sequence without a result is: an error, or one without detections. Frames without are legal.
        workers: see `workers.score_all`.
        progress: called with the name of each sequence that is done.

    Raises:
        DataError: results that are missing, broken, overlapping, of another size, or beyond the sequence's end.
        OptionError: no worker.
    """
    if not predictions.is_dir():
        raise DataError(f"there is no predictions folder {predictions}; expected one with a text file a sequence")
    jobs = []
    for name, (path, frames) in annotations.items():
        result = result_of(predictions, name)
        if result is None and missing == "error":
            raise DataError(
                f"there is no result of sequence {name}: looked for {name}.txt in {predictions}; "
                "write an empty file where nothing was found, or count missing ones as empty (--missing empty)"
            )
        jobs.append(_Job(name, path, result, frames))
    scored = score_all(_score_files, jobs, list(annotations), workers, progress)
    return KittiMotsScores(tuple(scored), combined(scored))


def combined(sequences: Sequence[SequenceScores]) -> dict[str, ClassScores]:
    """Join the sequences, class by class."""
    return {name: ClassScores.combined([one.classes[name] for one in sequences]) for name in CLASSES}


def result_of(predictions: Path, name: str) -> Path | None:
    """Find a sequence's result: a text file, or a folder of PNG; of what `rotoscope segment` left, the text file.

    Raises:
        DataError: there are several.
    """
    found: list[Path] = []
    for folder in (predictions, predictions / "data"):
        text, pictures = folder / f"{name}.txt", folder / name
        found += [text] if text.is_file() else []
        if text.is_file() and (folder / f"{name}.done.json").is_file():
            continue  # of our own run, whose PNG are of DAVIS
        found += [pictures] if pictures.is_dir() and any(pictures.glob("*.png")) else []
    if len(found) > 1:
        raise DataError(f"sequence {name} has two results, {found[0]} and {found[1]}; remove the one")
    return found[0] if found else None


def read_frames(path: Path) -> dict[int, list[MotsMask]]:
    """Read a text file or a folder of PNG.

    Raises:
        DataError: what is wrong with it.
    """
    try:
        return read_mots_pngs(path) if path.is_dir() else read_mots_frames(path)
    except MaskError as error:
        raise DataError(str(error)) from error


def score_sequence(name: str, truths: FrameMasks, predictions: FrameMasks, frames: int) -> SequenceScores:
    """Score one sequence.

    Args:
        name: of the sequence.
        truths: frame index to masks, those of the ignore region too.
        predictions: frame index to masks.
        frames: number of frames.

    Raises:
        DataError: masks beyond the end, or of another size than the annotations.
    """
    for masks in (truths, predictions):
        late = [index for index in masks if index >= frames]
        if late:
            where = masks[late[0]][0].where
            raise DataError(f"{where}: frame {late[0]}, sequence {name} has frames 0 to {frames - 1}")
    _check_sizes(truths, predictions)
    classes = {label: _score_class(truths, predictions, frames, number) for label, number in CLASSES.items()}
    return SequenceScores(name, frames, classes)


@dataclass(frozen=True, slots=True)
class _Job:
    name: str
    truth: Path
    result: Path | None
    frames: int | None


def _score_files(job: _Job) -> SequenceScores:
    truths = read_frames(job.truth)
    predictions = {} if job.result is None else read_frames(job.result)
    for masks in predictions.values():
        for one in masks:
            if one.category == _IGNORE:
                raise DataError(f"{one.where} is of the ignore class, which only annotations have")
    frames = job.frames
    if frames is None:
        frames = max((*truths, *predictions), default=-1) + 1
    scores = score_sequence(job.name, truths, predictions, frames)
    return SequenceScores(scores.name, scores.frames, scores.classes, job.result is None)


def _check_sizes(truths: FrameMasks, predictions: FrameMasks) -> None:
    for index, masks in predictions.items():
        others = truths.get(index)
        if others and masks and masks[0].mask.size != others[0].mask.size:
            found, wanted = masks[0].mask.size, others[0].mask.size
            raise DataError(
                f"{masks[0].where} has masks of {found[1]}x{found[0]}, the annotation {wanted[1]}x{wanted[0]} "
                "(width x height); write results at the size of the annotations"
            )


def _score_class(truths: FrameMasks, predictions: FrameMasks, frames: int, category: int) -> ClassScores:
    kept: list[tuple[list[int], list[int], NDArray[np.float64]]] = []
    full: list[tuple[list[int], list[int], NDArray[np.float64]]] = []
    inside: list[Flags] = []
    for index in sorted(truths.keys() | predictions.keys()):
        own = [one for one in truths.get(index, ()) if one.category == category]
        found = [one for one in predictions.get(index, ()) if one.category == category]
        lines, other_lines = [of_mask(one.mask) for one in own], [of_mask(one.mask) for one in found]
        similarity = ious(lines, other_lines)
        ignorable = _inside(other_lines, [one for one in truths.get(index, ()) if one.category == _IGNORE])
        stays = ~ignorable
        stays[_matched(similarity)] = True
        ids, other_ids = [one.id for one in own], [one.id for one in found]
        full.append((ids, other_ids, similarity))
        kept.append(
            (ids, [number for number, stay in zip(other_ids, stays, strict=True) if stay], similarity[:, stays])
        )
        inside.append(ignorable)
    return ClassScores(TrackingScores.of(numbered(kept, frames)), OlderMots.of(numbered(full, frames), inside))


def _inside(lines: Sequence[Intervals], regions: Sequence[MotsMask]) -> Flags:
    """Tell which masks lie in the ignore regions by more than half of their own area."""
    if not lines or not regions:
        return np.zeros(len(lines), np.bool_)
    region = of_mask(merge([one.mask for one in regions]))
    shared = shared_pixels(lines, [region])[:, 0]
    areas = np.array([line.area for line in lines])
    found: Flags = shared / np.maximum(areas, 1) > _INSIDE + EPSILON
    return found


def _matched(similarity: NDArray[np.float64]) -> NDArray[np.intp]:
    """Columns of the detections that are an object's, by the assignment of largest total IoU."""
    score = similarity.copy()
    score[similarity < _MATCH - EPSILON] = -10000
    rows, columns = assigned(score)
    return columns[score[rows, columns] > 0]
