"""HOTA, CLEAR and identity on YouTube-VIS files, class by class: what the tracking toolkit makes of such data.

Masks of a frame may overlap, and every result counts whatever its score, so that a threshold belongs before. These are
no scores of the benchmark, whose AP stands in `track_ap.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from rotoscope.errors import DataError
from rotoscope.masks.overlap import ious, of_mask
from rotoscope.masks.youtube_vis import AnnotatedTrack, ResultTrack, Video, VideoSet, check_size
from rotoscope.metrics.tracking import Figures, SequenceTracks, mean_of_classes, numbered
from rotoscope.metrics.tracking_scores import TrackingScores
from rotoscope.metrics.workers import Progress, score_all


@dataclass(frozen=True, slots=True, eq=False)
class VideoTrackingScores:
    """Scores of a set of videos.

    Attributes:
        videos: id to class name to scores.
        classes: class name to scores over all videos.
    """

    videos: Mapping[int, Mapping[str, TrackingScores]]
    classes: Mapping[str, TrackingScores]

    def class_average(self) -> Figures:
        """The mean over classes of every score, classes without any object or detection included; counts add up."""
        return mean_of_classes([scores.figures() for scores in self.classes.values()])

    def detection_average(self) -> TrackingScores:
        """Classes joined as if they were videos: every detection weighs the same."""
        return TrackingScores.combined(list(self.classes.values()))


def score_tracking(
    truth: VideoSet,
    results: Iterable[ResultTrack],
    *,
    minimum_score: float | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> VideoTrackingScores:
    """Score results against the annotations of a set of videos.

    Args:
        truth: with annotations.
        results: those of categories that the set does not have are passed over.
        minimum_score: results of a lower score do not count; all do without it.
        workers: see `workers.score_all`.
        progress: called with the name of each video that is done.

    Raises:
        DataError: a set without annotations, or a result of a video that the set does not list.
        MaskError: masks of another size than the video's.
    """
    if truth.tracks is None:
        raise DataError("the annotation file has no annotations; only the benchmark's server can score this split")
    by_video: dict[int, list[ResultTrack]] = {number: [] for number in truth.videos}
    for result in results:
        if result.video_id not in by_video:
            raise DataError(f"{result.where} is of video {result.video_id}, which the annotations do not list")
        check_size(result.masks, truth.videos[result.video_id], result.where)
        if minimum_score is None or result.score >= minimum_score:
            by_video[result.video_id].append(result)
    jobs = [
        _Job(video, truth.categories, tuple(truth.tracks.get(number, ())), tuple(by_video[number]))
        for number, video in truth.videos.items()
    ]
    scored = score_all(_score_video, jobs, [job.video.name for job in jobs], workers, progress)
    classes = {name: TrackingScores.combined([one[name] for one in scored]) for name in truth.categories.values()}
    return VideoTrackingScores(dict(zip(truth.videos, scored, strict=True)), classes)


@dataclass(frozen=True, slots=True)
class _Job:
    video: Video
    categories: Mapping[int, str]
    truths: tuple[AnnotatedTrack, ...]
    results: tuple[ResultTrack, ...]


def _score_video(job: _Job) -> dict[str, TrackingScores]:
    return {name: TrackingScores.of(_sequence(job, category)) for category, name in job.categories.items()}


def _sequence(job: _Job, category: int) -> SequenceTracks:
    """Lay out one class; a track's number is its place in the file."""
    truths = [one for one in job.truths if one.category_id == category]
    results = [one for one in job.results if one.category_id == category]
    frames = []
    for index in range(job.video.frame_count):
        ids = [place for place, one in enumerate(truths) if index in one.masks]
        other_ids = [place for place, one in enumerate(results) if index in one.masks]
        lines = [of_mask(truths[place].masks[index]) for place in ids]
        other_lines = [of_mask(results[place].masks[index]) for place in other_ids]
        similarity = ious(lines, other_lines) if ids and other_ids else np.zeros((len(ids), len(other_ids)))
        frames.append((ids, other_ids, similarity))
    return numbered(frames)
