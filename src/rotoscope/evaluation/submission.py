"""The archives that the benchmarks' servers take, for splits whose annotations are not public.

Everything is checked as a scorer would check it, as far as the pictures and lists at hand tell, before the archive
appears.
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
from rotoscope.data.annotation_set import checked_names, files, folders
from rotoscope.data.davis import Split, find_frames
from rotoscope.errors import DataError, OptionError
from rotoscope.evaluation.remarks import counted
from rotoscope.evaluation.track_files import read_annotations, read_predictions
from rotoscope.files import refuse_inside, writing
from rotoscope.masks.label_map import is_binary_0_255
from rotoscope.masks.mots import KITTI_CLASSES
from rotoscope.masks.png import palette_png
from rotoscope.masks.run_length import to_coco, to_string
from rotoscope.masks.youtube_vis import ResultTrack, Video, VideoSet, check_size
from rotoscope.metrics.davis17 import PROPOSALS
from rotoscope.metrics.foreground import LARGEST_LABEL, read
from rotoscope.metrics.kitti_mots import read_frames, result_of
from rotoscope.metrics.prediction_files import Missing, match_files, same_size

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
            the JSON file of YouTube-VIS or OVIS; KITTI-MOTS needs none.
        sequences: only these (DAVIS, YouTube-VOS, KITTI-MOTS).
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
    if submission.output.suffix.lower() != ".zip":
        raise OptionError(f"the servers take .zip archives, found {submission.output}; name a .zip file")
    refuse_inside(submission.output, submission.predictions, "predictions")
    if submission.videos is not None:
        refuse_inside(submission.output, submission.videos, "data set")
    members, remarks = BENCHMARKS[benchmark](submission)
    count = 0
    with writing(submission.output) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
            count += 1
    return [f"{counted(count, 'file')} in {submission.output}", *remarks]


def _davis17(submission: Submission) -> tuple[Iterator[_Member], list[str]]:
    wanted = find_frames(_videos(submission), submission.sequences, "2017", submission.split)
    return _maps(submission, wanted, "", _PROPAGATED)


def _davis17_unsupervised(submission: Submission) -> tuple[Iterator[_Member], list[str]]:
    wanted = find_frames(_videos(submission), submission.sequences, "unsupervised", submission.split)
    return _maps(submission, wanted, "", PROPOSALS)


def _youtube_vos(submission: Submission) -> tuple[Iterator[_Member], list[str]]:
    root = _videos(submission)
    base = root / "JPEGImages" if (root / "JPEGImages").is_dir() else root
    if not base.is_dir():
        raise DataError(f"there is no folder {root}; expected the one with JPEGImages, or with a folder a video")
    wanted = {name: files(base / name, _PICTURES) for name in checked_names(submission.sequences) or folders(base)}
    empty = [name for name, paths in wanted.items() if not paths]
    if empty or not wanted:
        raise DataError(f"{base / (empty[0] if empty else '')} has no pictures; they tell which frames are wanted")
    return _maps(submission, wanted, "Annotations/", _PROPAGATED, sparse=True)


def _videos(submission: Submission) -> Path:
    if submission.videos is None:
        raise OptionError("name with --videos what says which videos and frames are wanted; see --help")
    return submission.videos


def _maps(
    submission: Submission, wanted: Mapping[str, list[Path]], prefix: str, limit: int, *, sparse: bool = False
) -> tuple[Iterator[_Member], list[str]]:
    """Pack a palette PNG for every picture wanted; `sparse` passes over predictions of others."""
    matched = [
        match_files(name, frames, submission.predictions, range(len(frames)), submission.missing, sparse=sparse)
        for name, frames in wanted.items()
    ]
    absent = sum(path is None for one in matched for _, path in one.pairs)

    def members() -> Iterator[_Member]:
        for one in matched:
            for frame, path in one.pairs:
                size = _size_of(frame)
                values = np.zeros(size, np.uint8) if path is None else _ids(path, limit)
                same_size(path or frame, values.shape, frame, size)
                yield f"{prefix}{one.name}/{frame.stem}.png", palette_png(values)

    return members(), [f"{counted(absent, 'frame')} without prediction: empty masks"] if absent else []


def _ids(path: Path, limit: int) -> NDArray[np.uint8]:
    stored = read(path)
    highest = int(stored.values.max())
    if is_binary_0_255(stored.values):
        raise DataError(
            f"{path} holds 0 and 255: black and white where ids of objects are expected; write ids from 1 on"
        )
    if stored.kind == "grey" and highest > LARGEST_LABEL:
        raise DataError(f"{path} holds levels of grey up to {highest} where ids are expected; write palette PNG of ids")
    if highest > limit:
        raise DataError(f"{path} holds the id {highest}; at most {limit} is allowed")
    return stored.values.astype(np.uint8)


def _size_of(picture: Path) -> tuple[int, int]:
    """(height, width) of a picture."""
    try:
        with Image.open(picture) as image:
            return image.height, image.width
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the picture {picture}: {error}") from error


def _youtube_vis(submission: Submission) -> tuple[Iterator[_Member], list[str]]:
    if submission.sequences:
        raise OptionError("the server takes the results of a whole split; leave --sequences out")
    truth = read_annotations(_videos(submission))
    results = read_predictions(submission.predictions, truth, submission.missing)
    for one in results:
        _check(one, truth)
    silent = len(truth.videos.keys() - {one.video_id for one in results})
    tracks, videos = counted(len(results), "track"), counted(len(truth.videos), "video")
    remarks = [f"{tracks} on {videos}, {silent} of them without any"]
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
    found = {name: result_of(place, name) for name in checked_names(submission.sequences) or kitti.TEST}
    lost = [name for name, path in found.items() if path is None]
    if lost and submission.missing == "error":
        raise DataError(
            f"there is no result of {len(lost)} sequences: {', '.join(lost[:5])}; write empty files where nothing was "
            "found, or count missing ones as empty (--missing empty)"
        )

    def members() -> Iterator[_Member]:
        for name, path in found.items():
            yield f"{name}.txt", b"" if path is None else _lines(path)

    return members(), [f"no result, handed in as without detections: {', '.join(lost)}"] if lost else []


def _lines(path: Path) -> bytes:
    lines = []
    size: tuple[int, int] | None = None
    for index, masks in sorted(read_frames(path).items()):
        for one in masks:
            if size is not None and one.mask.size != size:
                raise DataError(f"{one.where} has a mask of {one.mask.size}, others of the sequence are {size}")
            size = one.mask.size
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
