"""The protocols of DAVIS 2017 and 2019: several objects a sequence, given on the first frame or found.

Paper: Pont-Tuset et al., "The 2017 DAVIS Challenge on Video Object Segmentation", 2017; Caelles et al., "The 2019 DAVIS
Challenge on VOS: Unsupervised Multi-Object Segmentation", 2019.
Difference from the official tool: objects are listed by their own number, not by that of the proposal they were given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import DataError
from rotoscope.masks.label_map import LabelMap, is_binary_0_255
from rotoscope.metrics.foreground import LARGEST_LABEL, VOID, read
from rotoscope.metrics.prediction_files import Missing, SequenceFiles, evaluated_frames, match_files, same_size
from rotoscope.metrics.region_boundary import TOLERANCE, object_scores
from rotoscope.metrics.statistics import Statistics, figures, mean_statistics, summarise
from rotoscope.metrics.workers import Progress, score_all

Task = Literal["semi-supervised", "unsupervised"]
Scores = NDArray[np.float64]

PROPOSALS = 20  # so many the unsupervised task allows


@dataclass(frozen=True, slots=True, eq=False)
class ObjectScores:
    """Scores of one object.

    Attributes:
        id: of the object in the annotations.
        region: (T,) float64, J of each frame.
        boundary: (T,) float64, F of each frame.
        proposal: id of the proposal it was scored with: its own in the semi-supervised task.
        official: decay as the official tool has it.
    """

    id: int
    region: Scores
    boundary: Scores
    proposal: int
    official: bool = False

    @property
    def region_statistics(self) -> Statistics:
        """Mean, recall and decay of J."""
        return summarise(self.region, self.official)

    @property
    def boundary_statistics(self) -> Statistics:
        """Mean, recall and decay of F."""
        return summarise(self.boundary, self.official)


@dataclass(frozen=True, slots=True, eq=False)
class SequenceScores:
    """Scores of one sequence.

    Attributes:
        name: of the sequence.
        frames: names of the frames scored, in order.
        objects: in order of id.
        missing: those of the frames without a prediction, scored as empty.
        proposals: number of proposals, those without a pixel included; in the semi-supervised task that of objects.
    """

    name: str
    frames: tuple[str, ...]
    objects: tuple[ObjectScores, ...]
    missing: tuple[str, ...] = ()
    proposals: int = 0

    @property
    def region_statistics(self) -> Statistics:
        """Mean, recall and decay of J, each the mean over objects."""
        return mean_statistics([item.region_statistics for item in self.objects])

    @property
    def boundary_statistics(self) -> Statistics:
        """Mean, recall and decay of F, each the mean over objects."""
        return mean_statistics([item.boundary_statistics for item in self.objects])


@dataclass(frozen=True, slots=True, eq=False)
class Davis17Scores:
    """Scores of a set of sequences.

    Attributes:
        task: which protocol.
        sequences: in the order asked for.
        keep_ends: whether first and last frames were scored too.
    """

    task: Task
    sequences: tuple[SequenceScores, ...]
    keep_ends: bool

    @property
    def region_statistics(self) -> Statistics:
        """Mean, recall and decay of J, each the mean over all objects of all sequences."""
        return mean_statistics([item.region_statistics for one in self.sequences for item in one.objects])

    @property
    def boundary_statistics(self) -> Statistics:
        """Mean, recall and decay of F, each the mean over all objects of all sequences."""
        return mean_statistics([item.boundary_statistics for one in self.sequences for item in one.objects])

    @property
    def region_and_boundary(self) -> float:
        """J&F: the mean of the two means."""
        return (self.region_statistics.mean + self.boundary_statistics.mean) / 2


def object_count(labels: LabelMap) -> int:
    """Number of objects of a sequence: the highest id of its first annotation, void apart; lower ones may be absent."""
    return int(np.where(labels == VOID, 0, labels).max())


def score_label_maps(
    name: str,
    truths: Sequence[LabelMap],
    predictions: Sequence[LabelMap],
    task: Task,
    *,
    keep_ends: bool | None = None,
) -> SequenceScores:
    """Score one sequence from arrays.

    Args:
        name: of the sequence.
        truths: T label maps, (H, W) uint8; 255 is void, which counts as background in the semi-supervised task.
        predictions: T label maps of the same size.
        task: which protocol.
        keep_ends: score the first and the last frame too; without it the task decides: unsupervised keeps them.

    Raises:
        DataError: numbers of frames that differ or are too small, no object, or ids above the limit.
        MaskError: maps that differ in size.
    """
    if len(truths) != len(predictions):
        raise DataError(f"{name} has {len(truths)} annotations and {len(predictions)} predictions; give one each")
    kept = evaluated_frames(name, len(truths), ends_kept(task, keep_ends))
    scoring = _Scoring(name, object_count(truths[0]), task)
    for index in kept:
        scoring.add(f"{index:05d}", truths[index], predictions[index], f"frame {index} of {name}")
    return scoring.result()


def ends_kept(task: Task, asked: bool | None) -> bool:
    """Whether first and last frames count: as asked, else as the task has it."""
    return asked if asked is not None else task == "unsupervised"


def evaluate(
    annotations: Mapping[str, Sequence[Path]],
    predictions: Path,
    task: Task,
    *,
    keep_ends: bool | None = None,
    missing: Missing = "error",
    official: bool = False,
    one_object: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> Davis17Scores:
    """Score a folder of predicted label maps.

    A frame is held at a time. What is missing is found before the first frame is scored.

    Args:
        annotations: sequence to its annotation files in order of frames.
        predictions: folder of `<sequence>/<frame>.png` or `<sequence>/masks/<frame>.png`.
        task: which protocol.
        keep_ends: as in `score_label_maps`.
        missing: what a sequence or frame without prediction means: an error, or an empty map.
        official: give the decay of long sequences as the official tool does, see `statistics.summarise`.
        one_object: the annotations are those of DAVIS 2016: whatever is marked is the one object of its sequence.
        workers: see `workers.score_all`.
        progress: called with the name of each sequence that is done.

    Raises:
        DataError: predictions that are missing, superfluous, of another size, with ids above the limit, in black and
            white, or in files that cannot be used.
        OptionError: no worker.
    """
    kept = ends_kept(task, keep_ends)
    jobs = [
        (match_files(name, files, predictions, evaluated_frames(name, len(files), kept), missing), task, one_object)
        for name, files in annotations.items()
    ]
    results = score_all(_score_files, jobs, list(annotations), workers, progress)
    if official:
        results = [replace(one, objects=tuple(replace(item, official=True) for item in one.objects)) for one in results]
    return Davis17Scores(task, tuple(results), kept)


def as_json(scores: Davis17Scores) -> dict[str, object]:
    """Give all figures as plain objects for a JSON file, with DAVIS's names and the protocol beside the numbers."""
    unsupervised = scores.task == "unsupervised"
    return {
        "benchmark": "davis17-unsupervised" if unsupervised else "davis17",
        "protocol": {
            "end_frames": "kept" if scores.keep_ends else "left out",
            "void": "left out" if unsupervised else "background",
            "matching": "best one-to-one assignment by mean J&F" if unsupervised else "by id",
            "global": "mean over objects",
            "boundary_tolerance": TOLERANCE,
        },
        "global": figures(scores.region_statistics, scores.boundary_statistics),
        "sequences": [_sequence_json(sequence) for sequence in scores.sequences],
    }


def _sequence_json(sequence: SequenceScores) -> dict[str, object]:
    return {
        "sequence": sequence.name,
        **figures(sequence.region_statistics, sequence.boundary_statistics),
        "proposals": sequence.proposals,
        "missing": list(sequence.missing),
        "frames": list(sequence.frames),
        "objects": [
            {
                "object": item.id,
                "proposal": item.proposal,
                **figures(item.region_statistics, item.boundary_statistics),
                "J": item.region.tolist(),
                "F": item.boundary.tolist(),
            }
            for item in sequence.objects
        ],
    }


class _Scoring:
    """Takes the frames of one sequence, keeps their scores."""

    def __init__(self, name: str, objects: int, task: Task) -> None:
        if objects == 0:
            raise DataError(f"the first annotation of {name} holds no object; objects are those of the first frame")
        self._name, self._objects, self._task = name, objects, task
        self._limit = objects if task == "semi-supervised" else PROPOSALS
        self._proposals = 0
        self._frames: list[str] = []
        self._scores: list[tuple[Scores, Scores]] = []

    def add(self, frame: str, truth: LabelMap, prediction: LabelMap, where: str) -> None:
        """Score one frame; `where` names the prediction in errors."""
        highest = int(prediction.max())
        if highest > self._limit:
            raise DataError(self._too_high(where, highest, prediction))
        self._proposals = max(self._proposals, highest)
        self._frames.append(frame)
        if self._task == "semi-supervised":
            self._scores.append(object_scores(truth, prediction, self._objects, self._objects, paired=True))
        else:
            width = max(self._objects, PROPOSALS)
            self._scores.append(object_scores(truth, prediction, self._objects, width, void=VOID))

    def result(self, missing: Iterable[str] = ()) -> SequenceScores:
        """Give the scores of the sequence."""
        region, boundary = (np.stack([pair[part] for pair in self._scores]) for part in range(2))  # (T, N[, M])
        if self._task == "semi-supervised":
            chosen = np.arange(self._objects)
            proposals = self._objects
        else:
            proposals = max(self._proposals, self._objects)
            region, boundary = region[..., :proposals], boundary[..., :proposals]
            chosen = _assigned(region, boundary)
            place = np.arange(self._objects)
            region, boundary = region[:, place, chosen], boundary[:, place, chosen]
        objects = tuple(
            ObjectScores(number + 1, region[:, number], boundary[:, number], int(chosen[number]) + 1)
            for number in range(self._objects)
        )
        return SequenceScores(self._name, tuple(self._frames), objects, tuple(missing), proposals)

    def _too_high(self, where: str, highest: int, prediction: LabelMap) -> str:
        if is_binary_0_255(prediction):
            return (
                f"{where} holds 0 and 255: a mask in black and white where ids of objects are expected; "
                "write ids from 1 on, or score one foreground with davis16"
            )
        if self._task == "semi-supervised":
            return (
                f"{where} holds the id {highest}, the first annotation of {self._name} has objects 1 to "
                f"{self._objects}; use the ids of the annotation"
            )
        return (
            f"{where} holds the id {highest}; at most {PROPOSALS} proposals, numbered from 1, are allowed; write "
            f"the best ones alone (rotoscope segment --most-tracks {PROPOSALS})"
        )


def _assigned(region: Scores, boundary: Scores) -> NDArray[np.intp]:
    """Choose a proposal for each object so that the sum of mean J&F is largest: (N,) from (T, N, M) scores."""
    from scipy.optimize import linear_sum_assignment

    value = (region.mean(axis=0) + boundary.mean(axis=0)) / 2  # (N, M)
    return linear_sum_assignment(value, maximize=True)[1]


def _score_files(job: tuple[SequenceFiles, Task, bool]) -> SequenceScores:
    files, task, one_object = job
    first = files.annotations[0]
    scoring = _Scoring(files.name, 1 if one_object else _count_objects(first), task)
    for truth_path, path in files.pairs:
        truth = read(truth_path).values
        if one_object:
            truth = (truth > 0).astype(np.uint8)
        if path is None:
            scoring.add(truth_path.stem, truth, np.zeros_like(truth), "")
            continue
        prediction = read(path).values
        same_size(path, prediction.shape, truth_path, truth.shape)
        scoring.add(truth_path.stem, truth, prediction, str(path))
    return scoring.result(truth_path.stem for truth_path, path in files.pairs if path is None)


def _count_objects(first: Path) -> int:
    stored = read(first)
    labels = stored.values
    if is_binary_0_255(labels):
        raise DataError(
            f"{first} holds 0 and 255: an annotation of DAVIS 2016 where ids of objects are expected; "
            "give the annotations of the 2017 or 2019 package, score with davis16, or say that they are of one object "
            "(--one-object)"
        )
    if stored.values.dtype != np.uint8:
        raise DataError(f"{first} has 16 bits; DAVIS's annotations are palette PNG with ids of 8 bits")
    count = object_count(labels)
    if stored.kind == "grey" and count > LARGEST_LABEL:
        raise DataError(f"{first} holds levels of grey up to {count} where ids of objects are expected")
    return count
