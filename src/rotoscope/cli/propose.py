"""`rotoscope propose`: what a detector finds in each frame of videos, kept for systems that match proposals."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from rotoscope.inference.planning import Job
    from rotoscope.inference.proposing import Detector


def propose(
    sources: tyro.conf.Positional[tuple[Path, ...]],
    *,
    detector: Path,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("proposals"),
    device: str = "auto",
    resume: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Detect objects in every frame of videos and keep them: OUTPUT/clip.npz of clip.mp4.

    `rotoscope segment --proposals OUTPUT` and trainings read them, and notice when they are of another video.

    Args:
        sources: Video files, folders of pictures, or folders of videos.
        detector: Weights of the detector, Mask R-CNN of COCO.
        output: Folder for the results.
        device: auto, cpu, cuda or cuda:N.
        resume: Skip videos whose proposals by the same detector are there already.

    Raises:
        RotoscopeError: a source, file or place that cannot be used; the other sources are still done.
    """
    from rotoscope.cli.memory import share_arenas
    from rotoscope.cli.progress import complain, tell
    from rotoscope.errors import OptionError, RotoscopeError
    from rotoscope.inference.jobs import Outputs, plan
    from rotoscope.inference.prepare import choose_device
    from rotoscope.inference.proposing import open_detector

    share_arenas()
    if not sources:
        raise OptionError("no source given; name a video file, a folder of pictures or a folder of videos")
    jobs = plan(sources, Outputs(output, pictures=False))
    opened = open_detector(detector, choose_device(device))
    failures = 0
    for job in jobs:
        try:
            tell(_one(job, opened, output, detector, resume))
        except (RotoscopeError, OSError) as error:
            if len(jobs) == 1 or os.environ.get("ROTOSCOPE_TRACEBACK"):
                raise
            complain(f"{job.name}: {error}")
            failures += 1
    if failures:
        raise RotoscopeError(f"{failures} of {len(jobs)} videos have no proposals; see above")


def _one(job: Job, detector: Detector, folder: Path, weights: Path, resume: bool) -> str:
    from rotoscope.cli.progress import watched
    from rotoscope.inference.markers import files_of, is_finished, remove_marker, state_of, write_marker
    from rotoscope.inference.proposing import propose
    from rotoscope.video import open_video

    path = folder / f"{job.name}.npz"
    marker, places = path.with_name(f"{path.name}.done.json"), {"proposals": path}
    made_of = state_of(job.source, "source") | state_of(weights, "detector")  # before the video is opened
    if resume and is_finished(marker, made_of, places):
        return f"{job.name}: finished before"
    start = time.monotonic()
    with open_video(job.source, name=job.name) as video, watched(job.name) as report:
        remove_marker(marker)
        count = propose(video, detector, path, weights.name, report)
    write_marker(marker, made_of, count, files_of(places, ()), time.monotonic() - start)
    return f"{job.name}: {count} frames -> {path}"
