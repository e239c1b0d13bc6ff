"""Many videos: segmenting one, writing what was asked for, and knowing which are finished already."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from rotoscope.errors import RotoscopeError
from rotoscope.files import remove_left_over
from rotoscope.inference.instances import InstanceSink, join_results
from rotoscope.inference.markers import (
    files_of,
    is_finished,
    read_marker,
    remove_marker,
    remove_stale,
    state_of,
    write_marker,
)
from rotoscope.inference.model import Model, written
from rotoscope.inference.pipeline import Report
from rotoscope.inference.planning import Job, Outputs, marker_of, places_of, plan, work_of
from rotoscope.inference.prompting import read_prompts
from rotoscope.inference.sinks import CutoutSink, MaskSink, OverlaySink, SheetSink, Sink, SoftSink, TrackSink
from rotoscope.masks.proposal_cache import cache_of
from rotoscope.types import VideoInfo
from rotoscope.video import open_video

__all__ = ["Done", "Job", "Outputs", "finished", "join", "plan", "run"]

_OF_TRACKS = ("masks", "ytvis", "mots", "timeline")  # written by one sink where a system finds instances


@dataclass(frozen=True)
class Done:
    """A finished job: frames, seconds, and what was written."""

    frames: int
    seconds: float
    places: tuple[Path, ...]


def run(job: Job, model: Model, outputs: Outputs, report: Report | None = None) -> Done:
    """Segment one video and write everything asked for; the marker is written last.

    A system that works on the whole video keeps the parts that are finished in a folder of the results, and goes on
    from them after it was stopped.

    Raises:
        VideoError: the source cannot be read.
        OutputError: a result cannot be written.
        RotoscopeError: there is not enough memory.
    """
    start = time.monotonic()
    marker, places = marker_of(job, outputs), places_of(job, outputs)
    before, made_of = read_marker(marker), _made_of(job, model, outputs)  # before anything is opened
    try:
        names = _segment(job, model, outputs, report)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        raise RotoscopeError(f"out of memory with {job.source}; use a smaller --size or a shorter --clip") from error
    remove_stale(before, places, names)
    seconds = time.monotonic() - start
    write_marker(marker, made_of, len(names), files_of(places, names), seconds)
    if _keeps_work(model):
        _remove_work(work_of(job, outputs))
    return Done(len(names), seconds, tuple(places.values()))


def _segment(job: Job, model: Model, outputs: Outputs, report: Report | None) -> list[str]:
    """Write everything but the marker; the names of the frames."""
    places = places_of(job, outputs)
    soft = outputs.soft or (outputs.cutout is not None and hasattr(model.options, "soft"))
    chosen = model.with_options(soft=True) if soft else model
    if _keeps_work(model):
        chosen = chosen.with_options(work_folder=str(work_of(job, outputs)))
    with open_video(job.source, name=job.name) as video:
        prompts = [] if job.masks is None else read_prompts(job.masks, video)
        sinks = _sinks(places, outputs, video.info, model)
        remove_marker(marker_of(job, outputs))
        remove_left_over(tuple(places.values()))
        stream = chosen.stream(video, prompts, report, job.masks is not None and job.masks.both_ways)
        with closing(stream) as pairs, closing(written(pairs, sinks)) as results:
            return [result.name or f"{result.index:05d}" for result in results]


def _keeps_work(model: Model) -> bool:
    """Whether a system keeps finished parts of its work, and was not told where."""
    return getattr(model.options, "work_folder", None) == ""


def _remove_work(folder: Path) -> None:
    """Remove what a finished video no longer needs, and the folder if nothing else lies there."""
    with suppress(OSError):
        for path in folder.glob("*.npz"):
            path.unlink()
        folder.rmdir()


def finished(job: Job, model: Model, outputs: Outputs) -> bool:
    """Whether this video was done with this model, these options and outputs, and every result is still there."""
    return is_finished(marker_of(job, outputs), _made_of(job, model, outputs), places_of(job, outputs))


def remove_results(outputs: Outputs) -> None:
    """Remove the file of a whole run that an earlier one left, so that it never tells of other results than there are.

    Raises:
        OutputError: it cannot be removed.
    """
    if outputs.results is not None:
        remove_marker(outputs.results)


def join(jobs: Sequence[Job], outputs: Outputs, done: Collection[Job]) -> Path | None:
    """Write the results of a whole run in one file, from those of its videos; where, or None where none is wanted.

    Args:
        jobs: all videos, in order; they are numbered from 1, or as `outputs.numbers` says.
        outputs: what was written.
        done: the videos that are finished.

    Raises:
        RotoscopeError: the results of a video cannot be read, or the file cannot be written.
    """
    if outputs.results is None:
        return None
    records = []
    for place, job in enumerate(jobs, start=1):
        if job in done:
            number = place if outputs.numbers is None else outputs.numbers.videos[job.name]
            records.append((number, places_of(job, outputs)["ytvis"]))
    join_results(outputs.results, records)
    return outputs.results


def _sinks(places: dict[str, Path], outputs: Outputs, info: VideoInfo, model: Model) -> list[Sink]:
    sinks: list[Sink] = []
    if outputs.instances:
        categories = model.categories if outputs.numbers is None else outputs.numbers.of(model.categories)
        whole = {kind: place for kind, place in places.items() if kind in _OF_TRACKS}
        sinks.append(InstanceSink(whole, info, categories, outputs.most_tracks))
        places = {kind: place for kind, place in places.items() if kind not in _OF_TRACKS}
    for kind, place in places.items():
        if kind == "masks":
            sinks.append(MaskSink(place))
        elif kind == "ytvis":
            sinks.append(TrackSink(place, "ytvis"))
        elif kind == "mots":
            sinks.append(TrackSink(place, "mots"))
        elif kind == "overlay":
            sinks.append(OverlaySink(place, info, outputs.instances))
        elif kind == "sheet":
            sinks.append(SheetSink(place, info, outputs.instances))
        elif kind == "cutout":
            sinks.append(CutoutSink(place, info))
        else:
            sinks.append(SoftSink(place))
    return sinks


def _made_of(job: Job, model: Model, outputs: Outputs) -> dict[str, object]:
    """All that the results depend on; the files among it are told by names, sizes and times, and not opened."""
    given: dict[str, object] = {}
    if job.masks is not None:
        chosen = job.masks
        given = {"at": chosen.at, "both_ways": chosen.both_ways, "late": chosen.late}
        given |= state_of(chosen.path, "masks")
    if outputs.instances:
        given |= {"most_tracks": outputs.most_tracks, "categories": dict(model.categories)}
        if outputs.numbers is not None:
            given["categories"] = outputs.numbers.of(model.categories)
    proposals = getattr(model.options, "proposals", "none")
    if proposals not in ("none", "built-in"):
        given |= state_of(cache_of(Path(proposals), job.name), "proposals")
    return {
        **state_of(job.source, "source"),
        **given,
        "model": model.name,
        "weights": model.card.sha256,
        "type": str(model.dtype).removeprefix("torch."),
        "options": asdict(model.options),
        "outputs": {kind: os.path.realpath(place) for kind, place in places_of(job, outputs).items()},
    }


def _out_of_memory(error: Exception) -> bool:
    # torch has its own kind for devices, but tells of the CPU in words only.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
