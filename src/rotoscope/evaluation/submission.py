"""The archives that the benchmarks' servers take, for splits whose annotations are not public.

Everything is checked as a scorer would check it before the archive appears.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.data import kitti_mots as kitti
from rotoscope.data.annotation_set import files, folders
from rotoscope.data.davis import Davis, Split
from rotoscope.errors import DataError, OptionError
from rotoscope.evaluation.track_files import read_annotations, read_predictions
from rotoscope.files import writing
from rotoscope.masks.mots import KITTI_CLASSES
from rotoscope.masks.png import palette_png
from rotoscope.masks.run_length import to_coco, to_string
from rotoscope.masks.youtube_vis import ResultTrack, Video, VideoSet, check_size
from rotoscope.metrics.davis17 import PROPOSALS
from rotoscope.metrics.foreground import read
from rotoscope.metrics.kitti_mots import read_frames, result_of
from rotoscope.metrics.prediction_files import Missing, match_files, prediction_folder

_PICTURES = (".jpg", ".jpeg", ".png")
_PROPAGATED = 255  # ids that a palette PNG can hold
_Member = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Submission:
    """What to hand in.

    Attributes:
        predictions: folder or file of the results, as for scoring.
        output: the archive to write.
        videos: what says which videos and frames are wanted: the root of DAVIS, the folder of YouTube-VOS's split, or
            the JSON file of YouTube-VIS or OVIS.
        sequences: only these.
        split: which list (DAVIS).
        missing: what a sequence or frame without prediction means.
    """

    predictions: Path
    output: Path
    videos: Path | None = None
    sequences: tuple[str, ...] = ()
    split: Split = "test-dev"
    missing: Missing = "error"


def write_submission(benchmark: str, submission: Submission) -> list[str]:
    """Write the archive, whole or not at all.

    Returns:
        What it holds and what could not be checked, in words.

    Raises:
        DataError: results that the server would refuse, and which.
        OptionError: a benchmark without a server, or no `videos` where it is needed.
        OutputError: the archive cannot be written.
    """
    if benchmark not in BENCHMARKS:
        raise OptionError(f"{benchmark} has public annotations; score it with: rotoscope evaluate {benchmark}")
    if submission.output.suffix != ".zip":
        raise OptionError(f"the servers take .zip archives, found {submission.output}; name a .zip file")
    members, remarks = BENCHMARKS[benchmark](submission)
    count = 0
    with writing(submission.output) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
            count += 1
    return [f"{count} files in {submission.output}", *remarks]


def _davis17(submission: Submission) -> tuple[Iterator[_Member], list[str]]:
    return _maps(submission, "", _PROPAGATED)


def _davis17_unsupervised(submission: Submission) -> tuple[Iterator[_Member], list[str]]:
    return _maps(submission, "", PROPOSALS)


def _youtube_vos(submission: Submission) -> tuple[Iterator[_Member], list[str]]:
    return _maps(submission, "Annotations/", _PROPAGATED)


def _maps(submission: Submission, prefix: str, limit: int) -> tuple[Iterator[_Member], list[str]]:
    """Pack a palette PNG for every frame wanted."""
    wanted, remarks = _wanted_frames(submission)
    matched = [
        match_files(name, frames, submission.predictions, range(len(frames)), submission.missing, sparse=True)
        for name, frames in wanted.items()
    ]
    absent = sum(path is None for one in matched for _, path in one.pairs)
    if absent:
        remarks.append(f"{absent} frames without prediction are empty masks")

    def members() -> Iterator[_Member]:
        for one in matched:
            size: tuple[int, ...] | None = None
            for frame, path in one.pairs:
                values = np.zeros(_size_of(frame, size), np.uint8) if path is None else _ids(path, limit)
                size = values.shape
                yield f"{prefix}{one.name}/{frame.stem}.png", palette_png(values)

    return members(), remarks


def _wanted_frames(submission: Submission) -> tuple[dict[str, list[Path]], list[str]]:
    """Each sequence's pictures, whose names the masks must have; else the predictions themselves, unchecked."""
    root = submission.videos
    if root is None:
        place = submission.predictions
        if not place.is_dir():
            raise DataError(f"there is no predictions folder {place}; expected one with a folder for each sequence")
        names = submission.sequences or folders(place)
        found = {name: _prediction_files(place, name) for name in names}
        remark = "--videos was not given, so that nothing could tell whether a sequence or frame is missing"
        return {name: paths for name, paths in found.items() if paths}, [remark]
    pictures = root / "JPEGImages"
    lists = (root / "ImageSets").is_dir()
    if lists:
        year = 2019 if (root / "ImageSets" / "2019" / f"{submission.split}.txt").is_file() else 2017
        data = Davis(root, year, submission.split)
        return {name: data.sequence(name).frames for name in submission.sequences or data.names}, []
    base = pictures if pictures.is_dir() else root
    if not base.is_dir():
        raise DataError(f"there is no folder {root}; expected the one with JPEGImages, or with a folder a video")
    found = {name: files(base / name, _PICTURES) for name in submission.sequences or folders(base)}
    empty = [name for name, paths in found.items() if not paths]
    if empty or not found:
        raise DataError(f"{base / (empty[0] if empty else '')} has no pictures; they tell which frames are wanted")
    return found, []


def _prediction_files(place: Path, name: str) -> list[Path]:
    folder = prediction_folder(place, name)
    return [] if folder is None else files(folder, (".png",))


def _ids(path: Path, limit: int) -> NDArray[np.uint8]:
    stored = read(path)
    highest = int(stored.values.max())
    if highest > limit:
        raise DataError(f"{path} holds the id {highest}; at most {limit} is allowed")
    return stored.values.astype(np.uint8)


def _size_of(frame: Path, before: tuple[int, ...] | None) -> tuple[int, ...]:
    """Size of an empty mask: that of the frames before it, else of the picture."""
    if before is not None:
        return before
    with Image.open(frame) as image:
        return image.height, image.width


def _youtube_vis(submission: Submission) -> tuple[Iterator[_Member], list[str]]:
    if submission.videos is None:
        raise OptionError("name the split's JSON file with --videos: it lists the videos, their sizes and lengths")
    truth = read_annotations(submission.videos)
    results = read_predictions(submission.predictions, truth)
    for one in results:
        _check(one, truth)
    silent = len(truth.videos.keys() - {one.video_id for one in results})
    remarks = [f"{len(results)} tracks on {len(truth.videos)} videos, {silent} of them without any"]
    content = json.dumps([_entry(one, truth.videos[one.video_id]) for one in results], separators=(",", ":"))
    return iter([("results.json", content.encode())]), remarks


def _check(one: ResultTrack, truth: VideoSet) -> None:
    if one.video_id not in truth.videos:
        raise DataError(f"{one.where} is of video {one.video_id}, which the split does not list")
    if one.category_id not in truth.categories:
        raise DataError(f"{one.where} has category {one.category_id}, which the split does not list")
    video = truth.videos[one.video_id]
    check_size(one.masks, video, one.where)
    if one.frame_count != video.frame_count:
        raise DataError(f"{one.where} has {one.frame_count} frames, video {video.name} has {video.frame_count}")


def _entry(one: ResultTrack, video: Video) -> dict[str, object]:
    codes = [to_coco(one.masks[index]) if index in one.masks else None for index in range(video.frame_count)]
    return {
        "video_id": one.video_id,
        "category_id": one.category_id,
        "segmentations": codes,
        "score": one.score,
    }


def _kitti_mots(submission: Submission) -> tuple[Iterator[_Member], list[str]]:
    place = submission.predictions
    if not place.is_dir():
        raise DataError(f"there is no predictions folder {place}; expected one with a text file a sequence")
    found = {name: result_of(place, name) for name in submission.sequences or kitti.TEST}
    lost = [name for name, path in found.items() if path is None]
    if lost and submission.missing == "error":
        raise DataError(
            f"there is no result of {len(lost)} sequences: {', '.join(lost[:5])}; write empty files where nothing was "
            "found, or count missing ones as empty"
        )

    def members() -> Iterator[_Member]:
        for name, path in found.items():
            yield f"{name}.txt", b"" if path is None else _lines(path)

    return members(), [f"no result, handed in as without detections: {', '.join(lost)}"] if lost else []


def _lines(path: Path) -> bytes:
    lines = []
    for index, masks in sorted(read_frames(path).items()):
        for one in masks:
            if one.category == KITTI_CLASSES["ignore"]:
                raise DataError(f"{one.where} is of the ignore class, which only annotations have")
            height, width = one.mask.size
            lines.append(f"{index} {one.id} {one.category} {height} {width} {to_string(one.mask)}\n")
    return "".join(lines).encode()


BENCHMARKS: Mapping[str, Callable[[Submission], tuple[Iterator[_Member], list[str]]]] = {
    "davis17": _davis17,
    "davis17-unsupervised": _davis17_unsupervised,
    "youtube-vos": _youtube_vos,
    "youtube-vis": _youtube_vis,
    "ovis": _youtube_vis,
    "kitti-mots": _kitti_mots,
}
