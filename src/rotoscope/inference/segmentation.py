"""The result of a video: tracks as run lengths, and everything that can be made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import MaskError, OptionError
from rotoscope.files import refuse_frames, refuse_overwriting
from rotoscope.masks import davis, mots, youtube_vis
from rotoscope.masks.label_map import from_objects
from rotoscope.names import safe_name
from rotoscope.types import FrameResult, ObjectMask, Track, Verdict, VideoInfo

if TYPE_CHECKING:
    from rotoscope.inference.sinks import Sink

Format = Literal["davis", "ytvis", "mots"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which frame: 0-based index, seconds, and the stem of its picture file where it has one."""

    index: int
    timestamp: float
    name: str | None = None


@dataclass
class Segmentation:
    """What a system found in a video.

    Attributes:
        video: name and size.
        stamps: every frame that was answered, in order.
        tracks: the objects, in order of id; masks are run lengths at the video's own size.
        source: what was segmented, in words or as a path; nothing is written over it.
        categories: name to number of all categories that the system tells apart; {} where it names none.
    """

    video: VideoInfo
    stamps: list[Stamp] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    source: str | None = None
    categories: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def collect(
        cls,
        video: VideoInfo,
        results: Iterable[FrameResult],
        source: str | None = None,
        categories: Mapping[str, int] | None = None,
    ) -> Self:
        """Gather the results of a session."""
        gathered = cls(video, source=source, categories=categories or {})
        collector = TrackCollector()
        for result in results:
            gathered.stamps.append(Stamp(result.index, result.timestamp, result.name))
            collector.add(result)
        gathered.tracks = collector.tracks()
        return gathered

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.stamps)

    def results(self) -> Iterator[FrameResult]:
        """The result of every frame, in order."""
        for stamp in self.stamps:
            objects = tuple(
                ObjectMask(track.id, track.masks[stamp.index], track.score, track.label)
                for track in self.tracks
                if stamp.index in track.masks
            )
            yield FrameResult(stamp.index, stamp.timestamp, self.video.size, objects, stamp.name)

    def label_map(self, index: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """(H, W) ids of frame `index`, 0 background; uint16 where an id is above 255.

        Raises:
            OptionError: no such frame.
        """
        for result in self.results():
            if result.index == index:
                return from_objects(result.objects, result.size)
        raise OptionError(f"frame {index} is not among the {len(self)} frames of {self.video.name}")

    def save(
        self, place: str | Path, format: Format = "davis", categories: Mapping[str, int] | None = None
    ) -> list[Path]:
        """Write the masks.

        Args:
            place: a folder for "davis" (one palette PNG a frame); a file or folder for "ytvis" (.json) and "mots"
                (.txt).
            format: how.
            categories: label to the benchmark's number; without it the system's own numbers are taken, and where it
                names no category labels are numbered from 1 in order of the alphabet.

        Returns:
            The files written.

        Raises:
            OptionError: another format.
            OutputError: the place cannot be written to, or is the source.
        """
        if format == "davis":
            refuse_frames(Path(place), self.source)
            writer = davis.DavisWriter(Path(place))
            return [writer.write(result) for result in self.results()]
        if format not in ("ytvis", "mots"):
            raise OptionError(f"format {format!r} is not known; choose davis, ytvis or mots")
        path = track_file(Path(place), self.video.name, format)
        write_tracks(path, self.tracks, len(self), format, categories or self.categories or None)
        return [path]

    def overlay(self, source: Any, path: str | Path) -> Path:
        """Draw the objects over the video that they were found in; H.264 for .mp4.

        Args:
            source: the same video; see `rotoscope.open_video`.
            path: the video file to write.

        Raises:
            VideoError: the source has other frames than the ones segmented.
            OutputError: the file cannot be written.
        """
        from rotoscope.inference.sinks import OverlaySink

        return self._replay(source, OverlaySink(Path(path), self.video, bool(self.categories)), Path(path))

    def sheet(self, source: Any, path: str | Path) -> Path:
        """Draw a contact sheet PNG; arguments and errors as `overlay`."""
        from rotoscope.inference.sinks import SheetSink

        return self._replay(source, SheetSink(Path(path), self.video, bool(self.categories)), Path(path))

    def timeline(self, path: str | Path) -> Path:
        """Draw when each track is seen, and how large, as a PNG file.

        Raises:
            OutputError: the file cannot be written, is the source, or its name does not end in .png.
        """
        from rotoscope.render.timeline import Timeline

        refuse_overwriting(Path(path), self.source)
        title = " ".join(self.video.name.split())
        end = self.stamps[-1].timestamp if self.stamps else 0.0
        Timeline(self.tracks, [stamp.index for stamp in self.stamps], end, title).save(path)
        return Path(path)

    def cutout(self, source: Any, path: str | Path) -> Path:
        """Cut the objects out, with alpha: a folder of PNG, or a .webm or .mov video; otherwise as `overlay`."""
        from rotoscope.inference.sinks import CutoutSink, is_cutout_folder

        if is_cutout_folder(Path(path)):
            refuse_frames(Path(path), self.source)
        return self._replay(source, CutoutSink(Path(path), self.video), Path(path))

    def _replay(self, source: Any, sink: Sink, path: Path) -> Path:
        from rotoscope.video import open_video, read_ahead

        with open_video(source) as video:
            refuse_overwriting(path, video.source)
        with video, sink:
            if video.info.size != self.video.size:
                raise MaskError(
                    f"the source is {video.info.width}x{video.info.height}, the masks are of a video of "
                    f"{self.video.width}x{self.video.height}; give the video that was segmented"
                )
            results = self.results()
            count = 0
            for frame in read_ahead(video):
                result = next(results, None)
                if result is None:
                    raise MaskError(f"the source has more than the {len(self)} frames segmented; give the same video")
                sink.write(frame, result)
                count += 1
            if count != len(self):
                raise MaskError(f"the source has {count} frames, {len(self)} were segmented; give the same video")
        return path


@dataclass
class TrackCollector:
    """Gathers frame results into tracks; keeps run lengths only."""

    _tracks: dict[int, Track] = field(default_factory=dict)
    _sums: dict[int, float] = field(default_factory=dict)
    _verdicts: dict[int, Verdict] = field(default_factory=dict)

    def add(self, result: FrameResult) -> None:
        """Take the result of one frame."""
        for item in result.objects:
            track = self._tracks.setdefault(item.track_id, Track(item.track_id, item.label))
            track.masks[result.index] = item.mask
            if item.label is not None:
                track.label = item.label  # the latest word counts: votes grow with the video
            self._sums[item.track_id] = self._sums.get(item.track_id, 0.0) + item.score
        self._verdicts.update(result.verdicts)

    def tracks(self) -> list[Track]:
        """The tracks so far, in order of id, each with the system's verdict or else the mean score of its frames."""
        return [self._judged(self._tracks[number]) for number in sorted(self._tracks)]

    def _judged(self, track: Track) -> Track:
        verdict = self._verdicts.get(track.id)
        if verdict is None:
            return replace(track, score=self._sums[track.id] / len(track.masks))
        return replace(track, score=verdict.score, label=verdict.label or track.label)


def track_file(place: Path, name: str, format: Format) -> Path:
    """The file that holds all tracks of a video: `place` itself if it has the suffix, else a file in that folder."""
    suffix = ".json" if format == "ytvis" else ".txt"
    return place if place.suffix == suffix else place / f"{safe_name(name)}{suffix}"


def write_tracks(
    path: Path, tracks: Sequence[Track], frames: int, format: Format, categories: Mapping[str, int] | None = None
) -> None:
    """Write tracks as YouTube-VIS JSON or MOTS text."""
    labels = sorted({track.label or "object" for track in tracks})
    numbers = dict(categories) if categories is not None else {label: n for n, label in enumerate(labels, start=1)}
    named = [Track(track.id, track.label or "object", track.score, track.masks) for track in tracks]
    if format == "ytvis":
        youtube_vis.write_youtube_vis(path, youtube_vis.video_entries(1, named, frames, numbers))
    else:
        mots.write_mots(path, named, numbers)
