"""What a check finds: problems, and how much there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong, or odd, with a file or folder.

    Attributes:
        path: the file or folder.
        message: what was found and what to do, to be read after the path.
        severity: "error" where a training would stop or learn something wrong, else "warning".
    """

    path: Path
    message: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is; pictures that cannot be read count too.

    Attributes:
        sequences: of videos.
        frames: pictures in them.
        annotated: frames, or single pictures, that have a mask; of COCO those with an annotation.
        pictures: single ones.
        objects: ids in each sequence, or in each picture, added up; of COCO the annotations.
        sizes: (height, width) to the number of pictures read that have it.
    """

    sequences: int
    frames: int
    annotated: int
    pictures: int
    objects: int
    sizes: Mapping[tuple[int, int], int]


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found.

    Attributes:
        root: what was checked.
        kind: layout that it was taken for.
        problems: sequence by sequence, in order of the files.
        counts: how much there is.
    """

    root: Path
    kind: str
    problems: tuple[Problem, ...]
    counts: Counts

    @property
    def errors(self) -> int:
        """Number of errors among the problems."""
        return sum(problem.severity == "error" for problem in self.problems)


def error(path: Path, message: str) -> Problem:
    """Make a problem that must be mended."""
    return Problem(path, message, "error")


def warning(path: Path, message: str) -> Problem:
    """Make a problem that may be meant so."""
    return Problem(path, message, "warning")


def size_words(size: tuple[int, int]) -> str:
    """Write (height, width) as people do, width first."""
    return f"{size[1]}x{size[0]}"


def counted(number: int, thing: str) -> str:
    """Write a number of things, "1 frame" or "2 frames"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
