"""KITTI-MOTS on disk: annotations as text or PNG, and the map that lists the sequences with their lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rotoscope.data.annotation_set import check_name, checked_names, read_lines
from rotoscope.errors import DataError

# The validation set: sequence to number of frames.
VALIDATION = {
    **{"0002": 233, "0006": 270, "0007": 800, "0008": 390, "0010": 294, "0013": 340, "0014": 106, "0016": 209},
    "0018": 339,
}
TEST = tuple(f"{number:04d}" for number in range(29))
_PLACES = ("label_02", "instances_txt", "instances")


@dataclass(frozen=True, slots=True)
class MotsAnnotations:
    """Annotations found for an evaluation.

    Attributes:
        folder: holds a text file or a folder of PNG for each sequence.
        sequences: name to that file or folder, and the number of frames where it is known.
        listed_by: the sequence map, None where the folder or the standard validation set decides.
        left_out: sequences of the map without annotations.
        standard: whether the benchmark's validation set was chosen, without a map.
    """

    folder: Path
    sequences: dict[str, tuple[Path, int | None]]
    listed_by: Path | None
    left_out: tuple[str, ...] = ()
    standard: bool = False


def find_annotations(folder: Path, names: Sequence[str] = ()) -> MotsAnnotations:
    """Find the annotations: `label_02/<sequence>.txt`, `instances_txt/...` `instances/<sequence>/*.png`, or here.

    Without names the sequence map (`*seqmap*` beside them) decides, else the standard validation set where all of it is
    there, else all there are.

    Args:
        folder: root of the package, or a folder with a text file or a folder of PNG for each sequence.
        names: the sequences wanted.

    Raises:
        DataError: no such folder, no annotations in it, a sequence named that is not there, or a broken map.
    """
    if not folder.is_dir():
        raise DataError(f"there is no annotations folder {folder}; expected the root of KITTI-MOTS or its label_02")
    base = next((folder / place for place in _PLACES if (folder / place).is_dir()), folder)
    there = _annotated(base)
    if not there:
        raise DataError(f"{base} has no annotations: looked for 0002.txt and the like, or folders of PNG")
    listed_by = _map_file(base)
    lengths = {} if listed_by is None else _lengths(listed_by)
    standard = listed_by is None and there.keys() >= VALIDATION.keys()
    if standard:
        lengths = VALIDATION
    if names:
        wanted = checked_names(names)
        lost = [name for name in wanted if name not in there]
        if lost:
            raise DataError(f"{base} has no annotations of {', '.join(lost)}")
    else:
        wanted = tuple(lengths) or tuple(there)
    found = {name: (there[name], lengths.get(name)) for name in wanted if name in there}
    if not found:
        raise DataError(f"{base} has none of the sequences of {listed_by}: {', '.join(wanted)}")
    absent = tuple(name for name in wanted if name not in there)
    return MotsAnnotations(base, found, listed_by, absent, standard and not names)


def _annotated(base: Path) -> dict[str, Path]:
    texts = {path.stem: path for path in sorted(base.glob("*.txt"))}
    pictures = {path.name: path for path in sorted(base.iterdir()) if path.is_dir() and any(path.glob("*.png"))}
    return texts or pictures


def _map_file(base: Path) -> Path | None:
    """The map beside the annotations or one folder above; that of the validation set where there are several."""
    for folder in (base, base.parent):
        maps = sorted(path for path in folder.glob("*seqmap*") if path.is_file())
        chosen = [path for path in maps if "val" in path.name] or maps
        if chosen:
            return chosen[0]
    return None


def _lengths(path: Path) -> dict[str, int]:
    """Read a sequence map: `0002 empty 000000 000232`, the last field being the last frame."""
    found = {}
    for place, line in enumerate(read_lines(path), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 4 or not fields[3].isdecimal() or len(fields[3]) > 9:
            raise DataError(
                f"line {place} of {path} is not 'sequence empty first last', the last frame a number: {line[:60]!r}"
            )
        found[check_name(fields[0], str(path))] = int(fields[3]) + 1
    if not found:
        raise DataError(f"{path} names no sequence")
    return found
