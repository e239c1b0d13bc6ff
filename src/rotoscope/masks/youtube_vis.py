"""YouTube-VIS results: one JSON list for a set of videos, one entry a track, one run-length code or null a frame."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from rotoscope.errors import MaskError
from rotoscope.files import write_whole
from rotoscope.masks.run_length import CocoCode, from_coco, to_coco
from rotoscope.types import RunLength, Track

CLASS_AGNOSTIC = 1


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
        MaskError: no such file, no JSON, entries without the keys, broken codes, categories that `categories` lacks,
            masks of different sizes in one track, or tracks of one video with different numbers of frames.
    """
    names = None if categories is None else {number: name for name, number in categories.items()}
    videos: dict[int, VideoTracks] = {}
    for place, entry in enumerate(_entries(path)):
        where = f"entry {place} of {path}"
        video_id = _whole(entry, "video_id", where)
        segmentations = entry.get("segmentations")
        if not isinstance(segmentations, list):
            raise MaskError(f"{where} has no list 'segmentations'")
        known = videos.get(video_id, VideoTracks(len(segmentations), ()))
        if known.frame_count != len(segmentations):
            raise MaskError(
                f"{where} has {len(segmentations)} frames, others of video {video_id} have {known.frame_count}; "
                "write null for frames without the object"
            )
        track = Track(len(known.tracks) + 1, _label(entry, names, where), _score(entry, where))
        track.masks = _masks(segmentations, where)
        videos[video_id] = VideoTracks(known.frame_count, (*known.tracks, track))
    return videos


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


def _entries(path: Path) -> list[dict[str, object]]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise MaskError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise MaskError(f"{path} is no JSON: {error}") from error
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise MaskError(f"{path} must hold a list of tracks, each an object with video_id and segmentations")
    return content


def _whole(entry: Mapping[str, object], key: str, where: str) -> int:
    value = entry.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise MaskError(f"{where} needs a whole number '{key}', found {value!r}")
    return value


def _label(entry: Mapping[str, object], names: Mapping[int, str] | None, where: str) -> str:
    category = _whole(entry, "category_id", where)
    if names is None:
        return str(category)
    if category not in names:
        raise MaskError(f"{where} has category {category}, which is none of: {sorted(names)}")
    return names[category]


def _score(entry: Mapping[str, object], where: str) -> float:
    value = entry.get("score")
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise MaskError(f"{where} needs a number 'score', found {value!r}")
    return float(value)


def _masks(segmentations: Sequence[object], where: str) -> dict[int, RunLength]:
    masks: dict[int, RunLength] = {}
    size: tuple[int, int] | None = None
    for index, code in enumerate(segmentations):
        if code is None:
            continue
        if not isinstance(code, dict):
            raise MaskError(f"{where} needs a run-length object or null for frame {index}, found {code!r}")
        try:
            mask = from_coco(code)
        except MaskError as error:
            raise MaskError(f"{where}, frame {index}: {error}") from error
        if size is not None and mask.size != size:
            raise MaskError(f"{where} has masks of {size} and, on frame {index}, of {mask.size}")
        size = mask.size
        if mask.area:  # a mask without pixels says the same as null
            masks[index] = mask
    return masks
