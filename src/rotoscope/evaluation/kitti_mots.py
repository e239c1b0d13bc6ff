"""HOTA, CLEAR, identity and the older MOTS tool's scores on KITTI-MOTS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rotoscope.data.kitti_mots import MotsAnnotations, find_annotations
from rotoscope.evaluation.remarks import counted
from rotoscope.evaluation.report import Cell, Report, Request, Table
from rotoscope.evaluation.tracking import figures_json, hota_over_alpha, summary_rows, toolkit_rows
from rotoscope.figures import Bars
from rotoscope.metrics import kitti_mots
from rotoscope.metrics.hota import ALPHAS
from rotoscope.metrics.kitti_mots import ClassScores, KittiMotsScores

_COLUMNS = ("HOTA", "DetA", "AssA", "LocA", "sMOTSA", "MOTSA", "MOTSP", "IDS", "IDF1")
_OLDER_COLUMNS = ("sMOTSA", "MOTSA", "MOTSP", "recall", "prec.", "IDS", "frag", "MT", "ML")


def evaluate_kitti_mots(request: Request) -> Report:
    """Score KITTI-MOTS; see `metrics.kitti_mots`."""
    found = find_annotations(request.annotations, request.sequences)
    scores = kitti_mots.evaluate(
        found.sequences,
        request.predictions,
        missing=request.missing,
        workers=request.workers,
        progress=lambda name: request.progress(name, len(found.sequences)),
    )
    tables = []
    for name, whole in scores.classes.items():
        rows = [[one.name, *_cells(one.classes[name])] for one in scores.sequences]
        tables.append(Table(f"KITTI-MOTS, {name}", ("sequence", *_COLUMNS), rows, [["all", *_cells(whole)]]))
    older = [[name, *_older_cells(whole)] for name, whole in scores.classes.items()]
    tables.append(Table("by the older MOTS tool, all sequences", ("class", *_OLDER_COLUMNS), older))
    return Report(
        "kitti-mots",
        tables,
        list(_remarks(found, scores)),
        {
            "protocol": {"global": "counts of all sequences added up, class by class", "alphas": ALPHAS.tolist()},
            "classes": {name: _class_json(whole) for name, whole in scores.classes.items()},
            "sequences": [
                {
                    "sequence": one.name,
                    "frames": one.frames,
                    **{name: _class_json(part) for name, part in one.classes.items()},
                }
                for one in scores.sequences
            ],
        },
        _files(scores),
        {
            "hota-over-alpha": hota_over_alpha({name: whole.tracking.hota for name, whole in scores.classes.items()}),
            "sequences": _bars(scores),
        },
    )


def _class_json(scores: ClassScores) -> dict[str, object]:
    """Every figure of one class, by the tools' names; values at all alphas as lists, their means without a suffix."""
    found = figures_json(scores.tracking.figures())
    return {**found, "older_mots_tool": dict(scores.older.figures())}


def _cells(scores: ClassScores) -> list[Cell]:
    if not scores.tracking.counts.objects:
        return [None] * len(_COLUMNS)  # nothing to find: no figure says anything
    hota, clear = scores.tracking.hota, scores.tracking.clear.figures()
    detection = [float(values.mean()) for values in (hota.hota, hota.det_a, hota.ass_a, hota.loc_a)]
    names = ("sMOTA", "MOTA", "MOTP", "IDSW")
    accuracy = [value for name in names if not isinstance(value := clear[name], np.ndarray)]
    return [*detection, *accuracy, scores.tracking.identity.f1]


def _older_cells(scores: ClassScores) -> list[Cell]:
    older = scores.older.figures()
    names = ("sMOTSA", "MOTSA", "MOTSP", "recall", "precision", "id_switches", "fragments", "MT", "ML")
    return [value for name in names if not isinstance(value := older[name], np.ndarray)]


def _files(scores: KittiMotsScores) -> dict[str, Sequence[Sequence[Cell]]]:
    files: dict[str, Sequence[Sequence[Cell]]] = {}
    for name, whole in scores.classes.items():
        parts = [(one.name, one.classes[name].tracking.figures()) for one in scores.sequences]
        files[f"{name}_detailed.csv"] = toolkit_rows([*parts, ("COMBINED", whole.tracking.figures())])
        files[f"{name}_summary.txt"] = summary_rows(whole.tracking.figures())
    return files


def _bars(scores: KittiMotsScores) -> Bars:
    values = {f"{name} HOTA": [_hota_or_nan(one.classes[name]) for one in scores.sequences] for name in scores.classes}
    marks = {f"{name} HOTA": float(whole.tracking.hota.hota.mean()) for name, whole in scores.classes.items()}
    return Bars("KITTI-MOTS, by sequence", [one.name for one in scores.sequences], values, marks)


def _remarks(found: MotsAnnotations, scores: KittiMotsScores) -> Iterator[str]:
    frames = sum(one.frames for one in scores.sequences)
    listed = "those found"
    if found.listed_by:
        listed = f"as {found.listed_by} lists them"
    elif found.standard:
        listed = "the benchmark's validation set; others are there, --sequences or a sequence map names them"
    sequences = counted(len(scores.sequences), "sequence")
    yield f"{counted(frames, 'frame')} of {sequences}, {listed}; classes are scored apart"
    yield "detections that lie by more than half in a region to ignore, and match nothing, do not count"
    unknown = [name for name, (_, length) in found.sequences.items() if length is None]
    if unknown:
        yield f"no sequence map tells the length, taken to end with the last mask: {', '.join(unknown)}"
    if found.left_out:
        yield f"left out, no annotations here: {', '.join(found.left_out)}"
    empty = [one.name for one in scores.sequences if one.missing]
    if empty:
        yield f"no result, scored as without detections: {', '.join(empty)}"


def _hota_or_nan(scores: ClassScores) -> float:
    """HOTA, or NaN where there is nothing to find."""
    return float(scores.tracking.hota.hota.mean()) if scores.tracking.counts.objects else float("nan")
