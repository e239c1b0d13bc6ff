"""Tell what a video is."""

from __future__ import annotations

from pathlib import Path

import tyro


def info(source: tyro.conf.Positional[Path], count: bool = False) -> None:
    """Tell what a video is: size, rate, length, codec, rotation.

    Args:
        source: video file, folder of pictures, or picture.
        count: decode the whole video and count its frames, which the container's own figure may get wrong.
    """
    from rich.console import Console

    from rotoscope.video import open_video

    console = Console(highlight=False, soft_wrap=True)
    with open_video(source) as video:
        told = video.info
        rows = {
            "name": told.name,
            "size": f"{told.width}x{told.height} (width x height, upright)",
            "frame rate": "unknown" if told.frame_rate is None else f"{told.frame_rate:.6g} frames/s (mean)",
            "frames": "not told by the source"
            if told.frame_count is None
            else f"{told.frame_count} (as the source says)",
        }
        rows |= video.details()
        if count:
            counted = video.count()
            rows["frames counted"] = str(counted.frames)
            rows["duration counted"] = f"{counted.seconds:.3f} s"
            rows["variable rate"] = "yes" if counted.variable_rate else "no"
    for label, value in rows.items():
        console.print(f"{label:<17}{value}", markup=False)
