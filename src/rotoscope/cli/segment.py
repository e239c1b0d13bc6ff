"""`rotoscope segment`: masks, an overlay video and a contact sheet from videos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from rotoscope.inference.jobs import Job, Outputs
    from rotoscope.inference.model import Model
    from rotoscope.inference.pipeline import Progress
    from rotoscope.inference.prompting import GivenMasks


def segment(
    sources: tyro.conf.Positional[tuple[Path, ...]],
    *,
    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "3dc-seg-mobile",
    masks: Path | None = None,
    at: int | None = None,
    both_ways: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    late: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out"),
    format: tyro.conf.UseAppendAction[tuple[Literal["davis", "ytvis", "mots"], ...]] = (),
    most_tracks: int | None = None,
    numbers: Path | None = None,
    overlay: Path | None = None,
    sheet: Path | None = None,
    cutout: Path | None = None,
    soft: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    pictures: bool = True,
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    clip: int | None = None,
    overlap: int | None = None,
    dense: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    size: str | None = None,
    memory_every: int | None = None,
    memory_limit: int | None = None,
    memory_budget: int | None = None,
    proposals: str | None = None,
    detector: Path | None = None,
    set: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Find the objects of videos: masks, an overlay video and a contact sheet for each.

    Results of clip.mp4 lie in OUTPUT: clip/00000.png ... (masks), clip.overlay.mp4, clip.sheet.png, and clip.done.json
    when it is finished. Models that find instances also write clip.json (YouTube-VIS), clip.txt (MOTS),
    clip.timeline.png, and results.json of all videos, numbered from 1 in their order.

    Args:
        sources: Video files, folders of pictures, or folders of videos.
        model: A bundled name (`rotoscope models`), a weights file, or an authors' checkpoint.
        masks: The objects to follow, for models that do: a mask as PNG, or a folder of masks named as the frames, of
            which the first with an object counts. For several videos a folder that holds one of these for each by name.
        at: The frame that the mask is of, counted from 0; if not given, the one that the file is named after, or 0.
        both_ways: Follow the objects backwards from that frame too.
        late: Of a folder of masks, also take objects that only later ones have, from the first that has them.
        output: Folder for the results.
        format: How masks are written: DAVIS palette PNG, YouTube-VIS JSON, or MOTS text; may be given several times.
            If not given, DAVIS, and for models that find instances all three.
        most_tracks: Of instances, write only so many best ones of each video; DAVIS's unsupervised task takes 20.
        numbers: Of instances, the annotation file of a set in YouTube-VIS's format, whose numbers videos and
            categories get by their names.
        overlay: Where the overlay video goes (.mp4), for a single source; beside the masks if not given.
        sheet: Where the contact sheet goes (.png), for a single source; beside the masks if not given.
        cutout: Also cut the objects out with alpha: a folder for PNG, or a .webm or .mov file; for a single source.
        soft: Also write 8-bit foreground probabilities, to OUTPUT/clip.soft/.
        pictures: Write overlay video and contact sheet.
        device: auto, cpu, cuda or cuda:N.
        precision: auto takes bfloat16 where it was measured to give the same masks.
        clip: Frames a clip.
        overlap: Frames that clips share.
        dense: A clip for every frame: slower, a little better.
        size: Network's input: "480" (short edge), "480x854" (height x width) or "unchanged".
        memory_every: Every so many-th frame of an object is remembered.
        memory_limit: Frames that are remembered of an object at most.
        memory_budget: MiB for what a video takes, for models that need all of it.
        proposals: For models that match proposals: none, built-in (with --detector), or a folder of those that
            `rotoscope propose` wrote.
        detector: Weights of the detector that proposes objects, Mask R-CNN of COCO.
        set: Change any other option of the model, for example --set align=forward.
        resume: Skip videos that are finished already with the same model and options; models that need the whole video
            go on from its last finished part in any case.

    Raises:
        RotoscopeError: a source, option or place that cannot be used; the other sources are still done.
    """
    from rotoscope.cli.memory import share_arenas
    from rotoscope.errors import OptionError
    from rotoscope.inference.jobs import Outputs, plan
    from rotoscope.inference.loading import load

    share_arenas()
    if not sources:
        raise OptionError("no source given; name a video file, a folder of pictures or a folder of videos")
    outputs = Outputs(output, tuple(dict.fromkeys(format)) or ("davis",), overlay, sheet, cutout, soft, pictures)
    given_masks = _given(masks, at, both_ways, late)
    jobs = plan(sources, outputs, given_masks)
    loaded = _changed(
        load(model, device=device, precision=precision),
        set,
        detector,
        clip=clip,
        overlap=overlap,
        dense=dense or None,
        size=size,
        memory_every=memory_every,
        memory_limit=memory_limit,
        memory_budget=memory_budget,
        proposals=proposals,
    )
    _check_masks(loaded, masks is not None)
    if loaded.declaration.task == "instances":
        outputs = of_instances(loaded, outputs, bool(format), most_tracks, numbers)
        jobs = plan(sources, outputs, given_masks)
        if outputs.numbers is not None:
            outputs.numbers.check(job.name for job in jobs)
    elif most_tracks is not None or numbers is not None:
        option = "--numbers" if most_tracks is None else "--most-tracks"
        raise OptionError(f"{option} is for models that find instances, which {loaded.name} does not; leave it out")
    run_all(loaded, jobs, outputs, resume=resume)


def _changed(loaded: Model, changes: Sequence[str], detector: Path | None, **named: str | int | None) -> Model:
    """The model with the detector, with the options named that are not None, and with the `--set` changes."""
    from rotoscope.cli.changes import changed_options, with_given_detector
    from rotoscope.errors import OptionError

    given = {name: value for name, value in named.items() if value is not None}
    changed = changed_options(loaded, changes)
    for name in given.keys() & changed.keys():
        raise OptionError(f"{name} is given by --{name.replace('_', '-')} and by --set; give it once")
    return with_given_detector(loaded, detector).with_options(**given, **changed)


def _given(masks: Path | None, at: int | None, both_ways: bool, late: bool) -> GivenMasks | None:
    from rotoscope.errors import OptionError
    from rotoscope.inference.prompting import GivenMasks

    if masks is not None:
        return GivenMasks(masks, at, both_ways, late)
    for option, used in (("--at", at is not None), ("--both-ways", both_ways), ("--late", late)):
        if used:
            raise OptionError(f"{option} means nothing without --masks; give both")
    return None


def of_instances(
    model: Model, outputs: Outputs, chosen: bool = False, most: int | None = None, numbers: Path | None = None
) -> Outputs:
    """What is written of a model that finds instances: everything, where no format was chosen.

    Args:
        model: finds instances.
        outputs: as the command line has them.
        chosen: whether its formats were named.
        most: tracks of a video.
        numbers: annotation file whose numbers are written.

    Raises:
        OptionError: an option that such a model, or this one, does not have.
        RotoscopeError: the annotation file cannot be used.
    """
    from rotoscope.bounds import whole
    from rotoscope.cli.progress import complain
    from rotoscope.errors import OptionError
    from rotoscope.inference.instances import read_numbers

    if most is not None and most < 1:
        raise OptionError(f"--most-tracks is {most}; expected 1 or more")
    whole("--most-tracks", most or 1)
    if outputs.soft and not hasattr(model.options, "soft"):
        raise OptionError(
            f"--soft writes the probabilities of a foreground, which {model.name}, a model of instances, has not; "
            f"leave it out"
        )
    if numbers is not None and not model.categories:
        raise OptionError(f"{model.name} tells no categories apart, which --numbers would number; leave it out")
    known = None if numbers is None else read_numbers(numbers)
    lost = [] if known is None else sorted(model.categories.keys() - known.of(model.categories))
    if lost:
        complain(f"warning: tracks of {len(lost)} categories that {numbers} lacks are left out: {', '.join(lost)}")
    formats = outputs.formats if chosen else ("davis", "ytvis", "mots")
    return replace(outputs, formats=formats, instances=True, most_tracks=most, numbers=known)


def _check_masks(model: Model, given: bool) -> None:
    """Refuse masks that mean nothing, and missing ones, before any video is opened."""
    from rotoscope.errors import OptionError

    if given and model.declaration.prompts == "none":
        raise OptionError(f"{model.name} finds objects by itself and takes no masks; leave out --masks")
    if not given and model.declaration.task == "propagate":
        raise OptionError(f"{model.name} follows objects that it is shown; give their masks with --masks")


def run_all(model: Model, jobs: list[Job], outputs: Outputs, *, resume: bool) -> None:
    """Run the jobs one after the other, with a progress line; go on after a bad source.

    Raises:
        RotoscopeError: a video could not be segmented; the others are done, unless the disk is full.
    """
    from rotoscope.cli.progress import complain, tell
    from rotoscope.errors import OutputError, RotoscopeError
    from rotoscope.files import stops_all
    from rotoscope.inference.jobs import finished, join, remove_results

    failures = 0
    done = []
    remove_results(outputs)
    for job in jobs:
        try:
            if resume and finished(job, model, outputs):
                tell(f"{job.name}: finished before")
            else:
                tell(_run(job, model, outputs))
            done.append(job)
        except Exception as error:
            full = isinstance(error, OutputError) and stops_all(error)
            if len(jobs) == 1 or full or os.environ.get("ROTOSCOPE_TRACEBACK"):
                raise
            kind = "" if isinstance(error, RotoscopeError | OSError) else f"internal error, {type(error).__name__}: "
            complain(f"{job.name}: {kind}{error}")
            failures += 1
    results = join(jobs, outputs, done)
    if results is not None:
        tell(f"results of {len(done)} of {len(jobs)} videos -> {results}")
    if failures:
        raise RotoscopeError(f"{failures} of {len(jobs)} videos could not be segmented; see above")


def _run(job: Job, model: Model, outputs: Outputs) -> str:
    from rotoscope.cli.memory import give_back
    from rotoscope.cli.progress import speed, watched
    from rotoscope.inference.jobs import run

    with watched(job.name) as show:

        def report(progress: Progress) -> None:
            show(progress)
            give_back(progress.done)

        done = run(job, model, outputs, report)
    rate = done.frames / done.seconds if done.seconds else 0.0
    places = ", ".join(str(path) for path in done.places)
    frames = "1 frame" if done.frames == 1 else f"{done.frames} frames"
    return f"{job.name}: {frames} in {done.seconds:.1f} s ({speed(rate)}) -> {places}"
