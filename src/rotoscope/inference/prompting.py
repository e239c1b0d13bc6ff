"""Masks in files as prompts: which file, which frame, which objects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rotoscope.bounds import LARGEST, told
from rotoscope.errors import MaskError, OptionError
from rotoscope.masks.label_map import is_binary_0_255, to_masks
from rotoscope.masks.png import ANNOTATION_FORMATS, StoredMap, read_png
from rotoscope.names import fault_of, name_of
from rotoscope.types import Prompt
from rotoscope.video import Video
from rotoscope.video.pictures import list_pictures

VOID = 255  # what 8-bit maps mark pixels with that belong to nothing
_LEVELS = 64  # a grey picture with more levels than that is no map of ids
_SUFFIXES = (".png", ".ppm", ".pgm", ".bmp")


@dataclass(frozen=True)
class GivenMasks:
    """Where the masks of one video are.

    Attributes:
        path: a mask file, or a folder of them named as the frames are.
        at: the frame that is to be taken; None: of a folder the first that has an object, of a file the one that it is
            named after, or else the first of the video.
        both_ways: follow the objects backwards from there too.
        late: also take objects that only later files of the folder have, each from the first that has it, as
            YouTube-VOS gives them.
    """

    path: Path
    at: int | None = None
    both_ways: bool = False
    late: bool = False

    def __post_init__(self) -> None:
        if self.at is not None and not 0 <= self.at <= LARGEST:
            raise OptionError(f"frame {told(self.at)} asked for; frames are numbered from 0, give 0 to {LARGEST}")


def masks_of(path: Path, source: Path, single: bool) -> Path:
    """The masks of one video in a place that may hold those of several.

    Args:
        path: a file or folder of masks, or a folder that holds one of these for each video, by its name.
        source: the video.
        single: it is the only one.

    Raises:
        MaskError: there is nothing for it.
    """
    if not path.exists():
        raise MaskError(f"there are no masks at {path}; check the path")
    name = name_of(source)
    own = source.resolve().name if source.is_dir() else source.stem  # a name is not made safe where masks are made
    for known in (name, *([own] if fault_of(own) is None else [])):
        for inner in (path / known, path / f"{known}.png"):
            if path.is_dir() and inner.exists():
                return inner
    if not single:
        raise MaskError(
            f"{path} holds no masks for {source}; expected a folder {path / name} or a file {name}.png there"
        )
    return path


def read_prompts(given: GivenMasks, video: Video) -> list[Prompt]:
    """Read the masks that a video's objects are followed from: one prompt, or more where objects may come late.

    Raises:
        MaskError: no masks, none of that frame, without objects, of another size, or no map of ids.
        OptionError: the frame lies behind the end of a video whose length is known.
    """
    names = _names(video)
    if given.at is not None and names is not None and given.at >= len(names):
        raise OptionError(f"frame {given.at} asked for, but {video.source} has {len(names)} (0 to {len(names) - 1})")
    if not given.path.is_dir():
        index = _named(given.path, names) or 0 if given.at is None else given.at
        objects = _objects(given.path, video.info.size)
        if not objects:
            raise MaskError(f"{given.path} marks no object: all of it is background; give a mask of at least one")
        return [Prompt(index, objects)]
    files = [path for path in list_pictures(given.path) if path.suffix.lower() in _SUFFIXES]
    if not files:
        raise MaskError(f"the folder {given.path} holds no masks; expected PNG files named as the frames of the video")
    _refuse_doubles(files)
    prompts: list[Prompt] = []
    for path in files:
        index = _index(path, names, video)
        if given.at is None or index == given.at or (given.late and index > given.at):
            known = {track_id for prompt in prompts for track_id in prompt.masks}
            objects = _objects(path, video.info.size)
            fresh = {track_id: mask for track_id, mask in objects.items() if track_id not in known}
            prompts += [Prompt(index, fresh)] if fresh else []
        if prompts and not given.late:
            break
    if prompts and (given.at is None or prompts[0].frame_index == given.at):
        return prompts
    where = "" if given.at is None else f" for frame {given.at}"
    raise MaskError(
        f"no file in {given.path} marks an object{where}; name masks as the frames, such as {files[0].name}"
    )


def _names(video: Video) -> dict[str, int] | None:
    """Stem to index of the frames of a folder of pictures, None for anything else."""
    folder = Path(video.source)
    if not folder.is_dir():
        return None
    return {path.stem: index for index, path in enumerate(list_pictures(folder))}


def _named(path: Path, names: dict[str, int] | None) -> int | None:
    """The frame that a mask file is named after; of a video file that is a number of at least five digits (00042)."""
    if names is not None:
        return names.get(path.stem)
    return int(path.stem) if re.fullmatch("[0-9]{5,18}", path.stem) else None


def _index(path: Path, names: dict[str, int] | None, video: Video) -> int:
    """The frame that a file in a folder of masks belongs to."""
    index = _named(path, names)
    if index is not None:
        return index
    raise MaskError(
        f"{path} belongs to no frame of {video.source}; name masks as the frames, or name one file and --at"
    )


def _refuse_doubles(files: list[Path]) -> None:
    """Two files of one frame may disagree; none of them is meant more than the other."""
    known: dict[str, Path] = {}
    for path in files:
        before = known.setdefault(path.stem, path)
        if before is not path:
            raise MaskError(f"{before} and {path.name} are both masks of one frame; leave one of them out")


def _objects(path: Path, size: tuple[int, int]) -> dict[int, NDArray[np.bool_]]:
    """Id to mask; what is white on black is object 1, 255 among other ids of 8 bits is void."""
    stored = read_png(path, ANNOTATION_FORMATS)
    values = stored.values
    if values.shape != size:
        raise MaskError(
            f"{path} is {values.shape[1]}x{values.shape[0]}, the frames are {size[1]}x{size[0]} (width x height); "
            f"masks must have the frames' size"
        )
    if is_binary_0_255(values):
        return {1: values != 0}
    _refuse_levels(path, stored)
    return to_masks(values, ignore=VOID if values.dtype == np.uint8 else None)


def _refuse_levels(path: Path, stored: StoredMap) -> None:
    """A soft mask has many levels of grey; each would become an object."""
    levels = len(np.unique(stored.values)) if stored.kind == "grey" else 0
    if levels > _LEVELS:
        raise MaskError(f"{path} has {levels} levels of grey, as a soft mask or a picture has; save ids as palette PNG")
