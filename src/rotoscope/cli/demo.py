"""`rotoscope demo`: a model's job on a rendered clip with known truth, or on a video of one's own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from rotoscope.data.synthetic import SyntheticClip
    from rotoscope.types import Task

SEED = 2
FRAMES = 60


def demo(
    video: tyro.conf.Positional[Path | None] = None,
    *,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("demo"),
    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "3dc-seg-mobile",
    device: str = "auto",
) -> None:
    """Render a short clip with known ground truth, segment it, score it; or segment a video of your own.

    A model that follows objects is given those of the clip's first frame.

    Args:
        video: A video of your own instead of the rendered clip; it is not scored.
        output: Folder for clip, masks, overlay video and contact sheet.
        model: As in `rotoscope segment`.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        RotoscopeError: the model or the video cannot be used, or the model needs masks of your video.
    """
    from rich.console import Console

    from rotoscope.cli.segment import of_instances, run_all
    from rotoscope.data.synthetic import SyntheticClip
    from rotoscope.errors import OptionError
    from rotoscope.inference.jobs import Outputs, plan
    from rotoscope.inference.loading import load
    from rotoscope.inference.prompting import GivenMasks
    from rotoscope.metrics import davis17

    loaded = load(model, device=device)
    task = loaded.declaration.task
    if task == "propagate" and video is not None:
        raise OptionError(
            f"{loaded.name} follows objects that it is shown; "
            f"use: rotoscope segment {video} -m {model} --masks FILE.png"
        )
    masks = GivenMasks(output / "truth", at=0) if task == "propagate" else None
    console = Console(highlight=False, soft_wrap=True)
    source = video
    if source is None:
        source = output / "rendered.mp4"
        clip = SyntheticClip(frames=FRAMES, seed=SEED)
        render(clip, source, output / "truth" / "rendered")
        console.print(f"rendered {FRAMES} frames of {clip.info.width}x{clip.info.height} -> {source}", markup=False)
    outputs = Outputs(output / "masks")
    if task == "instances":
        outputs = of_instances(loaded, outputs, most=davis17.PROPOSALS)
    jobs = plan([source], outputs, masks)
    run_all(loaded, jobs, outputs, resume=False)
    if video is None:
        console.print(_scores(output, task), markup=False)
    console.print(
        f"look at {outputs.folder / (jobs[0].name + '.sheet.png')} and {jobs[0].name}.overlay.mp4 beside it\n"
        f"on a file of your own: make demo VIDEO=path, or rotoscope segment path",
        markup=False,
    )


def render(clip: SyntheticClip, video: Path, truth: Path) -> None:
    """Write a rendered clip as H.264 and its label maps as PNG."""
    from rotoscope.cli.progress import watched
    from rotoscope.inference.pipeline import Progress
    from rotoscope.masks.label_map import write_label_png
    from rotoscope.video import VideoWriter

    start = time.monotonic()
    with VideoWriter(video, clip.info.size, clip.info.frame_rate) as writer, watched("rendering") as report:
        for frame, labels in clip:
            writer.write(frame.image, frame.timestamp)
            write_label_png(truth / f"{frame.index:05d}.png", labels)
            report(Progress(frame.index + 1, len(clip), time.monotonic() - start))


def _scores(output: Path, task: Task) -> str:
    """What the masks score, by the protocol of DAVIS that the task has."""
    from rotoscope.data.davis import find_annotations
    from rotoscope.metrics import davis16, davis17

    truth = find_annotations(output / "truth").sequences
    scores: davis16.Davis16Scores | davis17.Davis17Scores
    if task == "foreground":
        protocol, scores = "DAVIS 2016", davis16.evaluate(truth, output / "masks")
    else:
        way: davis17.Task = "semi-supervised" if task == "propagate" else "unsupervised"
        protocol, scores = f"DAVIS 2017, {way}", davis17.evaluate(truth, output / "masks", way)
    region, boundary = scores.region_statistics.mean, scores.boundary_statistics.mean
    return f"against the truth ({protocol} protocol): J {region:.3f}, F {boundary:.3f}"
