"""Average precision and recall of whole tracks, the scores of YouTube-VIS and OVIS.

Paper: Yang et al., "Video Instance Segmentation", ICCV 2019. The definition is that of the benchmark's evaluator, a
relative of COCO's: tracks in place of masks, the IoU taken over all frames of a video together.
Differences from the evaluator, each undone by `official`: lists of another length than the video are refused, not cut;
two tracks without any pixel have an IoU of 0, not "not a number", which passes as a match; an annotation of id 0 can be
matched.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import DataError
from rotoscope.masks.overlap import of_track, shared_pixels
from rotoscope.masks.youtube_vis import AnnotatedTrack, ResultTrack, Video, VideoSet, check_size
from rotoscope.metrics.workers import Progress, score_all

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]
Size = Literal["all", "small", "medium", "large"]
Kind = Literal["match", "ignored", "wrong category", "false alarm"]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
CAPS = (1, 10, 100)
SIZES: Mapping[Size, tuple[float, float]] = {
    "all": (0, 1e10),
    "small": (0, 128**2),
    "medium": (128**2, 256**2),
    "large": (256**2, 1e10),
}
_NOTHING = -1.0  # there is nothing to measure
_SURELY = 1 - 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Precision and recall of one category, size and cap.

    Attributes:
        precision: (10, 101) at the ten thresholds and at recall 0, 0.01 ... 1.
        recall: (10,) reached in the end.
    """

    precision: Values
    recall: Values


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one result at an IoU of 0.5, all sizes.

    Attributes:
        video_id: of its video.
        where: its place in the results.
        category_id: what it says.
        score: its confidence.
        kind: match, ignored (it met a crowd), wrong category (an annotation of another one lies there), false alarm.
        annotation_id: what it met, None for a false alarm.
        iou: with that; else the largest with any.
        frame_ious: with that, for each frame that either has.
    """

    video_id: int
    where: str
    category_id: int
    score: float
    kind: Kind
    annotation_id: int | None
    iou: float
    frame_ious: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class VideoCounts:
    """What was found in one video, at an IoU of 0.5.

    Attributes:
        video: which.
        annotated: tracks to find.
        results: tracks given, of categories of the set.
        missed: ids of the annotations that none of the results met.
        found: what became of each result.
    """

    video: Video
    annotated: int
    results: int
    missed: tuple[int, ...]
    found: tuple[Found, ...]

    def count(self, kind: Kind) -> int:
        """Number of results of a kind."""
        return sum(one.kind == kind for one in self.found)


@dataclass(frozen=True, slots=True, eq=False)
class TrackApScores:
    """Scores of a set of videos; -1 where there is nothing to measure.

    Attributes:
        categories: id to name.
        curves: (category id, size, cap) to its curve; absent without annotations.
        annotated: category id to number of tracks to find.
        videos: what was found in each.
        unknown: results of categories that the set does not have, which count nowhere.
        empty: ids of annotations without a single pixel, which nothing can meet.
    """

    categories: Mapping[int, str]
    curves: Mapping[tuple[int, Size, int], Curve]
    annotated: Mapping[int, int]
    videos: tuple[VideoCounts, ...]
    unknown: int
    empty: tuple[int, ...] = ()

    def ap(self, size: Size = "all", threshold: float | None = None, category: int | None = None) -> float:
        """Average precision at 100 tracks a video and category: the mean over thresholds and categories, or of one."""
        rows = slice(None) if threshold is None else np.flatnonzero(np.isclose(THRESHOLDS, threshold))
        return _mean([curve.precision[rows] for curve in self._of(size, CAPS[-1], category)])

    def ar(self, size: Size = "all", cap: int = 100, category: int | None = None) -> float:
        """Average recall at `cap` tracks a video and category: the mean over thresholds and categories, or of one."""
        return _mean([curve.recall for curve in self._of(size, cap, category)])

    def summary(self) -> dict[str, float]:
        """The benchmark's twelve figures, in its order."""
        figures = {"AP": self.ap(), "AP50": self.ap(threshold=0.5), "AP75": self.ap(threshold=0.75)}
        sizes: tuple[Size, ...] = ("small", "medium", "large")
        figures |= {f"AP_{size}": self.ap(size) for size in sizes}
        figures |= {f"AR{cap}": self.ar(cap=cap) for cap in CAPS}
        return figures | {f"AR_{size}": self.ar(size) for size in sizes}

    def _of(self, size: Size, cap: int, category: int | None) -> list[Curve]:
        chosen = self.categories if category is None else (category,)
        return [self.curves[one, size, cap] for one in chosen if (one, size, cap) in self.curves]


def score_tracks(
    truth: VideoSet,
    results: Iterable[ResultTrack],
    *,
    official: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> TrackApScores:
    """Score results against the annotations of a set of videos.

    Args:
        truth: with annotations.
        results: in any order; on equal scores the earlier goes first.
        official: give the evaluator's exact numbers, see above.
        workers: see `workers.score_all`.
        progress: called with the name of each video that is done.

    Raises:
        DataError: a set without annotations, a result of a video that the set does not list, or one with another number
            of frames than its video.
        MaskError: masks of another size than the video's.
    """
    if truth.tracks is None:
        raise DataError("the annotation file has no annotations; only the benchmark's server can score this split")
    by_video: dict[int, list[ResultTrack]] = {number: [] for number in truth.videos}
    unknown = 0
    for result in results:
        if result.video_id not in by_video:
            raise DataError(f"{result.where} is of video {result.video_id}, which the annotations do not list")
        known = result.category_id in truth.categories
        unknown += not known
        if known:
            by_video[result.video_id].append(result)
    jobs = [
        _Job(truth.videos[number], tuple(truth.tracks.get(number, ())), tuple(by_video[number]), official)
        for number in sorted(truth.videos)
    ]
    for job in jobs:
        _check(job)
    names = [job.video.name for job in jobs]
    scored = score_all(_score_video, jobs, names, workers, progress)
    empty = tuple(track.id for tracks in truth.tracks.values() for track in tracks if not _area(track.masks))
    annotated = {
        category: sum(track.category_id == category and not track.crowd for job in jobs for track in job.truths)
        for category in sorted(truth.categories)
    }
    curves = _curves([part for one in scored for part in one.parts], sorted(truth.categories))
    return TrackApScores(truth.categories, curves, annotated, tuple(one.counts for one in scored), unknown, empty)


def track_size(areas: Iterable[float]) -> float:
    """Size of a track: the mean of its areas that are not 0; 0 if there is none."""
    filled = [area for area in areas if area]
    return sum(filled) / len(filled) if filled else 0.0


def track_ious(
    results: Sequence[ResultTrack], truths: Sequence[AnnotatedTrack], pixels: int, official: bool = False
) -> Values:
    """IoU over all frames of every result with every annotation: (D, G); 0, or officially NaN, where neither has any.

    Args:
        results: of one video.
        truths: of the same.
        pixels: of one frame.
        official: cut the longer list of frames to the shorter.
    """
    lengths = {one.frame_count for one in results} | {one.frame_count for one in truths}
    if official and len(lengths) > 1:
        return _cut_ious(results, truths, pixels)
    lines, others = ([of_track(track.masks, pixels) for track in side] for side in (results, truths))
    shared = shared_pixels(lines, others)
    joint = np.array([[a.area + b.area for b in others] for a in lines], np.int64).reshape(shared.shape) - shared
    found = np.full(shared.shape, math.nan if official else 0.0)
    np.divide(shared, joint, out=found, where=joint > 0)
    absent, others_absent = (np.array([not one.masks for one in side], np.bool_) for side in (results, truths))
    found[absent[:, None] & others_absent] = 0  # null on every frame: there the evaluator ends
    return found


@dataclass(frozen=True, slots=True)
class _Job:
    """One video; results in the order of the file."""

    video: Video
    truths: tuple[AnnotatedTrack, ...]
    results: tuple[ResultTrack, ...]
    official: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The matches of one video, category and size: results by falling score."""

    category: int
    size: Size
    scores: Values  # (D,)
    matched: Flags  # (10, D)
    ignored: Flags  # (10, D)
    counted: int  # annotations that count


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    parts: list[_Part]
    counts: VideoCounts


def _check(job: _Job) -> None:
    for result in job.results:
        check_size(result.masks, job.video, result.where)
        if not job.official and result.frame_count != job.video.frame_count:
            raise DataError(
                f"{result.where} has {result.frame_count} frames, video {job.video.id} ({job.video.name}) has "
                f"{job.video.frame_count}; write one entry a frame, null without the object"
            )
    for track in job.truths:
        check_size(track.masks, job.video, f"annotation {track.id}")
        if not job.official and track.frame_count != job.video.frame_count:
            raise DataError(
                f"annotation {track.id} has {track.frame_count} frames, video {job.video.id} ({job.video.name}) has "
                f"{job.video.frame_count}; annotate each frame, with null where the object is absent"
            )


def _score_video(job: _Job) -> _Scored:
    ranked = sorted(job.results, key=lambda result: -result.score)  # stable
    overlap = track_ious(ranked, job.truths, job.video.width * job.video.height, job.official)
    parts: list[_Part] = []
    met = np.full(len(ranked), -1)  # place of the annotation that each result met, at 0.5, all sizes
    for category in sorted({one.category_id for one in ranked} | {one.category_id for one in job.truths}):
        rows = np.array([i for i, one in enumerate(ranked) if one.category_id == category][: CAPS[-1]], np.intp)
        columns = np.array([j for j, one in enumerate(job.truths) if one.category_id == category], np.intp)
        results = [ranked[row] for row in rows]
        truths = [job.truths[column] for column in columns]
        table = overlap[np.ix_(rows, columns)]
        areas = [track_size(mask.area for mask in result.masks.values()) for result in results]
        for size in SIZES:
            part, chosen = _match(results, np.array(areas), truths, table, size, job.official)
            parts.append(part)
            if size == "all":
                met[rows] = np.where(chosen[0] >= 0, columns[chosen[0]] if columns.size else -1, -1)
    return _Scored(parts, _counts(job, ranked, overlap, met))


def _match(
    results: Sequence[ResultTrack],
    areas: Values,
    truths: Sequence[AnnotatedTrack],
    overlap: Values,
    size: Size,
    official: bool,
) -> tuple[_Part, NDArray[np.intp]]:
    """Give each result an annotation at each threshold; see `_choose`.

    Returns:
        The part, and (10, D) places in `truths`, -1 for none.
    """
    low, high = SIZES[size]
    outside = np.array([one.crowd or not low <= track_size(one.areas) <= high for one in truths], np.bool_)
    order = np.argsort(outside, kind="stable")  # those that count first
    ignorable, crowd = outside[order].tolist(), [truths[place].crowd for place in order]
    table = overlap[:, order]
    shape = (len(THRESHOLDS), len(results))
    chosen = np.full(shape, -1, np.intp)
    # Only these can match at all; a comparison with NaN, which passes officially, is none of "less than".
    hopeful = [row for row in range(len(results)) if not (table[row] < THRESHOLDS[0] * (1 - 1e-9)).all()]
    for level, threshold in enumerate(THRESHOLDS):
        taken = [False] * len(truths)
        for row in hopeful:
            place = _choose(table[row].tolist(), min(float(threshold), _SURELY), ignorable, crowd, taken)
            if place >= 0:
                taken[place] = True
                chosen[level, row] = order[place]
    matched = chosen >= 0
    met_ignored = matched & outside[chosen] if len(truths) else np.zeros(shape, np.bool_)
    if official:  # an id of 0 is read as "no match"
        matched &= ~np.isin(chosen, [place for place, one in enumerate(truths) if one.id == 0])
    ignored = met_ignored | (~matched & ((areas < low) | (areas > high)))
    scores = np.array([result.score for result in results], np.float64)
    category = results[0].category_id if results else truths[0].category_id
    return _Part(category, size, scores, matched, ignored, int(np.count_nonzero(~outside))), chosen


def _choose(
    row: Sequence[float], best: float, ignorable: Sequence[bool], crowd: Sequence[bool], taken: Sequence[bool]
) -> int:
    """Choose the free annotation of largest IoU, the later one of equals; those that count go before the ignored."""
    place = -1
    for column, iou in enumerate(row):
        if taken[column] and not crowd[column]:
            continue
        if place >= 0 and not ignorable[place] and ignorable[column]:
            break
        if not iou < best:
            best, place = iou, column
    return place


def _counts(job: _Job, ranked: Sequence[ResultTrack], overlap: Values, met: NDArray[np.intp]) -> VideoCounts:
    """Say what became of each result."""
    met_now = set(met.tolist())
    missed = tuple(one.id for place, one in enumerate(job.truths) if not one.crowd and place not in met_now)
    found = []
    for row, result in enumerate(ranked):
        place = int(met[row])
        kind: Kind
        if place >= 0:
            kind = "ignored" if job.truths[place].crowd else "match"
        elif job.truths:
            place = int(np.nan_to_num(overlap[row], nan=-1.0).argmax())
            other = job.truths[place].category_id != result.category_id
            kind = "wrong category" if other and overlap[row, place] >= THRESHOLDS[0] else "false alarm"
        else:
            kind = "false alarm"
        found.append(_found(result, job, place, kind, overlap[row]))
    annotated = sum(not track.crowd for track in job.truths)
    return VideoCounts(job.video, annotated, len(ranked), missed, tuple(found))


def _found(result: ResultTrack, job: _Job, place: int, kind: Kind, row: Values) -> Found:
    truth = job.truths[place] if place >= 0 else None
    met = truth if kind != "false alarm" else None
    frames = {} if met is None else _frame_ious(result, met, job.video.width * job.video.height)
    iou = 0.0 if truth is None else float(row[place])
    number = None if met is None else met.id
    return Found(result.video_id, result.where, result.category_id, result.score, kind, number, iou, frames)


def _frame_ious(result: ResultTrack, truth: AnnotatedTrack, pixels: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for index in sorted(result.masks.keys() | truth.masks.keys()):
        mine = of_track({0: result.masks[index]} if index in result.masks else {}, pixels)
        theirs = of_track({0: truth.masks[index]} if index in truth.masks else {}, pixels)
        shared = int(shared_pixels([mine], [theirs])[0, 0])
        joint = mine.area + theirs.area - shared
        found[index] = shared / joint if joint else 0.0
    return found


def _curves(parts: Sequence[_Part], categories: Sequence[int]) -> dict[tuple[int, Size, int], Curve]:
    """Join the videos of each category and size."""
    curves: dict[tuple[int, Size, int], Curve] = {}
    groups: dict[tuple[int, Size], list[_Part]] = {}
    for part in parts:
        groups.setdefault((part.category, part.size), []).append(part)
    for category in categories:
        for size in SIZES:
            chosen = groups.get((category, size), [])
            counted = sum(part.counted for part in chosen)
            if counted:
                for cap in CAPS:
                    curves[category, size, cap] = _curve(chosen, counted, cap)
    return curves


def _curve(parts: Sequence[_Part], counted: int, cap: int) -> Curve:
    order = np.argsort(-np.concatenate([part.scores[:cap] for part in parts]), kind="stable")
    matched = np.concatenate([part.matched[:, :cap] for part in parts], axis=1)[:, order]
    ignored = np.concatenate([part.ignored[:, :cap] for part in parts], axis=1)[:, order]
    precision, recall = np.zeros((len(THRESHOLDS), len(RECALLS))), np.zeros(len(THRESHOLDS))
    for level in range(len(THRESHOLDS)):
        hits = matched[level][~ignored[level]].cumsum()
        if not hits.size:
            continue
        recalls = hits / counted
        envelope = np.maximum.accumulate((hits / np.arange(1, hits.size + 1))[::-1])[::-1]
        places = np.searchsorted(recalls, RECALLS, side="left")
        reached = places < hits.size
        precision[level, reached] = envelope[places[reached]]
        recall[level] = recalls[-1]
    return Curve(precision, recall)


def _cut_ious(results: Sequence[ResultTrack], truths: Sequence[AnnotatedTrack], pixels: int) -> Values:
    """The evaluator's IoU where lists differ in length: frames past the shorter one do not count."""
    found = np.full((len(results), len(truths)), math.nan)
    for row, result in enumerate(results):
        for column, truth in enumerate(truths):
            length = min(result.frame_count, truth.frame_count)
            pair = [
                of_track({index: mask for index, mask in track.masks.items() if index < length}, pixels)
                for track in (result, truth)
            ]
            shared = int(shared_pixels(pair[:1], pair[1:])[0, 0])
            joint = pair[0].area + pair[1].area - shared
            if joint:
                found[row, column] = shared / joint
    return found


def _area(masks: Mapping[int, object]) -> int:
    return sum(getattr(mask, "area", 0) for mask in masks.values())


def _mean(parts: Sequence[Values]) -> float:
    return float(np.mean(np.concatenate([part.ravel() for part in parts]))) if parts else _NOTHING
