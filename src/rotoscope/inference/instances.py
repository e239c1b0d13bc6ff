"""What is written of a system that finds instances: files of whole tracks, and one file of results for a whole run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from rotoscope.errors import DataError, MaskError, OptionError
from rotoscope.files import writing
from rotoscope.inference.segmentation import Segmentation, Stamp, TrackCollector
from rotoscope.masks.youtube_vis import read_video_set
from rotoscope.types import Frame, FrameResult, Track, VideoInfo

MOST_LABELS = 255  # ids that a palette PNG can hold


@dataclass(frozen=True)
class Numbers:
    """The numbers that a set gives its videos and categories.

    Attributes:
        path: its annotation file.
        videos: name to number.
        categories: name to number.
    """

    path: Path
    videos: Mapping[str, int]
    categories: Mapping[str, int]

    def of(self, categories: Iterable[str]) -> dict[str, int]:
        """Numbers of the names that the set has too; case, spaces and underscores do not matter.

        Raises:
            OptionError: it has none of them.
        """
        own = {_plain(name): number for name, number in self.categories.items()}
        found = {name: own[_plain(name)] for name in categories if _plain(name) in own}
        if not found:
            raise OptionError(
                f"{self.path} has no category of the model's ({', '.join(list(categories)[:5])} ...); "
                f"it has {', '.join(list(self.categories)[:5])} ...; choose a set with some of the same names"
            )
        return found

    def check(self, names: Iterable[str]) -> None:
        """Make sure that the set has all videos of these names.

        Raises:
            DataError: which it lacks.
        """
        lost = [name for name in names if name not in self.videos]
        if lost:
            raise DataError(
                f"{self.path} has no video {', '.join(lost[:5])}; it has {len(self.videos)} "
                f"({', '.join(list(self.videos)[:3])} ...); leave --numbers out, or give the videos of this set"
            )


def read_numbers(path: Path) -> Numbers:
    """Read the numbers of a set from its annotation file in YouTube-VIS's format.

    Raises:
        DataError: it cannot be read.
    """
    try:
        content = read_video_set(path)
    except MaskError as error:
        raise DataError(str(error)) from error
    videos = {video.name: number for number, video in content.videos.items()}
    return Numbers(path, videos, {name: number for number, name in content.categories.items()})


class InstanceSink:
    """The tracks of a video as label maps, YouTube-VIS JSON, MOTS text and a timeline, written when it ends.

    Only then is it known which category and score each track has, so which one is on top where masks overlap.

    Args:
        places: where what goes, by kind: masks (a folder), ytvis, mots, timeline; what is absent is not written.
        info: of the video.
        categories: label to number. Tracks with other labels are not written to files that have categories; {} has all
            labels numbered in the order of the alphabet.
        most: only so many best tracks are kept; None: all. Label maps never have more than 255; see `labelled`.
    """

    def __init__(
        self, places: Mapping[str, Path], info: VideoInfo, categories: Mapping[str, int], most: int | None = None
    ) -> None:
        self._places, self._most = places, most
        self._found = Segmentation(info, categories=categories)
        self._collector = TrackCollector()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._write()

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Take the frame's run lengths."""
        self._collector.add(result)
        self._found.stamps.append(Stamp(result.index, result.timestamp, result.name))

    def _write(self) -> None:
        found = self._found
        found.tracks = best(self._collector.tracks(), self._most)
        if "masks" in self._places:
            replace(found, tracks=labelled(found.tracks, self._most)).save(self._places["masks"], "davis")
        if "timeline" in self._places:
            found.timeline(self._places["timeline"])
        if found.categories:
            found.tracks = [track for track in found.tracks if track.label in found.categories]
        if "ytvis" in self._places:
            found.save(self._places["ytvis"], "ytvis")
        if "mots" in self._places:
            found.save(self._places["mots"], "mots")


def best(tracks: Sequence[Track], most: int | None) -> list[Track]:
    """The tracks of highest score, in order of id; of equal ones those of lower id."""
    if most is None or len(tracks) <= most:
        return list(tracks)
    chosen = sorted(tracks, key=lambda track: (-track.score, track.id))[:most]
    return sorted(chosen, key=lambda track: track.id)


def labelled(tracks: Sequence[Track], most: int | None = None) -> list[Track]:
    """The best tracks, `most` or the 255 that a map of 8 bits can hold, for label maps.

    They keep their ids where none is above that number, as scorers want it, and are numbered 1, 2, ... where one is.
    """
    limit = min(most or MOST_LABELS, MOST_LABELS)
    kept = best(tracks, limit)
    if all(track.id <= limit for track in kept):
        return kept
    return [replace(track, id=number) for number, track in enumerate(kept, start=1)]


def join_results(path: Path, records: Sequence[tuple[int, Path]]) -> None:
    """Write one file of results from those of single videos, whole or not at all.

    Args:
        path: the file.
        records: number and file of each video, in the order wanted; what a file says of its video's number is replaced.

    Raises:
        MaskError: a file of a video is no list of tracks.
        OutputError: the file cannot be written.
    """
    with writing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("[")
        between = ""
        for number, record in records:
            for entry in _entries(record):
                file.write(between + json.dumps({**entry, "video_id": number}, separators=(",", ":")))
                between = ","
        file.write("]")


def _entries(path: Path) -> list[dict[str, object]]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise MaskError(f"cannot read {path} ({error}); segment its video again, without --resume") from error
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise MaskError(f"{path} is no list of tracks; segment its video again, without --resume")
    return content


def _plain(name: str) -> str:
    return name.casefold().replace("_", " ")
