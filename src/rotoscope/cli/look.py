"""`rotoscope look`: what a model does inside, as pictures and numbers: the figures of its paper, on any video."""

from __future__ import annotations

from collections.abc import Container
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from rotoscope.inference.jobs import Job
    from rotoscope.inference.model import Model
    from rotoscope.models.contract import Findings

_ALL = "all"  # what the findings on all videos together are called


def look(
    sources: tyro.conf.Positional[tuple[Path, ...]],
    *,
    model: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["-m"])],
    what: str = "",
    output: Annotated[Path, tyro.conf.arg(aliases=["-o", "--out"])] = Path("look"),
    masks: Path | None = None,
    truth: Path | None = None,
    detector: Path | None = None,
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    device: str = "auto",
) -> None:
    """Look at what a model does inside: pictures as PNG, numbers as JSON.

    What there is depends on the model; without --what the choices are told. Results of clip.mp4 are clip.WHAT.json and
    clip.WHAT.NAME.png in OUTPUT. Several models are compared: their bars and curves share a picture.

    Args:
        sources: Video files, folders of pictures, or folders of videos.
        model: One or more, each a bundled name (`rotoscope models`), a weights file, or an authors' checkpoint.
        what: Name of the analysis.
        output: Folder for the results.
        masks: The objects to follow, as for `rotoscope segment`.
        truth: True masks to compare with, for analyses that do: a folder of PNG named as the frames, or a folder that
            holds one of these for each video.
        detector: Weights of the detector that proposes objects, for models that match proposals.
        set: Change an option of the analysis or of the model, for example --set frame=12 --set size=240.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        RotoscopeError: a source, model or option that cannot be used, or a model that has no such analysis.
    """
    from rotoscope.cli.changes import with_given_detector
    from rotoscope.cli.progress import tell
    from rotoscope.errors import OptionError
    from rotoscope.inference import loading
    from rotoscope.inference.jobs import Outputs, plan
    from rotoscope.inference.looking import analysis_of, beside, keep
    from rotoscope.inference.prompting import GivenMasks
    from rotoscope.render.plots import require_plotting

    if not sources:
        raise OptionError("no source given; name a video file, a folder of pictures or a folder of videos")
    jobs = plan(sources, Outputs(output), None if masks is None else GivenMasks(masks), reserved=(_ALL,))
    models: dict[str, tuple[Model, Any]] = {}
    for name in model:
        loaded = _ready(with_given_detector(loading.load(name, device=device), detector), what, set)
        models[_free(loaded[0].name, models)] = loaded
    analyses = {name: analysis_of(one, what) for name, (one, _) in models.items()}
    if any(analysis.plotted for analysis in analyses.values()):
        require_plotting()
    found: dict[str, list[Findings]] = {name: [] for name in models}
    for job in jobs:
        for name, (one, options) in models.items():
            found[name].append(_look(job, one, what, options, truth, len(jobs) == 1))
        newest = {name: findings[-1] for name, findings in found.items()}
        tell(_words(job.name, keep(beside(newest), output, f"{job.name}.{what}")))
    joined = {
        name: analysis.joined(found[name])
        for name, analysis in analyses.items()
        if analysis.joined is not None and len(jobs) > 1
    }
    if joined:
        tell(_words(f"all {len(jobs)} videos", keep(beside(joined), output, f"{_ALL}.{what}")))


def _ready(model: Model, what: str, changes: tuple[str, ...]) -> tuple[Model, Any]:
    """The model with its options changed, and the options of the analysis."""
    from rotoscope.cli.changes import values_of
    from rotoscope.errors import OptionError
    from rotoscope.inference.looking import analysis_of, split_options
    from rotoscope.training.recipe_file import filled

    analysis = analysis_of(model, what)
    own, inference = split_options(model, analysis, values_of(changes))
    # What looks like a number is meant as a word where the system's default is one, such as size=240.
    inference = {
        name: str(value) if isinstance(getattr(model.options, name), str) else value
        for name, value in inference.items()
    }
    try:
        return model.with_options(**inference), filled(analysis.options, own, "--set")
    except TypeError as error:
        raise OptionError(f"--set: a value is of a wrong type ({error})") from error


def _free(name: str, taken: Container[str]) -> str:
    """The name, with a number where another model has it."""
    return next(free for number in count(1) if (free := name if number == 1 else f"{name}-{number}") not in taken)


def _look(job: Job, model: Model, what: str, options: Any, truth: Path | None, single: bool) -> Findings:
    from rotoscope.cli.progress import watched
    from rotoscope.inference.looking import look, read_truth
    from rotoscope.inference.prompting import masks_of, read_prompts
    from rotoscope.video import open_video

    with open_video(job.source, name=job.name) as video, watched(job.name) as report:
        prompts = () if job.masks is None else read_prompts(job.masks, video)
        true = {} if truth is None else read_truth(masks_of(truth, job.source, single), video)
        return look(model, video, what, options, prompts=prompts, truth=true, progress=report)


def _words(name: str, places: list[Path]) -> str:
    return f"{name} -> {', '.join(str(place) for place in places)}"
