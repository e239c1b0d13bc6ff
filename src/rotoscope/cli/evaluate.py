"""`rotoscope evaluate`: score results by a benchmark's own protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

    from rotoscope.errors import RotoscopeError
    from rotoscope.evaluation.report import Cell, Report, Table

_PIPED = 160  # columns where there is no terminal
_NAME = 10  # letters that are left of a name, at least


def evaluate(
    benchmark: tyro.conf.Positional[
        Literal["davis16", "davis17", "davis17-unsupervised", "saliency", "youtube-vis", "ovis", "kitti-mots"]
    ],
    *,
    annotations: Path,
    predictions: Path,
    json: Path | None = None,
    csv: Path | None = None,
    plot: Path | None = None,
    sequences: tuple[str, ...] = (),
    split: Literal["train", "val", "trainval", "test-dev", "test-challenge"] = "val",
    missing: Literal["error", "empty"] = "error",
    ends: Literal["protocol", "keep", "drop"] = "protocol",
    one_object: tyro.conf.FlagCreatePairsOff[bool] = False,
    dataset: Literal["davis16", "fbms", "visal"] = "davis16",
    resize_annotations: tyro.conf.FlagCreatePairsOff[bool] = False,
    minimum_score: float | None = None,
    official: tyro.conf.FlagCreatePairsOff[bool] = False,
    workers: int = 1,
) -> None:
    """Score results by a benchmark's own protocol; docs/metrics.md defines every score.

    davis16: J and F of one object a sequence, first and last frame left out, mean over sequences.

    davis17: J and F of the objects of the first annotation, first and last frame left out, mean over objects.

    davis17-unsupervised: J and F of the best assignment of up to 20 proposals, every frame, void left out.

    saliency: F-measures and mean absolute error of soft maps (`rotoscope segment --soft`).

    youtube-vis, ovis: AP and AR of tracks, with HOTA and its kin.

    kitti-mots: HOTA, CLEAR (MOTSA), identity, and the older MOTS tool's scores, for cars and pedestrians.

    Args:
        benchmark: Which protocol.
        annotations: The data set's root folder or that of its annotations; for youtube-vis and ovis the JSON file.
        predictions: Folder with a folder of PNG for each sequence (DAVIS, saliency) or a text file (KITTI-MOTS);
            results.json, its zip, or a folder with a JSON file for each video (YouTube-VIS, OVIS).
        json: Also write every figure, frame by frame, to this file.
        csv: Also write the official tool's result files to this folder.
        plot: Also draw plots (PNG) in this folder.
        sequences: Only these; else those of the data set's list, or all annotated ones without a list.
        split: Which list (DAVIS).
        missing: What a sequence or frame without prediction is: an error, or an empty mask.
        ends: Whether the first and last frame of a sequence count: as the protocol has it, or against it (DAVIS,
            saliency).
        one_object: The annotations are DAVIS 2016's, of one object: the instance that fits it best counts
            (davis17-unsupervised).
        dataset: Whose annotations (saliency).
        resize_annotations: Bring annotations to the size of the predictions (saliency), as the papers score at the
            network's resolution.
        minimum_score: Results below it do not count in HOTA and its kin (YouTube-VIS, OVIS); all do without it.
        official: The official tool's exact numbers where it has a fault that changes them.
        workers: Processes that share the sequences.

    Raises:
        RotoscopeError: folders, files or options that cannot be used; the message says what to do.
    """
    from rich.console import Console

    from rotoscope.cli.progress import counting
    from rotoscope.errors import OptionError
    from rotoscope.evaluation import benchmarks
    from rotoscope.evaluation.report import Request, refuse_inputs
    from rotoscope.render.plots import require_plotting

    if plot is not None:
        require_plotting()  # before the work, not after it
    if minimum_score is not None and not isfinite(minimum_score):
        raise OptionError(f"--minimum-score must be a number, found {minimum_score}")
    console = Console()
    if not console.is_terminal:
        console.width = _PIPED
    with counting(console) as progress:
        request = Request(
            annotations=annotations,
            predictions=predictions,
            sequences=sequences,
            split=split,
            ends=ends,
            missing=missing,
            official=official,
            one_object=one_object,
            dataset=dataset,
            resize=resize_annotations,
            minimum_score=minimum_score,
            workers=workers,
            progress=progress,
        )
        refuse_inputs((json, csv, plot), request)
        report = benchmarks.evaluate(benchmark, request)
    written, failure = _write(report, json, csv, plot)  # first, so that a terminal that goes away loses nothing
    _show(console, report, written)
    if failure is not None:
        raise failure


def _write(
    report: Report, json: Path | None, csv: Path | None, plot: Path | None
) -> tuple[list[Path], RotoscopeError | None]:
    """Write what was asked for; a failure is told after the scores, which are not to be lost with it."""
    from rotoscope.errors import RotoscopeError
    from rotoscope.evaluation.report import write_csv, write_json, write_plots

    outputs: list[tuple[Path | None, Callable[[Report, Path], list[Path]]]]
    outputs = [(json, write_json), (csv, write_csv), (plot, write_plots)]
    written: list[Path] = []
    failure: RotoscopeError | None = None
    for place, write in outputs:
        try:
            written += [] if place is None else write(report, place)
        except RotoscopeError as error:
            failure = failure or error
    return written, failure


def _show(console: Console, report: Report, written: Sequence[Path]) -> None:
    for table in report.tables:
        console.width = max(console.width, _least_width(table))
        console.print(_table(table))
    for line in (*report.remarks, *(f"written: {path}" for path in written)):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _table(table: Table) -> RichTable:
    from rich import box
    from rich.markup import escape
    from rich.table import Table as RichTable

    shown = RichTable(title=table.title, box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left")
    for place, (name, width) in enumerate(zip(table.columns, _widths(table), strict=True)):
        # Names may be folded where the terminal is narrow; a number that is cut would be another number.
        if place:
            shown.add_column(escape(name), justify="right", no_wrap=True, min_width=width)
        else:
            shown.add_column(escape(name), overflow="fold", min_width=min(width, _NAME))
    for row in table.rows:
        shown.add_row(*(escape(_words(cell)) for cell in row))
    if table.totals:
        shown.add_section()
    for row in table.totals:
        shown.add_row(*(escape(_words(cell)) for cell in row), style="bold")
    return shown


def _widths(table: Table) -> list[int]:
    """The widest text of each column."""
    lines = [table.columns, *([_words(cell) for cell in row] for row in (*table.rows, *table.totals))]
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _least_width(table: Table) -> int:
    """Columns of the terminal that the table needs at least, with names folded."""
    first, *others = _widths(table)
    return min(first, _NAME) + sum(others) + 2 * len(others) + 2


def _words(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return "-" if isnan(cell) else f"{cell:z.3f}"
    return str(cell)
