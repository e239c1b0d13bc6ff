"""`rotoscope evaluate`: score predicted masks by a benchmark's own protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from rotoscope.data.davis import AnnotationSet
    from rotoscope.metrics.davis16 import Davis16Scores, Progress
    from rotoscope.metrics.statistics import Statistics


def evaluate(
    benchmark: tyro.conf.Positional[Literal["davis16"]],
    *,
    annotations: Path,
    predictions: Path,
    json: Path | None = None,
    keep_ends: bool = False,
    workers: int = 1,
    missing: Literal["error", "empty"] = "error",
    sequences: tuple[str, ...] = (),
) -> None:
    """Score a folder of masks by a benchmark's own protocol.

    davis16: region similarity J and boundary score F of one object a sequence, first and last frame left out, mean
    over sequences.

    Args:
        benchmark: Which protocol.
        annotations: The data set's root folder, its Annotations or its Annotations/480p.
        predictions: Folder with a folder of PNG masks for each sequence, named like the annotations.
        json: Also write every figure, frame by frame, to this file.
        keep_ends: Score the first and the last frame of each sequence too.
        workers: Processes that share the sequences.
        missing: What a sequence or frame without prediction is: an error, or an empty mask.
        sequences: Only these; else those of the data set's validation list, or all annotated ones without a list.

    Raises:
        RotoscopeError: folders, files or options that cannot be used; the message says what to do.
    """
    from json import dumps

    from rich.console import Console

    from rotoscope.data.davis import find_annotations
    from rotoscope.files import write_whole
    from rotoscope.metrics import davis16

    console = Console()
    found = find_annotations(annotations, sequences)
    with _progress(console, len(found.sequences)) as progress:
        scores = davis16.evaluate(
            found.sequences, predictions, keep_ends=keep_ends, missing=missing, workers=workers, progress=progress
        )
    if json is not None:  # first, so that a terminal that goes away loses nothing
        report = davis16.as_json(scores) | {"left_out": list(found.left_out)}
        write_whole(json, (dumps(report, indent=1) + "\n").encode())
    console.print(_table(scores))
    for line in _remarks(scores, found):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    if json is not None:
        console.print(f"every figure: {json}", highlight=False, soft_wrap=True, markup=False)


@contextmanager
def _progress(console: Console, count: int) -> Iterator[Progress]:
    """Show a bar while sequences are scored, on a terminal only, and take it away after."""
    from rich.progress import Progress as Bar

    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("scoring", total=count)
        yield lambda name: bar.update(task, advance=1, description=name)


def _table(scores: Davis16Scores) -> Table:
    from rich.table import Table

    table = Table(title="DAVIS 2016")
    table.add_column("sequence", no_wrap=True)
    for name in ("J&F", "J mean", "recall", "decay", "F mean", "recall", "decay"):
        table.add_column(name, justify="right", no_wrap=True)
    for sequence in scores.sequences:
        figures = _figures(sequence.region_and_boundary, sequence.region_statistics, sequence.boundary_statistics)
        table.add_row(sequence.name, *figures)
    table.add_section()
    figures = _figures(scores.region_and_boundary, scores.region_statistics, scores.boundary_statistics)
    table.add_row(f"mean of {len(scores.sequences)}", *figures, style="bold")
    return table


def _figures(joint: float, region: Statistics, boundary: Statistics) -> list[str]:
    numbers = (joint, region.mean, region.recall, region.decay, boundary.mean, boundary.recall, boundary.decay)
    return [f"{number:z.3f}" for number in numbers]


def _remarks(scores: Davis16Scores, found: AnnotationSet) -> Iterator[str]:
    """Say by what protocol the numbers came about, and what they do not cover."""
    frames = sum(len(sequence.frames) for sequence in scores.sequences)
    yield f"{frames} frames scored, first and last of each sequence {'kept' if scores.keep_ends else 'left out'}"
    if found.left_out:
        source = found.listed_by or found.folder
        yield f"left out, no annotations here: {', '.join(found.left_out)} ({len(found.left_out)} of {source})"
    for sequence in scores.sequences:
        if sequence.missing:
            yield f"{sequence.name}: {len(sequence.missing)} frames without prediction scored as empty"
        if sequence.rule == "above 128":
            yield f"{sequence.name}: predictions are grey maps, foreground is above 128"
