"""J and F on DAVIS: one object (2016), several given (2017), several found (unsupervised)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rotoscope.data.annotation_set import AnnotationSet
from rotoscope.data.davis import Kind, find_annotations
from rotoscope.errors import DataError
from rotoscope.evaluation.remarks import counted, ends, left_out, missing, same_place
from rotoscope.evaluation.report import Cell, Report, Request, Table
from rotoscope.figures import Bars, Panel, Panels
from rotoscope.metrics import davis16, davis17
from rotoscope.metrics.statistics import Statistics, figures

Values = NDArray[np.float64]

_COLUMNS = ("J&F", "J mean", "recall", "decay", "F mean", "recall", "decay")
_PANELS = 12  # sequences drawn over time; more cannot be read


def evaluate_davis16(request: Request) -> Report:
    """Score DAVIS 2016; see `metrics.davis16`."""
    found = _annotations(request, "2016")
    keep = request.keep_ends(protocol=False)
    scores = davis16.evaluate(
        found.sequences,
        request.predictions,
        keep_ends=keep,
        missing=request.missing,
        official=request.official,
        workers=request.workers,
        progress=lambda name: request.progress(name, len(found.sequences)),
    )
    region, boundary = scores.region_statistics, scores.boundary_statistics
    rows = [[one.name, *_cells(one.region_statistics, one.boundary_statistics)] for one in scores.sequences]
    count = f"mean of {len(rows)}"
    frames = sum(len(one.frames) for one in scores.sequences)
    remarks = [
        f"{counted(frames, 'frame')} scored, first and last of each sequence {ends(keep)}",
        *left_out(found),
        *missing((one.name, one.missing) for one in scores.sequences),
        *same_place(found.folder, request.predictions),
    ]
    grey = [one.name for one in scores.sequences if one.rule == "above 128"]
    remarks += [f"{name}: predictions are grey maps, foreground is above 128" for name in grey]
    return Report(
        "davis16",
        [Table("DAVIS 2016", ("sequence", *_COLUMNS), rows, [[count, *_cells(region, boundary)]])],
        remarks,
        {**davis16.as_json(scores), "left_out": list(found.left_out)},
        _files(request, figures(region, boundary), [(f"{row[0]}_1", row[2], row[5]) for row in rows]),
        {
            "sequences": _bars("DAVIS 2016, by sequence", rows, region, boundary),
            "over-time": _over_time(
                "J and F over time", {one.name: (one.region, one.boundary) for one in scores.sequences}, keep
            ),
        },
    )


def evaluate_davis17(request: Request) -> Report:
    """Score DAVIS 2017, objects given on the first frame; see `metrics.davis17`."""
    return _several(request, "semi-supervised")


def evaluate_unsupervised(request: Request) -> Report:
    """Score DAVIS 2017 or 2019, objects found, or DAVIS 2016 by its best instance; see `metrics.davis17`."""
    return _several(request, "unsupervised")


def _several(request: Request, task: davis17.Task) -> Report:
    kind: Kind = "2016" if request.one_object else "2017" if task == "semi-supervised" else "unsupervised"
    found = _annotations(request, kind)
    keep = request.keep_ends(protocol=davis17.ends_kept(task, None))
    scores = davis17.evaluate(
        found.sequences,
        request.predictions,
        task,
        keep_ends=keep,
        missing=request.missing,
        official=request.official,
        one_object=request.one_object,
        workers=request.workers,
        progress=lambda name: request.progress(name, len(found.sequences)),
    )
    region, boundary = scores.region_statistics, scores.boundary_statistics
    proposals = ["proposal"] if task == "unsupervised" else []
    rows = [_object_row(one, item, task) for one in scores.sequences for item in one.objects]
    last: list[Cell] = [f"mean of {len(rows)}", *(None for _ in proposals)]
    title = f"DAVIS 2017, {task}"
    whole = [[one.name, *_cells(one.region_statistics, one.boundary_statistics)] for one in scores.sequences]
    report = davis17.as_json(scores)
    return Report(
        str(report["benchmark"]),
        [Table(title, ("object", *proposals, *_COLUMNS), rows, [[*last, *_cells(region, boundary)]])],
        [
            *_protocol(scores),
            *left_out(found),
            *missing((one.name, one.missing) for one in scores.sequences),
            *same_place(found.folder, request.predictions),
        ],
        {**report, "left_out": list(found.left_out)},
        _files(request, figures(region, boundary), _tool_rows(scores, request.official)),
        {
            "sequences": _bars(f"{title}, mean of the objects of each sequence", whole, region, boundary),
            "over-time": _over_time(
                "J and F over time, mean of the objects", {one.name: _of_objects(one) for one in scores.sequences}, keep
            ),
        },
    )


def _object_row(one: davis17.SequenceScores, item: davis17.ObjectScores, task: davis17.Task) -> list[Cell]:
    proposal = [item.proposal] if task == "unsupervised" else []
    return [f"{one.name} {item.id}", *proposal, *_cells(item.region_statistics, item.boundary_statistics)]


def _tool_rows(scores: davis17.Davis17Scores, official: bool) -> list[tuple[str, Cell, Cell]]:
    """Name, J and F of each object for the tool's file: in order of id, officially in that of the proposals."""
    rows: list[tuple[str, Cell, Cell]] = []
    for one in scores.sequences:
        ranked = sorted(one.objects, key=lambda item: item.proposal) if official else one.objects
        for place, item in enumerate(ranked, start=1):
            rows.append((f"{one.name}_{place}", item.region_statistics.mean, item.boundary_statistics.mean))
    return rows


def _annotations(request: Request, kind: Kind) -> AnnotationSet:
    if request.split.startswith("test"):
        if kind == "2016":
            raise DataError(f"DAVIS 2016 has no split {request.split}; it has train and val")
        name = "davis17" if kind == "2017" else "davis17-unsupervised"
        raise DataError(
            f"the annotations of {request.split} are not public, only the benchmark's server can score it; write its "
            f"submission with: rotoscope export {name} --split {request.split} --videos DAVIS --predictions DIR -o "
            "FILE.zip"
        )
    return find_annotations(request.annotations, request.sequences, kind, request.split)


def _protocol(scores: davis17.Davis17Scores) -> Iterator[str]:
    frames = sum(len(one.frames) for one in scores.sequences)
    objects = sum(len(one.objects) for one in scores.sequences)
    yield f"{counted(frames, 'frame')} scored, first and last of each sequence {ends(scores.keep_ends)}"
    if scores.task == "unsupervised":
        yield f"{counted(objects, 'object')}, given the proposals with the best sum of mean J&F; void pixels left out"
    else:
        yield f"{counted(objects, 'object')}, those of each sequence's first annotation; void pixels are background"


def _cells(region: Statistics, boundary: Statistics) -> list[Cell]:
    return list(figures(region, boundary).values())


def _files(
    request: Request, whole: Mapping[str, float], parts: Sequence[tuple[str, Cell, Cell]]
) -> dict[str, list[list[Cell]]]:
    """The two files of the DAVIS tool: three decimals."""
    rows: list[list[Cell]] = [[name, _three(region), _three(boundary)] for name, region, boundary in parts]
    return {
        f"global_results-{request.split}.csv": [list(whole), [_three(value) for value in whole.values()]],
        f"per-sequence_results-{request.split}.csv": [["Sequence", "J-Mean", "F-Mean"], *rows],
    }


def _three(value: Cell) -> str:
    return f"{value:z.3f}" if isinstance(value, float) else str(value)


def _bars(title: str, rows: Sequence[Sequence[Cell]], region: Statistics, boundary: Statistics) -> Bars:
    return Bars(
        title,
        [str(row[0]) for row in rows],
        {"J": [_number(row[2]) for row in rows], "F": [_number(row[5]) for row in rows]},
        {"J": region.mean, "F": boundary.mean},
    )


def _number(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else float("nan")


def _over_time(title: str, sequences: Mapping[str, tuple[Values, Values]], keep_ends: bool) -> Panels:
    """Draw J and F of each frame, a panel a sequence."""
    first = 0 if keep_ends else 1
    chosen = list(sequences.items())
    if len(chosen) > _PANELS:
        chosen = sorted(chosen, key=lambda item: float(item[1][0].min()))[:_PANELS]
    panels = [
        Panel(
            name,
            {"J": (first + np.arange(region.size), region), "F": (first + np.arange(region.size), boundary)},
            "frame",
            "score",
        )
        for name, (region, boundary) in chosen
    ]
    note = "" if len(chosen) == len(sequences) else f" (the {_PANELS} of {len(sequences)} with the lowest frames)"
    return Panels(f"{title}{note}", panels)


def _of_objects(one: davis17.SequenceScores) -> tuple[Values, Values]:
    """J and F of each frame, the mean over objects."""
    region = np.mean([item.region for item in one.objects], axis=0)
    return region, np.mean([item.boundary for item in one.objects], axis=0)
