"""Soft foreground maps in folders, counted against the annotations of a saliency data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import DataError
from rotoscope.masks.label_map import present
from rotoscope.masks.png import ANNOTATION_FORMATS, StoredMap
from rotoscope.metrics.foreground import LARGEST_LABEL, LEVEL, VOID, read
from rotoscope.metrics.prediction_files import Missing, SequenceFiles, match_files, same_size
from rotoscope.metrics.saliency import LEVELS, Histograms, SaliencyScores, SequenceSaliency, histogram
from rotoscope.metrics.workers import Progress, score_all

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Job:
    files: SequenceFiles
    ids: bool
    resize: bool


def evaluate(
    annotations: Mapping[str, Sequence[Path]],
    predictions: Path,
    *,
    ids: bool = True,
    sparse: bool = False,
    resize: bool = False,
    missing: Missing = "error",
    workers: int = 1,
    progress: Progress | None = None,
) -> SaliencyScores:
    """Count a folder of soft maps.

    A frame is held at a time. Masks are taken too: of ids, of 0 and 255, or of 0 and 1.

    Args:
        annotations: sequence to its annotation files in order of frames; everything but 0 is foreground.
        predictions: folder of `<sequence>.soft/<frame>.png`, `<sequence>/soft/<frame>.png` or `<sequence>/<frame>.png`.
        ids: the numbers of annotations are ids, so that the framewise scores take all but 0 as well; else they are
            levels, of which the framewise scores take those above 128.
        sparse: see `prediction_files.match_files`.
        resize: bring each annotation to the size of its prediction (nearest pixel), as the authors score at the
            network's resolution; else sizes must agree.
        missing: what a sequence or frame without prediction means: an error, or an empty map.
        workers: see `workers.score_all`.
        progress: called with the name of each sequence that is done.

    Raises:
        DataError: predictions that are missing, superfluous, of another size, or in files that cannot be used.
        OptionError: no worker.
    """
    jobs = [
        _Job(match_files(name, files, predictions, range(len(files)), missing, soft=True, sparse=sparse), ids, resize)
        for name, files in annotations.items()
    ]
    return SaliencyScores(tuple(score_all(_count, jobs, list(annotations), workers, progress)))


def _count(job: _Job) -> SequenceSaliency:
    counted: list[Histograms] = []
    strict: list[Histograms] = []
    hard, highest = True, 0
    for truth_path, path in job.files.pairs:
        stored = read(truth_path, ANNOTATION_FORMATS)
        if path is None:
            soft = np.zeros(stored.values.shape, np.uint8)
        else:
            soft, is_mask = _levels(path, read(path))
            hard, highest = hard and is_mask, max(highest, int(soft.max()))
        if job.resize:
            stored = _resized(stored, soft.shape)
        elif path is not None:
            same_size(path, soft.shape, truth_path, stored.values.shape)
        truth, narrow = _foreground(stored, job.ids)
        counted.append(histogram(truth, soft))
        strict.append(counted[-1] if narrow is truth else histogram(narrow, soft))
    files = job.files
    names = tuple(truth_path.stem for truth_path, _ in files.pairs)
    absent = tuple(truth_path.stem for truth_path, path in files.pairs if path is None)
    ones = highest == 1  # masks of 0 and 1: 1 is all there is
    tables = [np.stack(table) for table in (counted, strict)]
    if ones:
        for table in tables:
            table[..., LEVELS - 1], table[..., 1] = table[..., 1], 0
    return SequenceSaliency(files.name, names, tables[0], tables[1], absent, highest > 0 and (hard or ones))


def _levels(path: Path, stored: StoredMap) -> tuple[NDArray[np.uint8], bool]:
    """Give the levels of a soft map, or 0 and 255 for a mask; and which it is."""
    values = stored.values
    if stored.kind == "labels":
        ids = present(values)
        if ids.size and (ids.size > LARGEST_LABEL or int(ids[-1]) > VOID):
            raise DataError(
                f"{path} holds {ids.size} numbers up to {ids[-1]}, neither a mask nor an 8-bit grey map; write "
                "foreground probabilities as grey PNG of 8 bits, 255 = certain"
            )
        return np.where(values != 0, np.uint8(LEVELS - 1), np.uint8(0)), True
    levels = values.astype(np.uint8, copy=False)  # grey files have 8 bits at most
    return levels, bool(((levels == 0) | (levels == LEVELS - 1)).all())


def _foreground(stored: StoredMap, ids: bool) -> tuple[Mask, Mask]:
    """Give the foreground of an annotation for pooled pixels, and for the framewise scores; often one object."""
    truth: Mask = stored.values != 0
    if ids or stored.kind == "labels":
        return truth, truth
    narrow: Mask = stored.values > LEVEL
    return (truth, truth) if np.array_equal(truth, narrow) else (truth, narrow)


def _resized(stored: StoredMap, size: tuple[int, ...]) -> StoredMap:
    if stored.values.shape == size:
        return stored
    image = Image.fromarray(np.ascontiguousarray(stored.values)).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return StoredMap(np.asarray(image), stored.kind)
