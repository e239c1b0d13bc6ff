"""Which videos there are, where the results of each go, and that these places can be written without harm."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from rotoscope.errors import OptionError, OutputError, VideoError
from rotoscope.inference.instances import Numbers
from rotoscope.inference.prompting import GivenMasks, masks_of
from rotoscope.inference.segmentation import Format
from rotoscope.inference.sinks import is_cutout_folder
from rotoscope.names import alike, name_of
from rotoscope.video import VideoWriter, find_videos

_MARKER = ".done.json"
_SUFFIXES: Mapping[Format, str] = {"davis": "", "ytvis": ".json", "mots": ".txt"}


@dataclass(frozen=True)
class Outputs:
    """What is written of every video.

    Attributes:
        folder: where results go.
        formats: of the masks.
        overlay: the overlay video's own place, for a single source.
        sheet: the contact sheet's own place, for a single source.
        cutout: where cut-outs go, for a single source.
        soft: write probabilities too.
        pictures: write overlay video and contact sheet.
        instances: of a system that finds instances: names are drawn, a timeline is written, and where there are
            YouTube-VIS files, they are joined to one of all videos.
        most_tracks: only so many best tracks of each video are written, of a system that finds instances.
        numbers: the set whose numbers its videos and categories have.
    """

    folder: Path
    formats: tuple[Format, ...] = ("davis",)
    overlay: Path | None = None
    sheet: Path | None = None
    cutout: Path | None = None
    soft: bool = False
    pictures: bool = True
    instances: bool = False
    most_tracks: int | None = None
    numbers: Numbers | None = None

    @property
    def results(self) -> Path | None:
        """The file that joins the results of all videos, where there is one."""
        return self.folder / "results.json" if self.instances and "ytvis" in self.formats else None

    def single(self) -> dict[str, Path]:
        """The places that can hold the result of one video only, by option."""
        places = {"overlay": self.overlay, "sheet": self.sheet, "cutout": self.cutout}
        return {option: place for option, place in places.items() if place is not None}


@dataclass(frozen=True)
class Job:
    """One video: its path, the name of its results, and the masks that it is to be followed from."""

    source: Path
    name: str
    masks: GivenMasks | None = None


def plan(
    sources: Sequence[Path], outputs: Outputs, masks: GivenMasks | None = None, reserved: Collection[str] = ()
) -> list[Job]:
    """One job a video; folders of videos are opened, in the order given.

    Names are made safe; those that some file system takes for one, by case too, are numbered.

    A source that is missing or holds nothing becomes a job too, so that the others are done before it fails.

    Args:
        sources: videos, or folders of them.
        outputs: what is to be written.
        masks: the objects to follow; of several videos, a place that holds masks for each by its name.
        reserved: names that no video may have.

    Raises:
        OptionError: one file named for several videos, or a name that cannot be what its option says.
        OutputError: results cannot be written, or would be written over a source or over each other.
        MaskError: there are no masks for a video.
    """
    _check_outputs(outputs)
    videos = [path for source in sources for path in _videos(source, outputs.folder)]
    given: dict[tuple[Path, str], Path] = {}
    for path in videos:
        given.setdefault((_real(path), name_of(path)), path)  # what is given twice is done once
    if len(given) > 1:
        for option in outputs.single():
            raise OptionError(f"--{option} names one file, but there are {len(given)} videos; leave it out")
    jobs: list[Job] = []
    taken = {alike(place) for place in _written(None, outputs)}
    for (_, stem), path in given.items():
        names = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
        free = (name for name in names if name not in reserved)
        places = (
            (job, {alike(place) for place in _written(job, outputs)}) for job in (Job(path, name) for name in free)
        )
        job, written = next((job, written) for job, written in places if not taken & written)
        jobs.append(job)
        taken |= written
    if masks is not None:
        jobs = [
            replace(job, masks=replace(masks, path=masks_of(masks.path, job.source, len(jobs) == 1))) for job in jobs
        ]
    _refuse_overwriting(jobs, outputs)
    return jobs


def places_of(job: Job, outputs: Outputs) -> dict[str, Path]:
    """What is written where, by kind; the marker not among them."""
    folder, name = outputs.folder, job.name
    places = {
        "masks" if format == "davis" else format: folder / f"{name}{_SUFFIXES[format]}" for format in outputs.formats
    }
    if outputs.pictures or outputs.overlay is not None:
        places["overlay"] = outputs.overlay or folder / f"{name}.overlay.mp4"
    if outputs.pictures or outputs.sheet is not None:
        places["sheet"] = outputs.sheet or folder / f"{name}.sheet.png"
    if outputs.instances and outputs.pictures:
        places["timeline"] = folder / f"{name}.timeline.png"
    if outputs.cutout is not None:
        places["cutout"] = outputs.cutout
    if outputs.soft:
        places["soft"] = folder / f"{name}.soft"
    return places


def marker_of(job: Job, outputs: Outputs) -> Path:
    """The file that says that a video is finished."""
    return outputs.folder / f"{job.name}{_MARKER}"


def work_of(job: Job, outputs: Outputs) -> Path:
    """The folder of unfinished work that a system keeps to go on from; it is removed when the video is finished."""
    return outputs.folder / f".{job.name}.work"


def _videos(source: Path, results: Path) -> list[Path]:
    """The videos in a folder, without results of ours; anything else is taken for one video."""
    try:
        found = find_videos(source) if source.is_dir() else []
    except VideoError:
        found = []
    if not found or found == [source]:
        return [source]
    if _real(source) == _real(results):
        raise OutputError(
            f"results would lie among the videos of {source} and be taken for videos the next time; "
            f"choose another --output"
        )
    kept = [path for path in found if not (path.is_dir() and (_real(path) == _real(results) or _has_marker(path)))]
    return kept or [source]


def _has_marker(folder: Path) -> bool:
    return any(path.name.endswith(_MARKER) for path in folder.iterdir())


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike `resolve` it takes links that lead in a circle


def _written(job: Job | None, outputs: Outputs) -> dict[Path, str]:
    """Everything that is written of a video, or without one of the whole run, with its kind."""
    if job is None:
        return {} if outputs.results is None else {outputs.results: "results"}
    return {place: kind for kind, place in places_of(job, outputs).items()} | {marker_of(job, outputs): "marker"}


def _check_outputs(outputs: Outputs) -> None:
    """Refuse at once what would fail when the work is done."""
    if outputs.sheet is not None and outputs.sheet.suffix.lower() != ".png":
        raise OptionError(f"--sheet {outputs.sheet} is not a PNG file; let the name end in .png")
    if outputs.overlay is not None:
        VideoWriter(outputs.overlay, (2, 2), None)  # knows which suffixes it can write
    if outputs.cutout is not None and not is_cutout_folder(outputs.cutout):
        VideoWriter(outputs.cutout, (2, 2), None, alpha=True)
    for place in (outputs.folder, *(path.parent for path in outputs.single().values())):
        _check_writable(place)


def _check_writable(folder: Path) -> None:
    there = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)
    if not there.is_dir():
        raise OutputError(f"cannot write to {folder}: {there} is no folder; choose another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to {folder}: {there} is read-only for you; choose another place")


def _refuse_overwriting(jobs: Sequence[Job], outputs: Outputs) -> None:
    """No result may replace a source or join its pictures, nor lie on or among the pictures of another result."""
    sources = {_real(job.source): job.source for job in jobs}
    sources |= {_real(job.masks.path): job.masks.path for job in jobs if job.masks is not None}
    if outputs.numbers is not None:
        sources[_real(outputs.numbers.path)] = outputs.numbers.path
    _refuse_replacing(sources, jobs, outputs)
    beside = {path.parent: source for path, source in sources.items() if path.suffix.lower() == ".png"}
    for job in jobs:
        places = {kind: _real(place) for kind, place in places_of(job, outputs).items()}
        for kind, place in places.items():
            file = _is_file(kind, place)
            source = sources.get(place.parent) if file else beside.get(place)
            if source is not None:
                raise _over(f"{kind} of {job.name}", f"the source {source}", kind, outputs)
            others = {other for name, other in places.items() if name != kind}
            if place in others or (file and place.parent in others):
                raise _over(f"{kind} of {job.name}", "other results", kind, outputs)


def _refuse_replacing(sources: Mapping[Path, Path], jobs: Sequence[Job], outputs: Outputs) -> None:
    """No result, not even a marker, may have the place of a source, under whatever name."""
    files = {_file(path): source for path, source in sources.items() if path.exists()}
    for job in (None, *jobs):
        for place, kind in _written(job, outputs).items():
            source = sources.get(_real(place)) or (files.get(_file(place)) if place.exists() else None)
            if source is not None:
                raise _over(kind if job is None else f"{kind} of {job.name}", f"the source {source}", kind, outputs)


def _file(path: Path) -> tuple[int, int]:
    """Which file or folder it is, under all of its names."""
    found = path.stat()
    return found.st_dev, found.st_ino


def _over(what: str, replaced: str, kind: str, outputs: Outputs) -> OutputError:
    elsewhere = kind if kind in outputs.single() else "output"
    return OutputError(f"{what} would be written over {replaced}; choose another --{elsewhere}")


def _is_file(kind: str, place: Path) -> bool:
    if kind == "cutout":
        return not is_cutout_folder(place)
    return kind not in ("masks", "soft")
