"""What an evaluation needs of a data set: for each sequence its annotation files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rotoscope.errors import DataError
from rotoscope.names import fault_of


@dataclass(frozen=True, slots=True)
class AnnotationSet:
    """Annotations found for an evaluation.

    Attributes:
        folder: holds a folder of masks for each sequence.
        sequences: name to annotation files in order of frames.
        listed_by: the file that names the sequences, None where the folders do.
        left_out: sequences of that file, or folders, without annotations.
    """

    folder: Path
    sequences: dict[str, list[Path]]
    listed_by: Path | None
    left_out: tuple[str, ...]


def check_name(name: str, where: str) -> str:
    """Make sure that a sequence's name names a folder, and none elsewhere.

    Raises:
        DataError: it is empty, holds a slash, or begins with a dot.
    """
    if fault_of(name) is not None:
        raise DataError(f"{where} names the sequence {name!r}; expected the name of a folder, without a path")
    return name


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """Give names that a user asked for, each once.

    Raises:
        DataError: see `check_name`.
    """
    return tuple(dict.fromkeys(check_name(name, "--sequences") for name in names))


def read_lines(path: Path) -> list[str]:
    """Read a list that a data set comes with: UTF-8, with or without a byte-order mark.

    Raises:
        DataError: it cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text; save it as such") from error


def files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List the files of a folder in order of name; none where there is no such folder. Hidden files are passed over."""
    if not folder.is_dir():
        return []
    listed = (path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
    return sorted(path for path in listed if path.is_file())


def folders(folder: Path) -> list[str]:
    """List the names of the folders in a folder, in order, hidden ones passed over."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def in_folders(
    folder: Path, names: Sequence[str], places: Sequence[str], inner: str, suffixes: tuple[str, ...]
) -> AnnotationSet:
    """Find a folder of annotations for each sequence, or for those named.

    Args:
        folder: root of a package, or right the folder with one for each sequence.
        names: the sequences wanted; all that are there without them.
        places: folders of the root that may hold the sequences; the first that is there does.
        inner: folder of a sequence that may hold its annotations.
        suffixes: of the annotations, with a dot.

    Raises:
        DataError: no such folder, no annotations in it, or a sequence named that is not there.
    """
    if not folder.is_dir():
        raise DataError(f"there is no annotations folder {folder}; expected the data set's root or its {places[0]}")
    base = next((folder / place for place in places if (folder / place).is_dir()), folder)
    found = {}
    for name in checked_names(names) or folders(base):
        own = base / name / inner
        found[name] = files(own if own.is_dir() else base / name, suffixes)
    return collected(base, found, None, names)


def collected(
    folder: Path, found: dict[str, list[Path]], listed_by: Path | None, asked: Sequence[str] = ()
) -> AnnotationSet:
    """Keep the sequences that have annotations.

    Args:
        folder: they were looked for in.
        found: name to files; none for a sequence without annotations.
        listed_by: the file that names the sequences.
        asked: the sequences that the user named, which must have annotations.

    Raises:
        DataError: one of those has none, or no sequence has any.
    """
    absent = tuple(name for name, paths in found.items() if not paths)
    if asked and absent:
        raise DataError(f"no annotations of {', '.join(absent)}: looked for mask files in {folder / absent[0]}")
    there = {name: paths for name, paths in found.items() if paths}
    if not there:
        raise DataError(
            f"{folder} has no annotations: looked for a folder of PNG files for each sequence"
            + (f" of {listed_by}" if listed_by else "")
        )
    return AnnotationSet(folder, there, listed_by, absent)
