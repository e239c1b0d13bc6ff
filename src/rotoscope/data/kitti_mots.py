"""KITTI-MOTS on disk: annotations as text or PNG, pictures, and the map that lists the sequences with their lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rotoscope.data.annotation_set import check_name, checked_names, files, read_lines
from rotoscope.data.tracks import TrackSequence, of_tracks
from rotoscope.errors import DataError, MaskError
from rotoscope.masks import run_length
from rotoscope.masks.mots import KITTI_CLASSES, MotsMask, read_mots_frames, read_mots_pngs
from rotoscope.types import RunLength

# The validation set: sequence to number of frames.
VALIDATION = {
    **{"0002": 233, "0006": 270, "0007": 800, "0008": 390, "0010": 294, "0013": 340, "0014": 106, "0016": 209},
    "0018": 339,
}
# The training set; 0050 is sequence 0002 of MOTSChallenge under another number, which STEm-Seg adds.
TRAINING = ("0000", "0001", "0003", "0004", "0005", "0009", "0011", "0012", "0015", "0017", "0019", "0020", "0050")
TEST = tuple(f"{number:04d}" for number in range(29))
_PICTURES = ("training/image_02", "train/images", "image_02", "images")
_GAP = 6  # so many frames without an object end a training sequence
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


def find_sequences(root: Path | str, split: str = "train", names: Sequence[str] = ()) -> list[TrackSequence]:
    """List the sequences of a split for training; annotations are read, pictures are not.

    Categories are 1 car, 2 pedestrian; ignored regions are void. A sequence is cut where six frames in a row show no
    object, as STEm-Seg does; its parts are called `0001`, `0001-2` and so on.

    Args:
        root: of the package; pictures are `training/image_02/<sequence>/<frame>.png`.
        split: train, val or all.
        names: the sequences wanted; of the split without them.

    Raises:
        DataError: something is not there, broken, or of the wrong size.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; expected the root of KITTI-MOTS")
    places = {"train": TRAINING, "val": tuple(VALIDATION), "all": (*TRAINING, *VALIDATION)}
    if split not in places:
        raise DataError(f"KITTI-MOTS has no split {split!r} with annotations; choose {', '.join(places)}")
    there = find_annotations(root, names).sequences if names else _all_annotations(root)
    pictures = next((root / place for place in _PICTURES if (root / place).is_dir()), None)
    if pictures is None:
        raise DataError(f"{root} has no pictures: looked for {', '.join(_PICTURES)}")
    wanted = names or [name for name in places[split] if name in there]
    if not wanted:
        raise DataError(f"{root} has no annotations of the split {split!r}: looked for {', '.join(places[split])}")
    found = []
    for name in wanted:
        path = there[name][0]
        try:
            masks = read_mots_pngs(path) if path.is_dir() else read_mots_frames(path)
        except MaskError as error:
            raise DataError(str(error)) from error
        found += _parts(name, files(pictures / name, (".png", ".jpg")), masks)
    return found


def _all_annotations(root: Path) -> dict[str, tuple[Path, int | None]]:
    base = next((root / place for place in _PLACES if (root / place).is_dir()), root)
    return {name: (path, None) for name, path in _annotated(base).items()}


def _parts(name: str, frames: Sequence[Path], masks: Mapping[int, Sequence[MotsMask]]) -> list[TrackSequence]:
    """Cut a sequence where it shows no object for long."""
    last = max(masks, default=-1)
    if last >= len(frames):
        raise DataError(f"{name} has {len(frames)} pictures, its annotation has frame {last}; are pictures missing?")
    ignored = KITTI_CLASSES["ignore"]
    shown = [
        index for index, own in sorted(masks.items()) if any(one.category != ignored and one.mask.area for one in own)
    ]
    runs: list[list[int]] = []
    for index in shown:
        if runs and index - runs[-1][-1] <= _GAP:
            runs[-1].append(index)
        else:
            runs.append([index])
    return [_part(f"{name}-{place}" if place > 1 else name, frames, masks, run) for place, run in enumerate(runs, 1)]


def _part(
    name: str, frames: Sequence[Path], masks: Mapping[int, Sequence[MotsMask]], run: Sequence[int]
) -> TrackSequence:
    tracks: dict[tuple[int, int], dict[int, RunLength]] = {}
    for place, index in enumerate(run):
        for one in masks[index]:
            own = tracks.setdefault((one.category, one.id), {})
            own[place] = run_length.union(own[place], one.mask) if place in own else one.mask
    size = masks[run[0]][0].mask.size
    listed = [(category, own) for (category, _), own in sorted(tracks.items())]
    return of_tracks(name, [frames[index] for index in run], size, listed, void=(KITTI_CLASSES["ignore"],))


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
