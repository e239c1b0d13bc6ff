"""What reports say in words beside the numbers, where several benchmarks say the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rotoscope.data.annotation_set import AnnotationSet


def counted(number: int, word: str) -> str:
    """A number with its noun, in the plural where it is not one."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def ends(keep: bool) -> str:
    """Whether first and last frames were kept."""
    return "kept" if keep else "left out"


def left_out(found: AnnotationSet) -> Iterator[str]:
    """Name the sequences without annotations."""
    if found.left_out:
        source = found.listed_by or found.folder
        names = ", ".join(found.left_out)
        yield f"left out, no annotations here: {names} ({len(found.left_out)} of {source})"


def missing(sequences: Iterable[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """Tell, of each sequence, how many of its frames had no prediction."""
    for name, frames in sequences:
        if frames:
            yield f"{name}: {counted(len(frames), 'frame')} without prediction scored as empty"


def same_place(annotations: Path, predictions: Path) -> Iterator[str]:
    """Tell that annotations were scored against themselves, where they were."""
    if annotations.resolve() == predictions.resolve():
        yield "annotations and predictions are the same folder: the annotations scored themselves"
