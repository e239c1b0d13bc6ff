"""Annotated sequences: what every video data set is to training, whatever its layout on disk.

A reader of a data set says where the files of each sequence lie (`Place`); finding them, and matching masks to frames,
stands here once, for training and for `data.checking` alike.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rotoscope.data.annotation_set import checked_names, files, folders
from rotoscope.errors import DataError

Rule = Literal["stem", "number", "stem or index"]

_NUMBER = re.compile(r"([0-9]+)(?:_gt)?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class VideoSequence:
    """The files of one sequence.

    Attributes:
        name: of the sequence.
        frames: pictures in order.
        masks: for each frame its annotation, None where it has none.
        categories: label to category number, 1 or more; {} where none are known.
        void_background: whether pixels of no object do not count, because not every object is annotated.
    """

    name: str
    frames: list[Path]
    masks: list[Path | None]
    categories: Mapping[int, int] = field(default_factory=dict)
    void_background: bool = False

    @property
    def annotated(self) -> list[int]:
        """The frames that have an annotation."""
        return [index for index, mask in enumerate(self.masks) if mask is not None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of one sequence lie.

    Attributes:
        name: of the sequence.
        frames: folder of the pictures.
        masks: folder of the masks.
        pictures: suffixes of the pictures, with a dot.
        labels: suffixes of the masks, with a dot.
        rule: how a mask finds its frame: by "stem"; by "number", the digits at the end of the stem (before `_gt`); or
            by "stem or index": where no stem agrees, that number is the frame's place in the sequence, from 0.
        shared: the folder of masks holds those of other sequences as well; only those of a frame's stem belong here.
    """

    name: str
    frames: Path
    masks: Path
    pictures: tuple[str, ...]
    labels: tuple[str, ...] = (".png",)
    rule: Rule = "stem"
    shared: bool = False

    def frame_files(self) -> list[Path]:
        """List the pictures in natural order: frame 2 before frame 10."""
        return in_order(files(self.frames, self.pictures))

    def mask_files(self, frames: Iterable[Path]) -> list[Path]:
        """List the masks in natural order, those of other sequences left out."""
        found = in_order(files(self.masks, self.labels))
        if self.rule == "number":  # FBMS has probability maps beside its masks
            found = [path for path in found if not path.stem.endswith("PROB_gt")]
        if not self.shared:
            return found
        own = {path.stem for path in frames}
        return [path for path in found if path.stem in own]


@dataclass(frozen=True, slots=True)
class Matching:
    """Which mask belongs to which frame.

    Attributes:
        masks: for each frame its mask, None where it has none.
        lost: masks without a frame.
        twins: pairs of frames, or of masks, that cannot be told apart; the first of each pair is taken.
    """

    masks: list[Path | None]
    lost: list[Path]
    twins: list[tuple[Path, Path]]


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Sort by name with numbers taken as numbers, as `rotoscope segment` does: `2.jpg` before `10.jpg`."""
    from rotoscope.video.pictures import natural_key  # only here: scores need names and no decoder

    return sorted(paths, key=lambda path: natural_key(path.name))


def frame_number(path: Path) -> int | None:
    """Read the number at the end of a file's stem: 7 of `bear_0007.jpg` and of `bear_0007_gt.ppm`; None without one."""
    found = _NUMBER.search(path.stem)
    return int(found[1]) if found else None


def match(frames: Sequence[Path], masks: Sequence[Path], rule: Rule = "stem") -> Matching:
    """Match masks to frames; see `Place` for the rules."""
    keys, mask_keys = _keys(frames, masks, rule)
    twins = [*_twins(frames, [path.stem for path in frames])]
    if rule == "number":
        twins += [pair for pair in _twins(frames, keys) if pair not in twins]
    mask_twins = _twins(masks, mask_keys)
    doubles = {second for _, second in mask_twins}
    there = set(keys) - {None}
    found = {}
    lost = []
    for path, key in zip(masks, mask_keys, strict=True):
        if key not in there:
            lost.append(path)
        elif path not in doubles:
            found[key] = path
    return Matching([found.get(key) for key in keys], lost, twins + mask_twins)


def read_place(place: Place, need_masks: bool = True) -> VideoSequence:
    """List the files of one sequence.

    Args:
        place: where they lie.
        need_masks: whether a sequence without any mask is refused.

    Raises:
        DataError: no pictures, no masks, masks without a picture, or files that cannot be told apart.
    """
    frames = place.frame_files()
    if not frames:
        raise DataError(f"{place.name} has no pictures: looked for {_suffixes(place.pictures)} files in {place.frames}")
    matching = match(frames, place.mask_files(frames), place.rule)
    if matching.twins:
        first, second = matching.twins[0]
        raise DataError(f"{second} and {first.name} would be one frame of {place.name}; keep one of them")
    if matching.lost:
        raise DataError(
            f"{matching.lost[0]} has no picture in {place.frames}; add it, or take the mask away "
            "(`rotoscope check-data` lists all such files)"
        )
    if need_masks and not any(matching.masks):
        raise DataError(f"{place.name} has no masks: looked for {_suffixes(place.labels)} files in {place.masks}")
    return VideoSequence(place.name, frames, matching.masks)


def sequence_names(folder: Path, names: Sequence[str] = (), but: Collection[str] = ()) -> tuple[str, ...]:
    """Give the names of the sequences in a folder, or those asked for.

    Args:
        folder: with a folder for each sequence.
        names: the sequences wanted; all without them.
        but: folders that are none.

    Raises:
        DataError: no such folder, none in it, or a sequence named that is not there.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; expected a folder of pictures for each sequence in it")
    there = [name for name in folders(folder) if name not in but]
    if not there:
        raise DataError(f"{folder} holds no sequence; expected a folder of pictures for each")
    wanted = checked_names(names)
    absent = sorted(set(wanted) - set(there))
    if absent:
        raise DataError(f"{folder} has no sequence {', '.join(absent)}; it has {len(there)}, such as {there[0]}")
    return wanted or tuple(there)


def _keys(
    frames: Sequence[Path], masks: Sequence[Path], rule: Rule
) -> tuple[Sequence[str | int | None], Sequence[str | int | None]]:
    """What frames and masks are matched by."""
    if rule == "number":
        return [frame_number(path) for path in frames], [frame_number(path) for path in masks]
    stems, own = [path.stem for path in frames], [path.stem for path in masks]
    if rule == "stem" or not own or not set(own).isdisjoint(stems):
        return stems, own
    return range(len(frames)), [frame_number(path) for path in masks]


def _twins(paths: Sequence[Path], keys: Sequence[str | int | None]) -> list[tuple[Path, Path]]:
    first: dict[str | int, Path] = {}
    found = []
    for path, key in zip(paths, keys, strict=True):
        if key is not None and first.setdefault(key, path) is not path:
            found.append((first[key], path))
    return found


def _suffixes(suffixes: Sequence[str]) -> str:
    return ", ".join(suffixes)
