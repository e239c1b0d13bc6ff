"""MOTS text: one line a mask, `frame id class height width code`, masks of one frame disjoint."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from types import MappingProxyType

from rotoscope.errors import MaskError
from rotoscope.files import write_whole
from rotoscope.masks.davis import png_files
from rotoscope.masks.label_map import from_objects, read_label_png, to_masks
from rotoscope.masks.run_length import encode, from_string, intersection, merge, to_string
from rotoscope.types import ObjectMask, RunLength, Track

KITTI_CLASSES: Mapping[str, int] = MappingProxyType({"car": 1, "pedestrian": 2, "ignore": 10})
_IGNORE = "ignore"  # regions that do not count; they may overlap each other, and share an id
_IDS_PER_CLASS = 1000
_IDS_PER_CROWDED_CLASS = 1_000_000
_DIGITS = 9  # of a number; no frame, id or size has more


@dataclass(frozen=True, slots=True, eq=False)
class MotsMask:
    """One object on one frame.

    Attributes:
        id: of its track.
        category: number of its class.
        mask: its pixels.
        where: its place, for errors: "line 3 of 0002.txt".
    """

    id: int
    category: int
    mask: RunLength
    where: str


def write_mots(path: Path, tracks: Sequence[Track], classes: Mapping[str, int] = KITTI_CLASSES) -> None:
    """Write tracks as MOTS text, sorted by frame and id.

    By the format's convention ids below 1000 become class * 1000 + id; higher ones stay. Where two tracks would get the
    same number by that, the tracks of each class are numbered anew from 1, in order of id; above 999 of them class *
    1,000,000 is added instead. Masks of one frame may not overlap: where they do, the higher score keeps the pixels,
    then the lower id, as in a label map. A mask without pixels is a line too.

    Raises:
        MaskError: a label that `classes` lacks, an id twice on one frame, or masks of different sizes.
        OutputError: the file cannot be written.
    """
    frames: dict[int, dict[int, tuple[int, ObjectMask]]] = {}
    for track, number in zip(tracks, _numbers(tracks, classes), strict=True):
        category = classes[track.label or ""]
        for index, mask in track.masks.items():
            others = frames.setdefault(index, {})
            if number in others:
                raise MaskError(
                    f"two tracks have the id {track.id} on frame {index}; give every track an id of its own"
                )
            others[number] = category, ObjectMask(number, mask, track.score)
    lines = []
    for index in sorted(frames):
        for number, mask in _disjoint([item for _, item in frames[index].values()]):
            height, width = mask.size
            lines.append(f"{index} {number} {frames[index][number][0]} {height} {width} {to_string(mask)}\n")
    write_whole(path, "".join(lines).encode())


def read_mots(path: Path, classes: Mapping[str, int] = KITTI_CLASSES) -> list[Track]:
    """Read MOTS text as tracks, in order of id; the format has no scores.

    An id that changes its class from frame to frame gives one track a class, as the scoring tools see it.

    Raises:
        MaskError: as `read_mots_frames`.
    """
    names = {number: name for name, number in classes.items()}
    tracks: dict[tuple[int, int], Track] = {}  # by id and class
    for index, masks in read_mots_frames(path, classes).items():
        for one in masks:
            track = tracks.setdefault((one.id, one.category), Track(one.id, names[one.category]))
            track.masks[index] = merge((track.masks[index], one.mask)) if index in track.masks else one.mask
    return [tracks[key] for key in sorted(tracks)]


def read_mots_frames(path: Path, classes: Mapping[str, int] = KITTI_CLASSES) -> dict[int, list[MotsMask]]:
    """Read MOTS text frame by frame, masks in the order of the file; frames without masks are absent.

    Raises:
        MaskError: no such file, a line that is not of the format, a class that `classes` lacks, an id twice on one
            frame, masks of one frame that overlap, or masks of different sizes.
    """
    try:
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).decode("ascii").splitlines()
    except OSError as error:
        raise MaskError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        place = error.object[: error.start].count(b"\n") + 1
        raise MaskError(f"line {place} of {path} holds a byte outside ASCII, which no MOTS text has") from error
    frames: dict[int, list[MotsMask]] = {}
    for place, line in enumerate(lines, start=1):
        if line.strip():
            _take(line, f"line {place} of {path}", classes, frames)
    ignore = classes.get(_IGNORE)
    for index, masks in frames.items():
        if _overlap([one.mask for one in masks]):
            pairs = (pair for pair in combinations(masks, 2) if intersection(pair[0].mask, pair[1].mask))
            pair = next((pair for pair in pairs if not pair[0].category == pair[1].category == ignore), None)
            if pair is None:
                continue
            raise MaskError(
                f"{pair[1].where}: on frame {index} the mask of id {pair[1].id} overlaps that of id {pair[0].id} "
                f"({pair[0].where.partition(' of ')[0]}); MOTS gives a pixel to one object at most"
            )
    return frames


def read_mots_pngs(folder: Path, classes: Mapping[str, int] = KITTI_CLASSES) -> dict[int, list[MotsMask]]:
    """Read a folder of id PNG frame by frame: class * 1000 + number, 0 is background, the file name the frame.

    Raises:
        MaskError: no such folder, a name that is no number, a file that is no label map, or ids of no class.
    """
    frames: dict[int, list[MotsMask]] = {}
    for path in png_files(folder):
        if not path.stem.isdecimal() or len(path.stem) > _DIGITS:
            raise MaskError(f"{path} is not named by its frame's number, such as 000000.png")
        if int(path.stem) in frames:
            raise MaskError(f"{path} and another file of {folder} are both of frame {int(path.stem)}; remove the one")
        masks = frames.setdefault(int(path.stem), [])
        for number, mask in to_masks(read_label_png(path)).items():
            category = number // _IDS_PER_CLASS
            if category not in classes.values():
                raise MaskError(
                    f"{path} holds the id {number}; ids are class * 1000 + number, and classes {_known(classes)}"
                )
            masks.append(MotsMask(number, category, encode(mask), str(path)))
    return {index: masks for index, masks in frames.items() if masks}


def _numbers(tracks: Sequence[Track], classes: Mapping[str, int]) -> list[int]:
    """The number of each track in the file."""
    for track in tracks:
        if track.label is None or track.label not in classes:
            known = ", ".join(sorted(classes))
            raise MaskError(f"track {track.id} has the label {track.label!r}, MOTS text needs one of: {known}")
        if track.id < 1:
            raise MaskError(f"track {track.id} has no id that MOTS text can hold; ids start at 1")
    own = [(classes[track.label or ""], track.id) for track in tracks]
    usual = [number if number >= _IDS_PER_CLASS else category * _IDS_PER_CLASS + number for category, number in own]
    if len(set(zip(usual, (number for _, number in own), strict=True))) == len(set(usual)):
        return usual
    places: dict[tuple[int, int], int] = {}
    of_class: Counter[int] = Counter()
    for category, number in sorted(set(own)):
        of_class[category] += 1
        places[category, number] = of_class[category]
    step = _IDS_PER_CLASS if max(of_class.values()) < _IDS_PER_CLASS else _IDS_PER_CROWDED_CLASS
    return [category * step + places[category, number] for category, number in own]


def _disjoint(items: Sequence[ObjectMask]) -> list[tuple[int, RunLength]]:
    """Give each pixel to one object, in order of id; objects that lie wholly under others are left out."""
    found = {item.track_id: item.mask for item in items}
    if _overlap(list(found.values())):
        shown = to_masks(from_objects(items, items[0].mask.size))
        empty = {number: mask for number, mask in found.items() if not mask.area}
        found = empty | {number: encode(mask) for number, mask in shown.items()}
    return sorted(found.items())


def _overlap(masks: Sequence[RunLength]) -> bool:
    return len(masks) > 1 and merge(masks).area < sum(mask.area for mask in masks)


def _take(line: str, where: str, classes: Mapping[str, int], frames: dict[int, list[MotsMask]]) -> None:
    fields = line.split()
    if len(fields) != 6 or not all(field.isdecimal() and len(field) <= _DIGITS for field in fields[:5]):
        raise MaskError(f"{where} is not 'frame id class height width code'; found {len(fields)} fields: {line[:60]!r}")
    index, number, category, height, width = (int(field) for field in fields[:5])
    if category not in classes.values():
        raise MaskError(f"{where} has class {category}, which is none of: {_known(classes)}")
    try:
        mask = from_string(fields[5], (height, width))
    except MaskError as error:
        raise MaskError(f"{where}: {error}") from error
    others = frames.setdefault(index, [])
    if category != classes.get(_IGNORE) and any(other.id == number for other in others):
        raise MaskError(f"{where} gives id {number} a second mask on frame {index}; ids are unique within a frame")
    if others and others[0].mask.size != mask.size:
        raise MaskError(f"{where} has a mask of {mask.size}, others of frame {index} are {others[0].mask.size}")
    others.append(MotsMask(number, category, mask, where))


def _known(classes: Mapping[str, int]) -> str:
    return ", ".join(f"{number} ({name})" for name, number in classes.items())
