"""The writer of annotation files in YouTube-VIS's format; `masks.youtube_vis` reads them."""

from __future__ import annotations

import json
from pathlib import Path

from rotoscope.files import write_whole
from rotoscope.masks.run_length import box, to_coco
from rotoscope.masks.youtube_vis import AnnotatedTrack, Video, VideoSet


def write_video_set(path: Path, content: VideoSet) -> None:
    """Write videos, categories and tracks; masks are compressed run lengths, frames without one null.

    Raises:
        OutputError: the file cannot be written.
    """
    whole: dict[str, object] = {
        "videos": [_video(video) for video in content.videos.values()],
        "categories": [{"id": number, "name": name} for number, name in content.categories.items()],
    }
    if content.tracks is not None:
        whole["annotations"] = [
            _track(track, content.videos[track.video_id]) for tracks in content.tracks.values() for track in tracks
        ]
    write_whole(path, json.dumps(whole, separators=(",", ":")).encode())


def _video(video: Video) -> dict[str, object]:
    return {
        "id": video.id,
        "width": video.width,
        "height": video.height,
        "length": video.frame_count,
        "file_names": list(video.file_names),
    }


def _track(track: AnnotatedTrack, video: Video) -> dict[str, object]:
    masks = [track.masks.get(index) for index in range(track.frame_count)]
    return {
        "id": track.id,
        "video_id": track.video_id,
        "category_id": track.category_id,
        "iscrowd": int(track.crowd),
        "width": video.width,
        "height": video.height,
        "length": track.frame_count,
        "segmentations": [None if mask is None else to_coco(mask) for mask in masks],
        "bboxes": [None if mask is None else list(box(mask)) for mask in masks],
        "areas": [None if mask is None else mask.area for mask in masks],
    }
