"""`rotoscope make-clips`: clips with known instances, to score models of instances on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

_Classes = Literal[
    "", "coco-80", "coco-youtube-vis", "coco-ovis", "coco-movers", "coco-kinds", "visolo-2019", "visolo-2021"
]


def make_clips(
    annotations: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE")]],
    *,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    images: Path | None = None,
    split: str | None = None,
    clips: int = 20,
    objects: str = "1-5",
    frames: str = "12",
    size: str = "360x640",
    classes: _Classes = "",
    still: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
    seed: int = 0,
) -> None:
    """Compose clips from pictures with annotated instances: they move, and objects cut out of others move before them.

    OUTPUT gets JPEGImages, Annotations with the ids of the instances, and Annotations_unsupervised, as DAVIS has them,
    and instances.json as YouTube-VIS has it; `rotoscope evaluate davis17`, `davis17-unsupervised` and `youtube-vis`
    take it. Every instance is seen on the first frame. The same seed gives the same files.

    Args:
        annotations: COCO's instances_<split>.json, or a file like it.
        output: New folder for the clips.
        images: Folder of the pictures; looked for beside the annotations if not given.
        split: Only pictures that say they belong to this split, for files that mix several.
        clips: How many.
        objects: Instances of a clip: a number or a range, such as 2-5.
        frames: Frames of a clip: a number or a range.
        size: Height x width.
        classes: Categories under other numbers and names; pictures with an object of any other are left out. Those of
            the file if not given.
        still: The pictures themselves, as clips of one frame. They may have objects of other categories, which are not
            annotated then.
        seed: Of all chance.

    Raises:
        RotoscopeError: files that cannot be read, options out of range, or a folder that holds something.
    """
    from rich.console import Console

    from rotoscope.bounds import whole
    from rotoscope.cli.progress import counting, tell
    from rotoscope.data.categories import class_map
    from rotoscope.data.clip_set import ClipSetWriter
    from rotoscope.data.made_clips import InstancePictures, MadeClips, made_clips, still_clips
    from rotoscope.masks.category_names import names_under

    whole("--clips", clips, 1, 1_000_000)
    wanted = MadeClips(_range(objects, "objects"), _range(frames, "frames"), _size(size), seed)
    pictures = InstancePictures(annotations, images, split, class_map(classes), among_others=still)
    names = names_under(classes) if classes else pictures.names
    writer = ClipSetWriter(output, names)
    made = (still_clips if still else made_clips)(pictures, clips, wanted)
    count = pictures_written = 0
    with counting(Console(stderr=True)) as progress:
        for clip in made:
            writer.write(clip)
            count, pictures_written = count + 1, pictures_written + len(clip.pictures)
            progress(clip.name, clips)
    writer.close()
    tell(f"{count} clips, {pictures_written} frames, {writer.tracks} instances -> {output}")


def _range(text: str, name: str) -> tuple[int, int]:
    from rotoscope.bounds import told, whole_in
    from rotoscope.errors import OptionError

    first, dash, last = text.partition("-")
    low, high = whole_in(first), whole_in(last if dash else first)
    if low is None or high is None:
        raise OptionError(f"--{name} {told(text)} is no number and no range; write for example 3 or 2-5")
    return low, high


def _size(text: str) -> tuple[int, int]:
    from rotoscope.bounds import told, whole_in
    from rotoscope.errors import OptionError

    height, width = (whole_in(side) for side in (*text.split("x"), "", "")[:2])
    if text.count("x") != 1 or height is None or width is None:
        raise OptionError(f"--size {told(text)} is not height x width; write for example 360x640")
    return height, width
