"""YouTube-VIS files: annotations of a set of videos, and results, one run-length code or null a frame and track.

OVIS has the same format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, TypeGuard, TypeVar

from rotoscope.errors import MaskError
from rotoscope.files import write_whole
from rotoscope.masks.run_length import CocoCode, from_coco, to_coco
from rotoscope.types import RunLength, Track

CLASS_AGNOSTIC = 1

Part = TypeVar("Part")


class TrackEntry(TypedDict):
    """One track of one video, as the benchmark's JSON has it."""

    video_id: int
    category_id: int
    segmentations: list[CocoCode | None]
    score: float


@dataclass(frozen=True, slots=True)
class VideoTracks:
    """The tracks of one video.

    Attributes:
        frame_count: number of frames, with or without masks.
        tracks: in the order of the file, numbered from 1.
    """

    frame_count: int
    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ResultTrack:
    """One track of a results file.

    Attributes:
        video_id: the benchmark's number of the video.
        category_id: the benchmark's number of the category.
        score: confidence.
        frame_count: number of entries, null or not.
        masks: frame index to mask; masks without pixels are kept, null entries are absent.
        where: its place, for errors: "entry 3 of results.json".
    """

    video_id: int
    category_id: int
    score: float
    frame_count: int
    masks: Mapping[int, RunLength]
    where: str


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedTrack:
    """One annotated track.

    Attributes:
        id: of the annotation.
        video_id: of the video.
        category_id: of the category.
        crowd: whether it stands for many objects.
        frame_count: number of entries, null or not.
        masks: frame index to mask.
        areas: of the frames that have one, as the file states them; counted where it states none.
    """

    id: int
    video_id: int
    category_id: int
    crowd: bool
    frame_count: int
    masks: Mapping[int, RunLength]
    areas: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Video:
    """What an annotation file says of a video.

    Attributes:
        id: its number.
        name: its folder of pictures, or its number in words.
        width: pixels.
        height: pixels.
        frame_count: number of frames.
        file_names: of the pictures; may be empty.
    """

    id: int
    name: str
    width: int
    height: int
    frame_count: int
    file_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class VideoSet:
    """An annotation file.

    Attributes:
        videos: by id, in the order of the file.
        categories: id to name, in the order of the file.
        tracks: video id to its tracks in the order of the file; None where the file has no annotations.
    """

    videos: Mapping[int, Video]
    categories: Mapping[int, str]
    tracks: Mapping[int, Sequence[AnnotatedTrack]] | None


def video_entries(
    video_id: int, tracks: Sequence[Track], frame_count: int, categories: Mapping[str, int] | None = None
) -> list[TrackEntry]:
    """Turn the tracks of one video into entries of the results file.

    Args:
        video_id: the benchmark's number of the video.
        tracks: their labels are looked up in `categories`.
        frame_count: number of frames of the video.
        categories: name to category id; without it every track gets category 1.

    Raises:
        MaskError: a label that `categories` lacks, or a mask outside the video's frames.
    """
    return [_entry(video_id, track, frame_count, categories) for track in tracks]


def write_youtube_vis(path: Path, entries: Sequence[TrackEntry]) -> None:
    """Write the entries of all videos to one JSON file.

    Raises:
        OutputError: the file cannot be written.
    """
    write_whole(path, json.dumps(list(entries), separators=(",", ":")).encode())


def read_youtube_vis(path: Path, categories: Mapping[str, int] | None = None) -> dict[int, VideoTracks]:
    """Read a results file back, video by video.

    Args:
        path: the JSON file.
        categories: name to category id; without it a track's label is the category id as text.

    Raises:
        MaskError: as `read_results`; categories that `categories` lacks, or tracks of one video with different numbers
            of frames.
    """
    names = None if categories is None else {number: name for name, number in categories.items()}
    videos: dict[int, VideoTracks] = {}
    for found in read_results(path):
        known = videos.get(found.video_id, VideoTracks(found.frame_count, ()))
        if known.frame_count != found.frame_count:
            raise MaskError(
                f"{found.where} has {found.frame_count} frames, others of video {found.video_id} have "
                f"{known.frame_count}; write null for frames without the object"
            )
        track = Track(len(known.tracks) + 1, _label(found, names), found.score)
        # A mask without pixels says the same as null.
        track.masks = {index: mask for index, mask in found.masks.items() if mask.area}
        videos[found.video_id] = VideoTracks(known.frame_count, (*known.tracks, track))
    return videos


def read_results(path: Path) -> list[ResultTrack]:
    """Read a results file as it stands, for scoring.

    Raises:
        MaskError: no such file, no JSON, entries without the keys, broken codes, scores that are no numbers, or masks
            of different sizes in one track.
    """
    content = _json(path)
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise MaskError(f"{path} must hold a list of tracks, each an object with video_id and segmentations")
    return [_result(entry, f"entry {place} of {path}") for place, entry in enumerate(content)]


def read_video_set(path: Path) -> VideoSet:
    """Read an annotation file.

    Raises:
        MaskError: no such file, no JSON, parts that are missing, broken codes, ids twice, or annotations of videos or
            categories that the file does not list.
    """
    content = _json(path)
    if not isinstance(content, dict):
        raise MaskError(f"{path} is no annotation file: expected an object with 'videos' and 'categories'")
    videos = {video.id: video for video in _unique(path, "videos", content, _video)}
    categories = dict(_unique(path, "categories", content, _category))
    if not categories:
        raise MaskError(f"{path} lists no category; expected at least one")
    for what, names in (("videos", [one.name for one in videos.values()]), ("categories", [*categories.values()])):
        twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
        if twice is not None:
            raise MaskError(f"{path} has two {what} named {twice!r}; names tell them apart in reports and files")
    if content.get("annotations") is None:
        return VideoSet(videos, categories, None)
    tracks: dict[int, list[AnnotatedTrack]] = {}
    for track in _unique(path, "annotations", content, _annotation):
        where = f"annotation {track.id} of {path}"
        if track.video_id not in videos:
            raise MaskError(f"{where} is of video {track.video_id}, which the file does not list")
        if track.category_id not in categories:
            raise MaskError(f"{where} is of category {track.category_id}, which the file does not list")
        tracks.setdefault(track.video_id, []).append(track)
    return VideoSet(videos, categories, tracks)


def check_size(masks: Mapping[int, RunLength], video: Video, where: str) -> None:
    """Make sure that masks have their video's size.

    Raises:
        MaskError: with both sizes.
    """
    for index, mask in masks.items():
        if mask.size != (video.height, video.width):
            raise MaskError(
                f"{where}, frame {index}: the mask is {mask.size[1]}x{mask.size[0]}, video {video.id} ({video.name}) "
                f"is {video.width}x{video.height} (width x height); write masks at the size of the video"
            )


@dataclass(slots=True)
class _Record:
    """One object of a JSON list, and its place in words."""

    entry: Mapping[str, object]
    where: str

    def whole(self, key: str) -> int:
        value = self.entry.get(key)
        if not isinstance(value, int) or isinstance(value, bool):
            raise MaskError(f"{self.where} needs a whole number '{key}', found {value!r}")
        return value

    def number(self, key: str) -> float:
        value = self.entry.get(key)
        if not _is_number(value):
            raise MaskError(f"{self.where} needs a number '{key}', found {str(value)[:40]}")
        return float(value)

    def name(self, key: str, instead: str) -> str:
        """A name that can be printed; characters that no text may hold become question marks."""
        text = str(self.entry.get(key, instead)).encode("utf-8", "replace").decode()
        return "".join(letter if letter.isprintable() else "?" for letter in text)

    def masks(self) -> tuple[int, dict[int, RunLength]]:
        """Number of frames, and frame index to mask."""
        entries = self.entry.get("segmentations")
        if not isinstance(entries, list):
            raise MaskError(f"{self.where} has no list 'segmentations'")
        found: dict[int, RunLength] = {}
        size: tuple[int, int] | None = None
        for index, code in enumerate(entries):
            if code is None:
                continue
            mask = self._mask(index, code)
            if size is not None and mask.size != size:
                raise MaskError(f"{self.where} has masks of {size} and, on frame {index}, of {mask.size}")
            size = mask.size
            found[index] = mask
        return len(entries), found

    def _mask(self, index: int, code: object) -> RunLength:
        if isinstance(code, list):
            raise MaskError(f"{self.where}, frame {index}: a polygon; only run-length codes are read, convert it")
        if not isinstance(code, dict):
            raise MaskError(f"{self.where} needs a run-length object or null for frame {index}, found {code!r}")
        try:
            return from_coco(code)
        except MaskError as error:
            raise MaskError(f"{self.where}, frame {index}: {error}") from error


def _entry(video_id: int, track: Track, frame_count: int, categories: Mapping[str, int] | None) -> TrackEntry:
    outside = [index for index in track.masks if not 0 <= index < frame_count]
    if outside:
        raise MaskError(f"track {track.id} has a mask on frame {outside[0]}, the video has {frame_count} frames")
    category = CLASS_AGNOSTIC
    if categories is not None:
        if track.label is None or track.label not in categories:
            known = ", ".join(sorted(categories))
            raise MaskError(f"track {track.id} has the label {track.label!r}, which is none of: {known}")
        category = categories[track.label]
    segmentations = [to_coco(track.masks[index]) if index in track.masks else None for index in range(frame_count)]
    return {
        "video_id": video_id,
        "category_id": category,
        "segmentations": segmentations,
        "score": float(track.score),
    }


def _json(path: Path) -> object:
    try:
        content: object = json.loads(path.read_bytes())
    except OSError as error:
        raise MaskError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise MaskError(f"{path} is no JSON: {error}; write the file again") from error
    return content


def _is_number(value: object) -> TypeGuard[float]:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _label(found: ResultTrack, names: Mapping[int, str] | None) -> str:
    if names is None:
        return str(found.category_id)
    if found.category_id not in names:
        raise MaskError(f"{found.where} has category {found.category_id}, which is none of: {sorted(names)}")
    return names[found.category_id]


def _result(entry: Mapping[str, object], where: str) -> ResultTrack:
    record = _Record(entry, where)
    video_id, frames = record.whole("video_id"), record.masks()
    return ResultTrack(video_id, record.whole("category_id"), record.number("score"), *frames, where)


def _unique(path: Path, key: str, content: Mapping[str, object], read: Callable[[_Record], Part]) -> Iterator[Part]:
    """Read a list of records whose ids are unique."""
    entries = content.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise MaskError(f"{path} is no annotation file: it has no list '{key}'")
    known: set[int] = set()
    for place, entry in enumerate(entries):
        record = _Record(entry, f"{key}[{place}] of {path}")
        number = record.whole("id")
        if number in known:
            raise MaskError(f"{record.where} has the id {number}, as one before it; ids are unique")
        known.add(number)
        yield read(record)


def _video(record: _Record) -> Video:
    files = record.entry.get("file_names")
    names = tuple(str(name) for name in files) if isinstance(files, list) else ()
    number = record.whole("id")
    folder = names[0].rpartition("/")[0] if names else ""
    folder = _Record({"name": folder}, record.where).name("name", "")
    length = record.whole("length") if "length" in record.entry else len(names)
    return Video(number, folder or str(number), record.whole("width"), record.whole("height"), length, names)


def _category(record: _Record) -> tuple[int, str]:
    number = record.whole("id")
    return number, record.name("name", str(number))


def _annotation(record: _Record) -> AnnotatedTrack:
    count, masks = record.masks()
    crowd = record.entry.get("iscrowd", 0)
    if crowd not in (0, 1):
        raise MaskError(f"{record.where} needs 0 or 1 as 'iscrowd', found {crowd!r}")
    stated = _areas(record, count)
    areas = tuple(float(mask.area) for mask in masks.values()) if stated is None else stated
    numbers = record.whole("id"), record.whole("video_id"), record.whole("category_id")
    return AnnotatedTrack(*numbers, bool(crowd), count, masks, areas)


def _areas(record: _Record, count: int) -> tuple[float, ...] | None:
    """The areas that a record states, null left out; None where it states none."""
    stated = record.entry.get("areas")
    if stated is None:
        return None
    if not isinstance(stated, list) or len(stated) != count:
        raise MaskError(f"{record.where} needs a list 'areas' of {count}, one for each segmentation")
    known = [area for area in stated if area is not None]
    if not all(_is_number(area) and area >= 0 for area in known):
        raise MaskError(f"{record.where} has an area that is no number of pixels: {str(known)[:60]}")
    return tuple(float(area) for area in known)
