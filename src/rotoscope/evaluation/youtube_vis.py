"""Track AP, and HOTA and its kin, on YouTube-VIS and OVIS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rotoscope.errors import DataError
from rotoscope.evaluation.remarks import counted
from rotoscope.evaluation.report import Cell, Report, Request, Table
from rotoscope.evaluation.track_files import read_annotations, read_predictions
from rotoscope.evaluation.tracking import figures_json, hota_over_alpha, summary_rows, toolkit_rows
from rotoscope.figures import Bars, Panel, Panels
from rotoscope.masks.youtube_vis import ResultTrack, VideoSet
from rotoscope.metrics.track_ap import RECALLS, THRESHOLDS, Kind, TrackApScores, VideoCounts, score_tracks
from rotoscope.metrics.tracking import averaged
from rotoscope.metrics.video_tracking import VideoTrackingScores, score_tracking

_KINDS: tuple[Kind, ...] = ("match", "wrong category", "false alarm")
_SHOWN = 30  # videos in the table; the rest stand in JSON


def evaluate_youtube_vis(request: Request) -> Report:
    """Score YouTube-VIS; see `metrics.track_ap`."""
    return _evaluate(request, "youtube-vis", "YouTube-VIS")


def evaluate_ovis(request: Request) -> Report:
    """Score OVIS; see `metrics.track_ap`."""
    return _evaluate(request, "ovis", "OVIS")


def _evaluate(request: Request, benchmark: str, title: str) -> Report:
    truth = read_annotations(request.annotations)
    if truth.tracks is None:
        raise DataError(
            f"{request.annotations} has no annotations: the split is scored by the benchmark's server alone; write its "
            f"submission with: rotoscope export {benchmark} --videos {request.annotations} --predictions ... --output "
            "FILE.zip"
        )
    results = read_predictions(request.predictions, truth, request.missing)
    truth, results = _chosen(request, truth, results)
    unknown = [one for one in results if one.category_id not in truth.categories]
    if unknown and not request.official:
        raise DataError(
            f"{unknown[0].where} has category {unknown[0].category_id}, the annotations have "
            f"{', '.join(f'{number} ({name})' for number, name in truth.categories.items())}; "
            f"{len(unknown)} of {len(results)} results are such (--official passes them over)"
        )
    total = 2 * len(truth.videos)
    scores = score_tracks(
        truth,
        results,
        official=request.official,
        workers=request.workers,
        progress=lambda name: request.progress(name, total),
    )
    tracking = score_tracking(
        truth,
        results,
        minimum_score=request.minimum_score,
        workers=request.workers,
        progress=lambda name: request.progress(name, total),
    )
    tables = _tables(title, truth, scores, tracking)
    return Report(
        benchmark,
        tables,
        list(_remarks(request, truth, results, scores)),
        _details(truth, scores, tracking),
        _files(tables[0], truth, tracking),
        _plots(title, truth, scores, tracking),
    )


def _chosen(request: Request, truth: VideoSet, results: list[ResultTrack]) -> tuple[VideoSet, list[ResultTrack]]:
    """Keep the videos that were asked for."""
    if not request.sequences:
        return truth, results
    names = {video.name: number for number, video in truth.videos.items()}
    lost = [name for name in request.sequences if name not in names]
    if lost:
        raise DataError(f"{request.annotations} has no video {', '.join(lost)}")
    kept = {names[name] for name in request.sequences}
    videos = {number: video for number, video in truth.videos.items() if number in kept}
    return replace(truth, videos=videos), [one for one in results if one.video_id in kept]


def _tables(title: str, truth: VideoSet, scores: TrackApScores, tracking: VideoTrackingScores) -> list[Table]:
    categories: list[list[Cell]] = []
    for number, name in truth.categories.items():
        if scores.annotated[number] == 0 and not tracking.classes[name].counts.tracks:
            continue
        ap = [scores.ap(category=number), *(scores.ap(threshold=level, category=number) for level in (0.5, 0.75))]
        hota = tracking.classes[name].hota
        figures = [*ap, *(scores.ar(cap=cap, category=number) for cap in (1, 10)), float(hota.hota.mean())]
        categories.append([name, scores.annotated[number], *(None if value < 0 else value for value in figures)])
    whole = scores.summary()
    average = averaged(tracking.class_average())["HOTA"]
    last: list[Cell] = ["all", sum(scores.annotated.values())]
    last += [None if (value := whole[key]) < 0 else value for key in ("AP", "AP50", "AP75", "AR1", "AR10")]
    columns = ("category", "tracks", "AP", "AP50", "AP75", "AR1", "AR10", "HOTA")
    sizes = [
        [size, *(_known(whole[f"{kind}_{size}"]) for kind in ("AP", "AR"))] for size in ("small", "medium", "large")
    ]
    joined = [("class average", averaged(tracking.class_average()))]
    joined.append(("detection average", averaged(tracking.detection_average().figures())))
    names = ("HOTA", "DetA", "AssA", "LocA", "MOTA", "sMOTA", "IDF1", "IDSW")
    return [
        Table(f"{title}: track AP", columns, categories, [[*last, average]]),
        Table("by size of the track", ("size", "AP", "AR"), sizes),
        Table("tracking", ("joined by", *names), [[label, *(part[name] for name in names)] for label, part in joined]),
        _video_table(scores.videos),
    ]


def _video_table(videos: Sequence[VideoCounts]) -> Table:
    worst = sorted(videos, key=lambda one: -len(one.missed) - one.count("false alarm"))[:_SHOWN]
    shown = [one for one in videos if one in worst]
    rows: list[list[Cell]] = [
        [one.video.name, one.annotated, one.results, len(one.missed), *(one.count(kind) for kind in _KINDS)]
        for one in shown
    ]
    note = "" if len(shown) == len(videos) else f", the {_SHOWN} of {len(videos)} with most misses and false alarms"
    columns = ("video", "tracks", "results", "missed", "matched", "wrong class", "false")
    return Table(f"videos at an IoU of 0.5{note}", columns, rows)


def _known(value: float) -> float | None:
    return None if value < 0 else value


def _details(truth: VideoSet, scores: TrackApScores, tracking: VideoTrackingScores) -> dict[str, object]:
    return {
        "protocol": {"results": "100 a video and category at most", "thresholds": THRESHOLDS.tolist()},
        "global": scores.summary(),
        "categories": [
            {
                "id": number,
                "category": name,
                "tracks": scores.annotated[number],
                "AP": scores.ap(category=number),
                "AP50": scores.ap(threshold=0.5, category=number),
                "AP75": scores.ap(threshold=0.75, category=number),
                "AR1": scores.ar(cap=1, category=number),
                "AR10": scores.ar(cap=10, category=number),
                "tracking": figures_json(tracking.classes[name].figures()),
            }
            for number, name in truth.categories.items()
        ],
        "tracking": {
            "class_average": figures_json(tracking.class_average()),
            "detection_average": figures_json(tracking.detection_average().figures()),
        },
        "videos": [_video_json(one) for one in scores.videos],
    }


def _video_json(one: VideoCounts) -> dict[str, object]:
    return {
        "id": one.video.id,
        "video": one.video.name,
        "annotated": one.annotated,
        "missed": list(one.missed),
        "results": [
            {
                "result": found.where,
                "category_id": found.category_id,
                "score": found.score,
                "kind": found.kind,
                "annotation_id": found.annotation_id,
                "iou": found.iou,
                "iou_by_frame": dict(found.frame_ious),
            }
            for found in one.found
        ],
    }


def _files(table: Table, truth: VideoSet, tracking: VideoTrackingScores) -> dict[str, Sequence[Sequence[Cell]]]:
    """The tracking toolkit's detailed tables, and the one of AP, whose evaluator writes no file."""
    files: dict[str, Sequence[Sequence[Cell]]] = {"track_ap.csv": [table.columns, *table.rows, *table.totals]}
    for name, whole in tracking.classes.items():
        parts = [(video.name, tracking.videos[number][name].figures()) for number, video in truth.videos.items()]
        stem = re.sub(r"[^\w. -]", "-", name)[:80]  # a name for a file
        files[f"{stem}_detailed.csv"] = toolkit_rows([*parts, ("COMBINED", whole.figures())])
        files[f"{stem}_summary.txt"] = summary_rows(whole.figures())
    return files


def _plots(
    title: str, truth: VideoSet, scores: TrackApScores, tracking: VideoTrackingScores
) -> dict[str, Bars | Panels]:
    known = [number for number in truth.categories if scores.annotated[number]]
    labels = [truth.categories[number] for number in known]
    whole = scores.summary()
    bars = Bars(
        f"{title}, by category",
        labels,
        {
            "AP": [scores.ap(category=number) for number in known],
            "AR10": [scores.ar(cap=10, category=n) for n in known],
        },
        {name: whole[name] for name in ("AP", "AR10") if whole[name] >= 0},
    )
    curves = [scores.curves[number, "all", 100] for number in known]
    lines = {}
    for level, threshold in enumerate(THRESHOLDS):
        if round(100 * threshold) in (50, 75, 90) and curves:
            mean = sum(curve.precision[level] for curve in curves) / len(curves)
            lines[f"IoU {threshold:.2f}"] = (RECALLS, mean)
    recall = Panels(title, [Panel("precision over recall, mean of the categories", lines, "recall", "precision")])
    joined = {"all detections": tracking.detection_average().hota}
    return {"categories": bars, "precision-recall": recall, "hota-over-alpha": hota_over_alpha(joined)}


def _remarks(request: Request, truth: VideoSet, results: Sequence[ResultTrack], scores: TrackApScores) -> Iterator[str]:
    frames = sum(video.frame_count for video in truth.videos.values())
    what = f"{counted(len(results), 'result')} on {counted(len(truth.videos), 'video')}, {counted(frames, 'frame')}"
    yield f"{what}; AP takes at most 100 a video and category"
    silent = len(truth.videos.keys() - {one.video_id for one in results})
    if silent:
        yield f"{counted(silent, 'video')} without any result"
    if scores.unknown:
        yield f"{counted(scores.unknown, 'result')} of categories that the annotations do not list were passed over"
    if scores.empty:
        yield f"annotations without a pixel, which nothing can match: {', '.join(map(str, scores.empty))}"
    if request.minimum_score is not None:
        yield f"HOTA and its kin count results of score {request.minimum_score:g} or more; AP counts all"
    else:
        yield "HOTA and its kin count every result, however low its score; --minimum-score sets a bound"
    unmeasured = [name for number, name in truth.categories.items() if not scores.annotated[number]]
    if unmeasured:
        yield f"categories without annotations do not count in AP: {', '.join(unmeasured)}"
