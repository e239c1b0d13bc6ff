"""The scores of a benchmark laid out: tables to print, all figures for JSON, the official tools' files, plots."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rotoscope.files import refuse_inside, write_whole
from rotoscope.metrics.prediction_files import Missing
from rotoscope.render.plots import Plot, draw, require_plotting

Cell = str | int | float | None
Ends = Literal["protocol", "keep", "drop"]
Split = Literal["train", "val", "trainval", "test-dev", "test-challenge"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to score, and how.

    Attributes:
        annotations: folder or file of the data set.
        predictions: folder or file of the results.
        sequences: only these; all of the set without them.
        split: which list of the set.
        ends: whether the first and last frame of a sequence count: as the protocol has it, or against it.
        missing: what a sequence or frame without prediction means.
        official: the official tool's exact numbers.
        one_object: annotations of DAVIS 2016, of which the best-matching instance counts (davis17-unsupervised).
        dataset: of the saliency scores.
        resize: bring annotations to the size of the predictions (saliency).
        minimum_score: below it results do not count in HOTA and its kin (YouTube-VIS, OVIS); None for no bound.
        workers: processes that share the sequences.
        progress: called with the name of each sequence that is done, and the number of all.
    """

    annotations: Path
    predictions: Path
    sequences: tuple[str, ...] = ()
    split: Split = "val"
    ends: Ends = "protocol"
    missing: Missing = "error"
    official: bool = False
    one_object: bool = False
    dataset: str = "davis16"
    resize: bool = False
    minimum_score: float | None = None
    workers: int = 1
    progress: Callable[[str, int], None] = lambda name, total: None

    def keep_ends(self, protocol: bool) -> bool:
        """Whether end frames count, given whether the protocol keeps them."""
        return protocol if self.ends == "protocol" else self.ends == "keep"


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        title: what it shows.
        columns: names; the first is that of the rows.
        rows: as many cells as columns each.
        totals: rows set off at the end.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    totals: Sequence[Sequence[Cell]] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All that is said of one evaluation.

    Attributes:
        benchmark: its name.
        tables: to print.
        remarks: by what protocol the numbers came about, and what they do not cover.
        details: every figure, for JSON.
        files: name to rows, the layout of the official tool's result files, or the table where it writes none.
        plots: name without suffix to plot.
    """

    benchmark: str
    tables: Sequence[Table]
    remarks: Sequence[str]
    details: Mapping[str, object]
    files: Mapping[str, Sequence[Sequence[Cell]]]
    plots: Mapping[str, Plot]


def refuse_inputs(places: Sequence[Path | None], request: Request) -> None:
    """Refuse places for files that lie among what is scored.

    Raises:
        OutputError: which.
    """
    for place in places:
        if place is not None:
            refuse_inside(place, request.annotations, "annotations")
            refuse_inside(place, request.predictions, "predictions")


def write_json(report: Report, path: Path) -> list[Path]:
    """Write every figure in full precision; figures that are no numbers become null.

    Raises:
        OutputError: the file cannot be written.
    """
    content = {"benchmark": report.benchmark, **report.details, "remarks": list(report.remarks)}
    write_whole(path, (json.dumps(_finite(content), indent=1) + "\n").encode())
    return [path]


def write_csv(report: Report, folder: Path) -> list[Path]:
    """Write the official tool's files.

    Raises:
        OutputError: a file cannot be written.
    """
    paths = []
    for name, rows in report.files.items():
        stream = io.StringIO()
        csv.writer(stream, delimiter=" " if name.endswith(".txt") else ",", lineterminator="\n").writerows(rows)
        paths.append(folder / name)
        write_whole(paths[-1], stream.getvalue().encode())
    return paths


def write_plots(report: Report, folder: Path) -> list[Path]:
    """Draw every plot.

    Raises:
        OptionError: matplotlib is not installed.
        OutputError: a file cannot be written.
    """
    require_plotting()
    paths = []
    for name, plot in report.plots.items():
        paths.append(folder / f"{name}.png")
        draw(plot, paths[-1])
    return paths


def _finite(value: object) -> object:
    """Replace what JSON cannot say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
