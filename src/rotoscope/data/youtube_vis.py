"""YouTube-VIS 2019 and 2021, and OVIS, on disk: one file of tracks for a split, a folder of pictures for each video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rotoscope.data.annotation_set import checked_names
from rotoscope.data.tracks import TrackSequence, of_tracks
from rotoscope.errors import DataError, MaskError
from rotoscope.masks.youtube_vis import Video, VideoSet, read_video_set


def find_sequences(
    root: Path | str, split: str = "train", names: Sequence[str] = (), classes: Mapping[int, int] | None = None
) -> list[TrackSequence]:
    """List the videos of a split, or those named; the file is read, pictures are not.

    Annotations are `<split>/instances.json` (2021), `<split>.json` or `instances_<split>.json` (2019),
    `annotations_<split>.json` (OVIS), the last three also below `annotations/`; pictures are
    `<split>/JPEGImages/<video>/<name>.jpg`, or without `JPEGImages` (OVIS).

    Args:
        root: of the package.
        split: train, valid, or another whose annotations are there.
        names: the videos wanted; all without them.
        classes: category of the file to that wanted; see `tracks.of_tracks`.

    Raises:
        DataError: a file or folder is missing, the split has no annotations, or a video named is not there.
    """
    path, pictures = annotation_file(Path(root), split), picture_folder(Path(root), split)
    try:
        content = read_video_set(path)
    except MaskError as error:
        raise DataError(str(error)) from error
    if content.tracks is None:
        raise DataError(f"{path} has no annotations; those of the validation and test sets were never given out")
    videos = _wanted(content, path, checked_names(names))
    return [_sequence(content, video, pictures, path, classes) for video in videos]


def annotation_file(root: Path, split: str) -> Path:
    """Find the annotations of a split; see `find_sequences`.

    Raises:
        DataError: there are none.
    """
    stems = (f"{split}.json", f"instances_{split}.json", f"annotations_{split}.json")
    places = [
        root / split / "instances.json",
        *(root / inner / stem for inner in ("", "annotations") for stem in stems),
    ]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        looked = ", ".join(str(place.relative_to(root)) for place in places)
        raise DataError(f"{root} has no annotations of the split {split!r}: looked for {looked}")
    return found


def picture_folder(root: Path, split: str) -> Path:
    """Find the folder with a folder of pictures for each video; see `find_sequences`.

    Raises:
        DataError: there is none.
    """
    places = [root / split / "JPEGImages", root / "JPEGImages" / split, root / "JPEGImages", root / split]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise DataError(f"{root} has no pictures: looked for {', '.join(str(place) for place in places)}")
    return found


def _wanted(content: VideoSet, path: Path, names: Sequence[str]) -> list[Video]:
    there = {video.name: video for video in content.videos.values()}
    lost = [name for name in names if name not in there]
    if lost:
        raise DataError(f"{path} has no video {', '.join(lost)}; it has {len(there)}")
    return [there[name] for name in names or there]


def _sequence(
    content: VideoSet, video: Video, pictures: Path, path: Path, classes: Mapping[int, int] | None
) -> TrackSequence:
    if len(video.file_names) != video.frame_count:
        raise DataError(f"{path}: video {video.name} has {len(video.file_names)} file names of {video.frame_count}")
    frames = [pictures / name for name in video.file_names]
    if any(Path(name).is_absolute() or ".." in Path(name).parts for name in video.file_names):
        raise DataError(f"{path}: video {video.name} names a picture outside {pictures}")
    tracks = content.tracks.get(video.id, ()) if content.tracks else ()
    return of_tracks(
        video.name,
        frames,
        (video.height, video.width),
        [(track.category_id, track.masks) for track in tracks if not track.crowd],
        classes,
    )
