"""The protocol of DAVIS 2016: one object a sequence, first and last frame left out, mean over sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import DataError
from rotoscope.metrics.foreground import VOID, PredictionRule, Rule, annotated, read, void_is_marked
from rotoscope.metrics.prediction_files import Missing, SequenceFiles, evaluated_frames, match_files, same_size
from rotoscope.metrics.region_boundary import TOLERANCE, region_and_boundary
from rotoscope.metrics.statistics import Statistics, figures, mean_statistics, summarise
from rotoscope.metrics.workers import Progress, score_all

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SequenceScores:
    """Scores of one sequence.

    Attributes:
        name: of the sequence.
        frames: names of the frames scored, in order.
        region: (T,) float64, J of each of them.
        boundary: (T,) float64, F of each of them.
        missing: those of them without a prediction, scored as empty masks.
        rule: which pixels of the prediction files were taken as foreground.
        official: decay as the official tool has it.
    """

    name: str
    frames: tuple[str, ...]
    region: NDArray[np.float64]
    boundary: NDArray[np.float64]
    missing: tuple[str, ...] = ()
    rule: Rule = "not 0"
    official: bool = False

    @property
    def region_statistics(self) -> Statistics:
        """Mean, recall and decay of J."""
        return summarise(self.region, self.official)

    @property
    def boundary_statistics(self) -> Statistics:
        """Mean, recall and decay of F."""
        return summarise(self.boundary, self.official)

    @property
    def region_and_boundary(self) -> float:
        """J&F: the mean of the two means."""
        return (self.region_statistics.mean + self.boundary_statistics.mean) / 2


@dataclass(frozen=True, slots=True, eq=False)
class Davis16Scores:
    """Scores of a set of sequences.

    Attributes:
        sequences: in the order asked for.
        keep_ends: whether first and last frames were scored too.
    """

    sequences: tuple[SequenceScores, ...]
    keep_ends: bool

    @property
    def region_statistics(self) -> Statistics:
        """Mean, recall and decay of J, each the mean over sequences."""
        return mean_statistics([sequence.region_statistics for sequence in self.sequences])

    @property
    def boundary_statistics(self) -> Statistics:
        """Mean, recall and decay of F, each the mean over sequences."""
        return mean_statistics([sequence.boundary_statistics for sequence in self.sequences])

    @property
    def region_and_boundary(self) -> float:
        """J&F: the mean of the two means."""
        return (self.region_statistics.mean + self.boundary_statistics.mean) / 2


def score_masks(
    name: str, truths: Sequence[Mask], predictions: Sequence[Mask], keep_ends: bool = False
) -> SequenceScores:
    """Score one sequence from arrays.

    Args:
        name: of the sequence.
        truths: T masks, (H, W) bool each.
        predictions: T masks of the same size.
        keep_ends: score the first and the last frame too.

    Raises:
        DataError: numbers of frames that differ or are too small.
        MaskError: masks that are not bool or differ in size.
    """
    if len(truths) != len(predictions):
        raise DataError(f"{name} has {len(truths)} annotations and {len(predictions)} predictions; give one each")
    kept = evaluated_frames(name, len(truths), keep_ends)
    scores = [region_and_boundary(truths[index], predictions[index]) for index in kept]
    table = np.array(scores, np.float64)
    return SequenceScores(name, tuple(f"{index:05d}" for index in kept), table[:, 0], table[:, 1])


def evaluate(
    annotations: Mapping[str, Sequence[Path]],
    predictions: Path,
    *,
    keep_ends: bool = False,
    missing: Missing = "error",
    official: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> Davis16Scores:
    """Score a folder of predicted masks.

    A frame is held at a time. What is missing is found before the first frame is scored.

    Args:
        annotations: sequence to its annotation files in order of frames.
        predictions: folder of `<sequence>/<frame>.png` or `<sequence>/masks/<frame>.png`.
        keep_ends: score the first and the last frame of each sequence too.
        missing: what a sequence or frame without prediction means: an error, or an empty mask.
        official: give the decay of long sequences as the official tool does, see `statistics.summarise`.
        workers: processes that share the sequences; above 1, the calling script needs the usual
            `if __name__ == "__main__":`.
        progress: called with the name of each sequence that is done.

    Raises:
        DataError: predictions that are missing, superfluous, of another size, or in files that cannot be used.
        OptionError: no worker.
    """
    jobs = [
        match_files(name, files, predictions, evaluated_frames(name, len(files), keep_ends), missing)
        for name, files in annotations.items()
    ]
    results = score_all(_score_files, jobs, list(annotations), workers, progress)
    return Davis16Scores(tuple(replace(result, official=official) for result in results), keep_ends)


def as_json(scores: Davis16Scores) -> dict[str, object]:
    """Give all figures as plain objects for a JSON file, with DAVIS's names and the protocol beside the numbers."""
    return {
        "benchmark": "davis16",
        "protocol": {
            "end_frames": "kept" if scores.keep_ends else "left out",
            "void": "background",
            "global": "mean over sequences",
            "boundary_tolerance": TOLERANCE,
        },
        "global": figures(scores.region_statistics, scores.boundary_statistics),
        "sequences": [
            {
                "sequence": sequence.name,
                **figures(sequence.region_statistics, sequence.boundary_statistics),
                "foreground": sequence.rule,
                "missing": list(sequence.missing),
                "frames": list(sequence.frames),
                "J": sequence.region.tolist(),
                "F": sequence.boundary.tolist(),
            }
            for sequence in scores.sequences
        ],
    }


def _score_files(files: SequenceFiles) -> SequenceScores:
    void_marked = void_is_marked(files.annotations)
    rule = PredictionRule()
    candidates: dict[Rule, list[tuple[float, float]]] = {"not 0": [], "above 128": []}
    for truth_path, path in files.pairs:
        truth = annotated(read(truth_path), void_marked)
        for reading, scores in _score_frame(truth, truth_path, path, rule).items():
            candidates[reading].append(scores)
    table = np.array(candidates[rule.rule], np.float64)
    names = tuple(truth_path.stem for truth_path, _ in files.pairs)
    absent = tuple(truth_path.stem for truth_path, path in files.pairs if path is None)
    return SequenceScores(files.name, names, table[:, 0], table[:, 1], absent, rule.rule)


def _score_frame(
    truth: Mask, truth_path: Path, path: Path | None, rule: PredictionRule
) -> dict[Rule, tuple[float, float]]:
    """Score a frame under every rule that is still open; only soft maps before they are known as such cost twice."""
    if path is None:
        empty = region_and_boundary(truth, np.zeros_like(truth))
        return {"not 0": empty, "above 128": empty}
    stored = read(path)
    same_size(path, stored.values.shape, truth_path, truth.shape)
    if stored.values.dtype != np.uint8 and int(stored.values.max()) > VOID:
        raise DataError(f"{path} has 16 bits and numbers up to {stored.values.max()}; write masks as 8-bit PNG")
    known: dict[int, tuple[float, float]] = {}
    scores: dict[Rule, tuple[float, float]] = {}
    for reading, mask in rule.readings(stored).items():
        if id(mask) not in known:
            known[id(mask)] = region_and_boundary(truth, mask)
        scores[reading] = known[id(mask)]
    return scores
