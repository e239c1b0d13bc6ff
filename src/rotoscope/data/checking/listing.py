"""The files of a sequence, or of a folder of pictures, and what their names alone show to be wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from rotoscope.data.annotation_set import files, folders
from rotoscope.data.checking.problems import Problem, counted, error, warning
from rotoscope.data.checking.reading import Pair
from rotoscope.data.sequences import Matching, Place, frame_number, match

_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2", ".avif", ".heic")


@dataclass(frozen=True, slots=True)
class Unit:
    """Files that are judged together: a sequence, or a set of single pictures.

    Attributes:
        name: of the sequence or set.
        folder: that problems of the whole are told of.
        pairs: pictures in order, each with its mask.
        video: whether it is a sequence.
        problems: found by name.
        sizes: (height, width) that pictures must have; of COCO.
        annotated: pictures with an annotation, where there are no masks; of COCO.
        objects: the same for objects.
    """

    name: str
    folder: Path
    pairs: list[Pair]
    video: bool
    problems: list[Problem] = field(default_factory=list)
    sizes: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    annotated: int = 0
    objects: int = 0


def list_place(place: Place, *, video: bool = True, sparse: bool = False, gaps: bool = True) -> Unit:
    """List the pictures and masks of a place, and what is wrong with their names.

    Args:
        place: where they lie.
        video: whether they are one sequence.
        sparse: it is normal that most frames have no mask.
        gaps: whether numbers that are left out are told.
    """
    frames = place.frame_files()
    masks = place.mask_files(frames)
    matching = match(frames, masks, place.rule)
    thing = "frame" if video else "picture"
    problems = [*_strays(place)]
    if not frames:
        words = "there is no such folder" if not place.frames.is_dir() else "holds no pictures"
        problems.append(error(place.frames, f"{words}; expected {', '.join(place.pictures)} files"))
    problems += _twins(matching, masks, thing)
    if frames:
        problems += [
            error(path, f"has no picture in {place.frames}; add it, or remove the mask") for path in matching.lost
        ]
        problems += _unmasked(place, frames, matching, thing, sparse)
    elif masks:
        problems.append(error(place.masks, f"holds {counted(len(masks), 'mask')} without pictures"))
    if video and gaps:
        doubles = {second for _, second in matching.twins}
        problems += _gaps(place, [path for path in frames if path not in doubles])
    return Unit(place.name, place.frames, list(zip(frames, matching.masks, strict=True)), video, problems)


def orphans(places: Sequence[Place], but: Collection[str] = ()) -> Iterator[Problem]:
    """Tell of folders of masks that belong to no sequence, where masks have a folder of their own for each."""
    names = {place.name for place in places} | set(but)
    parents = {place.masks.parent: place.frames.parent for place in places if place.masks.name == place.name}
    for parent, frames in parents.items():
        for name in folders(parent) if parent.is_dir() and parent != frames else ():
            if name not in names:
                yield error(parent / name, f"holds masks of a sequence that is not there: no folder {frames / name}")


def loose_files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Problem]:
    """Tell of files beside the folders of sequences, which nothing reads."""
    found = files(folder, suffixes)
    if found:
        words = f"holds {counted(len(found), 'file')} beside the folders of its sequences, such as {found[0].name}"
        yield warning(folder, f"{words}; nothing reads them")


def _strays(place: Place) -> Iterator[Problem]:
    """Images of a kind that is not read where they lie."""
    own = (*place.pictures, *place.labels) if place.masks == place.frames else place.pictures
    others = files(place.frames, tuple(suffix for suffix in _IMAGES if suffix not in own))
    if others:
        words = f"holds {counted(len(others), 'file')} of other kinds, such as {others[0].name}"
        yield warning(place.frames, f"{words}, which nothing reads; expected {', '.join(place.pictures)}")
    if place.masks == place.frames or place.shared:
        return
    for path in files(place.masks, tuple(suffix for suffix in _IMAGES if suffix not in place.labels)):
        if path.suffix.lower() in (".jpg", ".jpeg"):
            yield error(path, "is a JPEG, whose compression changes ids near edges; save masks as PNG")
        else:
            yield error(path, f"is not read as a mask; expected {', '.join(place.labels)}")


def _twins(matching: Matching, masks: Collection[Path], thing: str) -> Iterator[Problem]:
    for first, second in matching.twins:
        kind = "mask" if second in masks else thing
        yield error(second, f"and {first.name} are one {kind} by name; remove or rename one of them")


def _unmasked(place: Place, frames: Sequence[Path], matching: Matching, thing: str, sparse: bool) -> Iterator[Problem]:
    without = [path for path, mask in zip(frames, matching.masks, strict=True) if mask is None]
    if len(without) == len(frames):
        if not place.masks.is_dir():
            yield error(place.frames, f"has no masks: there is no folder {place.masks}")
        else:
            yield error(
                place.frames, f"has no masks: none of {', '.join(place.labels)} in {place.masks} is named like one"
            )
    elif without and not sparse:
        words = (
            f"{len(without):,} of {counted(len(frames), thing)} have no mask"
            if len(without) > 1
            else (f"1 of {counted(len(frames), thing)} has no mask")
        )
        yield warning(place.frames, f"{words}, the first is {without[0].name}; such {thing}s are not trained on")


def _gaps(place: Place, frames: Sequence[Path]) -> Iterator[Problem]:
    """Places where the numbers of frames do not go on as elsewhere."""
    numbers = [frame_number(path) for path in frames]
    known = [number for number in numbers if number is not None]
    if len(known) < len(frames) or len(frames) < 3:
        return
    steps = [after - before for before, after in pairwise(known)]
    usual = Counter(steps).most_common(1)[0][0]
    found = [(first, second) for (first, second), step in zip(pairwise(frames), steps, strict=True) if step != usual]
    if found:
        first, second = found[0]
        more = f", and {counted(len(found) - 1, 'more place')} like it" if len(found) > 1 else ""
        yield warning(
            place.frames,
            f"its numbers leave a gap: {second.name} follows {first.name}{more}; are frames missing there?",
        )
