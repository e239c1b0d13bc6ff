"""`rotoscope pseudo-label`: a teacher's maps of pictures, to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


def pseudo_label(
    pictures: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FOLDER")]],
    *,
    teacher: Path,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    threads: int = 1,
) -> None:
    """Keep what a public network says is salient in every picture of a folder, for trainings to learn from.

    OUTPUT gets a grey PNG for every picture and an index. Run again, it goes on where it was stopped.

    Args:
        pictures: Folder of pictures, with all below it.
        teacher: Network of the kind of U2-Net, as ONNX; it needs onnxruntime.
        output: Folder for the maps.
        threads: Of the teacher.

    Raises:
        RotoscopeError: files that cannot be read or written, or maps of another teacher.
    """
    from rich.console import Console

    from rotoscope.bounds import whole
    from rotoscope.cli.progress import complain, counting, tell
    from rotoscope.training.teacher import Teacher, label_pictures

    whole("--threads", threads, 1, 1024)
    opened = Teacher.load(teacher, threads)
    with counting(Console(stderr=True)) as progress:
        made, unread = label_pictures(pictures, output, opened, progress)
    for name in unread:
        complain(f"{pictures / name} cannot be read; it has no map")
    tell(f"{made} maps made -> {output}")
