"""`rotoscope check-data`: everything that is wrong with a folder of training data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from rich.console import Console

    from rotoscope.data.checking import Findings, Problem

_ALIKE = 10  # problems of one sort in one folder that are listed
_SIZES = 3  # sizes that are named
_STYLES = {"error": "red", "warning": "yellow"}


def check_data(
    folder: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="DIR")]],
    *,
    kind: Literal["auto", "folder", "pictures", "davis16", "davis17", "youtube-vos", "coco", "fbms", "visal"] = "auto",
    workers: int = 1,
    all: tyro.conf.FlagCreatePairsOff[bool] = False,
) -> None:
    """Read all pictures and masks of a data set and tell everything that is wrong, by file.

    folder: frames/<sequence>/*.jpg and masks/<sequence>/*.png. pictures: images/*.jpg and masks/*.png. The others are
    data sets as they are published. docs/training.md tells how your own data is laid out.

    The exit code is 2 where there are errors, 0 where there are warnings at most.

    Args:
        folder: The data set's root; for coco a JSON file as well.
        kind: How it is laid out; auto finds out.
        workers: Processes that share the files.
        all: List every problem; else ten of one sort in one folder, and the number of the others.

    Raises:
        RotoscopeError: errors in the data, after they were listed; or a folder that cannot be used.
    """
    from rich.console import Console

    from rotoscope.cli.progress import counting
    from rotoscope.data.checking import check
    from rotoscope.errors import DataError

    console = Console(highlight=False, soft_wrap=True)
    with counting(console) as progress:
        findings = check(folder, kind, workers, progress)
    if kind == "auto":
        console.print(f"{folder} is taken for the kind {findings.kind} (--kind chooses another)", markup=False)
    _list(console, findings, every=all)
    _summarise(console, findings)
    if findings.errors:
        number = f"{findings.errors:,} error{'' if findings.errors == 1 else 's'} in {folder}"
        what = "sequences" if findings.counts.sequences else "pictures"
        raise DataError(f"{number}; mend {'it' if findings.errors == 1 else 'them'}, or leave those {what} out")


def _list(console: Console, findings: Findings, every: bool) -> None:
    from rich.text import Text

    told: Counter[tuple[Path, str, str]] = Counter()
    for problem in findings.problems:
        sort = _sort(problem)
        told[sort] += 1
        if every or told[sort] <= _ALIKE:
            label = (f"{problem.severity}:", _STYLES[problem.severity])
            console.print(Text.assemble(label, f" {problem.path}: {' '.join(problem.message.split())}"))
    for (folder, severity, _), number in told.items():
        if not every and number > _ALIKE:
            more = f"{number - _ALIKE:,} more {severity}{'' if number - _ALIKE == 1 else 's'} like those in {folder}"
            console.print(f"{more} (--all lists every one)", markup=False)


def _sort(problem: Problem) -> tuple[Path, str, str]:
    """What problems of one sort have in common: their folder, and their words but for numbers and names of files."""
    words = re.sub(r"\S*[0-9.]\S*", "#", problem.message)
    return problem.path.parent, problem.severity, words


def _summarise(console: Console, findings: Findings) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")
    for label, value in _rows(findings):
        table.add_row(label, value)
    console.print(table)


def _rows(findings: Findings) -> Iterator[tuple[str, str]]:
    counts = findings.counts
    if counts.sequences or not counts.pictures:
        yield "sequences", f"{counts.sequences:,}"
        yield "frames", f"{counts.frames:,}"
        yield "with a mask", f"{counts.annotated:,}"
    else:
        yield "pictures", f"{counts.pictures:,}"
        yield "with objects" if findings.kind == "coco" else "with a mask", f"{counts.annotated:,}"
    yield "objects", f"{counts.objects:,}"
    yield "sizes", _sizes(counts.sizes)
    yield "errors", f"{findings.errors:,}"
    yield "warnings", f"{len(findings.problems) - findings.errors:,}"


def _sizes(sizes: Mapping[tuple[int, int], int]) -> str:
    named = [f"{width}x{height} ({number:,})" for (height, width), number in list(sizes.items())[:_SIZES]]
    more = [f"{len(sizes) - _SIZES:,} others"] if len(sizes) > _SIZES else []
    return ", ".join([*named, *more]) or "-"
