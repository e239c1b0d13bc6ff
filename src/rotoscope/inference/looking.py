"""Looking into a model at work: running a system's analyses on videos, and keeping what they find."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import MaskError, OptionError
from rotoscope.figures import Bars, Figure, Panel, Panels
from rotoscope.files import write_whole
from rotoscope.inference.pipeline import Progress, Report
from rotoscope.masks.label_map import LabelMap, is_binary_0_255, read_label_png
from rotoscope.models.contract import Analysis, Findings, Subject
from rotoscope.names import safe_name
from rotoscope.render.figures import draw_figure
from rotoscope.types import Frame, Prompt
from rotoscope.video import Video, open_video
from rotoscope.video.pictures import list_pictures

if TYPE_CHECKING:
    from rotoscope.inference.model import Model
    from rotoscope.video.opening import Source

Truth = Mapping[int, NDArray[np.integer]]


def analysis_of(model: Model, name: str) -> Analysis:
    """The analysis called `name` of a model's system.

    Raises:
        OptionError: there is none; it lists those that there are.
    """
    known = model.system.analyses
    if not known:
        raise OptionError(f"{model.name} is of {model.system.name}, which has nothing to look at; use another model")
    if name not in known:
        listed = "; ".join(f"{key}: {value.title}" for key, value in known.items())
        said = f"has no analysis {name!r}; it has" if name else "has this to look at, choose with --what:"
        raise OptionError(f"{model.name} is of {model.system.name}, which {said} {listed}")
    return known[name]


def look(
    model: Model,
    source: Source,
    what: str,
    options: Any = None,
    *,
    prompts: Sequence[Prompt] = (),
    truth: Truth | None = None,
    progress: Report | None = None,
) -> Findings:
    """Run one analysis of a model on one video.

    Args:
        model: a loaded model.
        source: see `rotoscope.open_video`.
        what: name of an analysis of the model's system.
        options: of the analysis, an instance of its class of options; None for the defaults.
        prompts: for systems that follow given objects.
        truth: frame index to (H, W) map of object ids, for analyses that compare.
        progress: called after every frame that is read.

    Raises:
        OptionError: the system has no such analysis, or it needs what was not given.
        VideoError: the source cannot be read.
    """
    analysis = analysis_of(model, what)
    if analysis.needs_truth and not truth:
        raise OptionError(f"{what} compares with true masks; give a folder of them with --truth")
    if not prompts and model.system.task == "propagate":
        raise OptionError(f"{model.name} follows objects that it is shown; give the masks of some with --masks")
    if prompts and model.declaration.prompts == "none":
        raise OptionError(f"{model.name} finds objects by itself and takes no masks; leave out --masks")
    with open_video(source) as video:
        subject = Subject(
            network=model.network,
            options=model.options,
            device=model.device,
            info=video.info,
            frames=_watched(video, progress),
            prompts=prompts,
            truth=truth or {},
        )
        return analysis.run(subject, analysis.options() if options is None else options)


def _watched(video: Video, progress: Report | None) -> Callable[[], Iterator[Frame]]:
    def frames() -> Iterator[Frame]:
        start = time.monotonic()
        for count, frame in enumerate(video, start=1):
            yield frame
            if progress is not None:
                progress(Progress(count, video.info.frame_count, time.monotonic() - start))

    return frames


def split_options(
    model: Model, analysis: Analysis, changes: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tell an analysis's options from the system's; the analysis's come first.

    Raises:
        OptionError: neither has an option of that name.
    """
    own = {field.name for field in fields(analysis.options)}
    inference = {field.name for field in fields(model.options)}
    for name in changes:
        if name not in own | inference:
            raise OptionError(
                f"there is no option {name!r}; the analysis has {', '.join(sorted(own)) or 'none'}, "
                f"{model.system.name} has {', '.join(sorted(inference))}"
            )
    first = {name: value for name, value in changes.items() if name in own}
    return first, {name: value for name, value in changes.items() if name not in own}


def read_truth(folder: Path, video: Video) -> dict[int, NDArray[np.integer]]:
    """Read the true masks of a video: PNG files named as its frames, or in their order where it is one file.

    Where all of them are in black and white (0 and 255), as DAVIS 2016 has them, white is the object of id 1.

    Raises:
        MaskError: there are none, or one has another size than the frames.
    """
    files = [path for path in list_pictures(folder) if path.suffix.lower() == ".png"] if folder.is_dir() else []
    if not files:
        raise MaskError(f"{folder} holds no true masks; expected PNG files named as the frames of the video")
    pictures = Path(video.source)
    names = {path.stem: index for index, path in enumerate(list_pictures(pictures))} if pictures.is_dir() else None
    found: dict[int, LabelMap] = {}
    for place, path in enumerate(files):
        index = place if names is None else names.get(path.stem)
        if index is not None:
            found[index] = read_label_png(path, video.info.size)
    if not found:
        raise MaskError(f"no file in {folder} is named as a frame of {video.source}, such as {files[0].name}")
    marked = [labels for labels in found.values() if labels.any()]
    if marked and all(map(is_binary_0_255, marked)):
        return {index: (labels > 0).astype(np.uint8) for index, labels in found.items()}
    return dict(found)


def beside(findings: Mapping[str, Findings]) -> Findings:
    """The findings of several models on the same video as one: bars and curves share a figure, maps stay apart.

    Bars and curves get the model's name in front, or instead of theirs where there is one of each model; bars that are
    the same for all stay as they are.

    Args:
        findings: by the model's name.
    """
    if len(findings) == 1:
        return next(iter(findings.values()))
    figures: dict[str, Figure] = {}
    for stem in dict.fromkeys(stem for found in findings.values() for stem in found.figures):
        own = {model: found.figures[stem] for model, found in findings.items() if stem in found.figures}
        bars = {model: figure for model, figure in own.items() if isinstance(figure, Bars)}
        panels = {model: figure for model, figure in own.items() if isinstance(figure, Panels)}
        if bars:
            figures[stem] = _joined_bars(bars)
        elif panels:
            figures[stem] = _joined_panels(panels)
        else:
            figures |= {f"{model}.{stem}": figure for model, figure in own.items()}
    return Findings({model: found.numbers for model, found in findings.items()}, figures)


def _joined_bars(bars: Mapping[str, Bars]) -> Bars:
    """Groups that only some models have stay empty for the others; what all say alike comes last, once."""
    first = next(iter(bars.values()))
    labels = list(dict.fromkeys(label for plot in bars.values() for label in plot.labels))
    alike = [name for name in first.values if all(_same_bar(first, plot, name) for plot in bars.values())]
    values: dict[str, list[float]] = {}
    marks: dict[str, float] = {}
    for model, plot in bars.items():
        own = [name for name in plot.values if name not in alike]
        for name in own:
            title = model if len(own) == 1 else f"{model}: {name}"
            table = dict(zip(plot.labels, plot.values[name], strict=True))
            values[title] = [table.get(label, float("nan")) for label in labels]
            if name in plot.marks:
                marks[title] = plot.marks[name]
    values |= {name: list(first.values[name]) for name in alike}
    marks |= {name: mark for name, mark in first.marks.items() if name in alike}
    return replace(first, labels=labels, values=values, marks=marks)


def _same_bar(one: Bars, other: Bars, name: str) -> bool:
    if list(one.labels) != list(other.labels) or name not in other.values:
        return False
    return bool(np.allclose(one.values[name], other.values[name], equal_nan=True))


def _joined_panels(panels: Mapping[str, Panels]) -> Panels:
    """The curves of panels with the same title in one."""
    joined: dict[str, Panel] = {}
    for model, plot in panels.items():
        for panel in plot.panels:
            curves = {f"{model}: {name}": line for name, line in panel.curves.items()}
            before = joined.get(panel.title)
            joined[panel.title] = replace(panel, curves=curves if before is None else {**before.curves, **curves})
    return replace(next(iter(panels.values())), panels=list(joined.values()))


def keep(findings: Findings, folder: Path, name: str) -> list[Path]:
    """Write NAME.json, and NAME.STEM.png for every figure; the names are made safe.

    Returns:
        What was written; the JSON first.

    Raises:
        OutputError: it cannot be written.
        OptionError: a plot is to be drawn and matplotlib is not installed; the JSON is written all the same.
    """
    places = [folder / f"{safe_name(name)}.json"]
    write_whole(places[0], (json.dumps(findings.numbers, indent=1, allow_nan=False) + "\n").encode())
    for stem, figure in findings.figures.items():
        places.append(folder / f"{safe_name(f'{name}.{stem}')}.png")
        draw_figure(figure, places[-1])
    return places
