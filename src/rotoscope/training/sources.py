"""From a recipe's [[data]] tables to sources of clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

from rotoscope.data import davis, fbms, folder, kitti_mots, visal, youtube_vis, youtube_vos
from rotoscope.data.batches import Mixture
from rotoscope.data.categories import class_map
from rotoscope.data.clips import Augmentation, Cutting, ReleasedCrop, WholeFrames
from rotoscope.data.coco import Coco
from rotoscope.data.fitted import FittedFrames
from rotoscope.data.frame_changes import FrameChanges
from rotoscope.data.pasted import PastedStills
from rotoscope.data.proposals import ProposalFolder
from rotoscope.data.rendered import RenderedClips
from rotoscope.data.rotated import RotatedCrop
from rotoscope.data.scaled_crop import ScaledCrop
from rotoscope.data.sources import (
    AnySequence,
    ClipSource,
    CopiedStills,
    FramesOf,
    GrowingClips,
    ReleasedStills,
    StillClips,
    VideoClips,
    WarpedStills,
    moving_things,
)
from rotoscope.data.stills.cutouts import Stills, cut_from
from rotoscope.data.teacher_maps import TeacherMaps
from rotoscope.errors import DataError, OptionError
from rotoscope.training.recipe import (
    ClipShape,
    Data,
    PictureSet,
    Recipe,
    RenderedData,
    StillData,
    TurnRecipe,
    VideoData,
    VideoSet,
)


def mixture(recipe: Recipe) -> Mixture:
    """Build everything that clips are drawn from.

    Raises:
        RotoscopeError: data that is not there, or not as its layout says.
    """
    root = Path(recipe.root)
    sources = [source(table, recipe.clips, root) for table in recipe.data]
    return Mixture(sources, [table.weight for table in recipe.data], recipe.seed, mixing=recipe.run.mixing)


def with_stand_ins(recipe: Recipe) -> Recipe:
    """The recipe with two rendered clips in place of all its data and validation, to try it without the sets."""
    validation = recipe.validation
    if validation is not None:
        validation = replace(validation, sets=(), rendered=2)
    return replace(recipe, data=(RenderedData("rendered", 2, seed=recipe.seed),), validation=validation)


def source(table: Data, clips: ClipShape, root: Path) -> ClipSource:
    """Build the source that one table describes."""
    if isinstance(table, VideoData):
        return _videos(table, clips, root)
    if isinstance(table, StillData):
        return _stills(table, clips, root)
    return RenderedClips(table.clips, clips.length, clips.size, table.seed)


def _videos(table: VideoData, clips: ClipShape, root: Path) -> ClipSource:
    if table.crop == "scaled":
        cutting: Cutting = ScaledCrop(clips.size, table.factors, table.short_side, table.flip, table.reverse)
    elif table.crop == "fitted":
        cutting = FittedFrames(clips.size, table.flip, table.reverse)
    elif table.crop == "released":
        cutting = ReleasedCrop(clips.size, table.repair)
    elif table.crop == "whole":
        cutting = WholeFrames(clips.size)
    elif table.crop == "rotated":
        cutting = _turned(table.turn, clips)
    else:
        changes = FrameChanges(table.changes) if table.changes else None
        cutting = Augmentation(clips.size, table.zoom, table.stretch, table.flip, table.reverse, table.tone, changes)
    found = _all_sequences(table.sets, root)
    reaches = [table.spans]
    if table.growing:
        reaches = [table.spans[: count + 1] for count in range(len(table.spans))]
    proposals = _proposals(table, root)
    stages = [
        VideoClips(found, clips.length, spans, cutting, table.rule, table.even, table.duplicate, proposals)
        for spans in reaches
    ]
    return GrowingClips(stages, table.growing) if table.growing else stages[0]


def _proposals(table: VideoData, root: Path) -> ProposalFolder | None:
    """The caches of a table's sequences; the set that all are from decides whose weight of overlaps is learnt."""
    if not table.proposals:
        return None
    folder_, kinds = root / table.proposals, {item.kind for item in table.sets}
    if not folder_.is_dir():
        raise DataError(f"there is no folder of proposals {folder_}; make it with `rotoscope propose`, or leave it out")
    known = {"davis": "davis", "youtube-vos": "ytvos"}
    return ProposalFolder(folder_, known.get(kinds.pop(), "default") if len(kinds) == 1 else "default")


def _stills(table: StillData, clips: ClipShape, root: Path) -> ClipSource:
    pictures = [stills(item, root) for item in table.pictures]
    if table.engine == "released":
        if len(pictures) != 1 or table.backgrounds or table.things or table.moving:
            raise OptionError("the released engine moves one set of pictures; it takes no backgrounds or things")
        return ReleasedStills(pictures[0], clips.length, clips.size)
    if table.engine == "warps":
        if len(pictures) != 1 or table.backgrounds or table.things or table.moving:
            raise OptionError("the engine of warps moves one set of pictures; it takes no backgrounds or things")
        return WarpedStills(pictures[0], clips.length, clips.size, table.warps)
    if table.engine == "rotated":
        if len(pictures) != 1 or table.backgrounds or table.things or table.moving:
            raise OptionError("the rotated engine copies one set of pictures; it takes no backgrounds or things")
        return CopiedStills(pictures[0], clips.length, _turned(table.turn, clips))
    if table.engine == "pasted":
        if table.backgrounds or table.moving:
            raise OptionError("the engine of pasted things takes pictures and things; no backgrounds, nothing moving")
        things = [stills(item, root) for item in table.things]
        return PastedStills(pictures, things, table.pasted, clips.length, clips.size, table.scene)
    moving = _all_sequences(table.moving, root)
    backgrounds = [stills(item, root) for item in table.backgrounds] or pictures
    sources = [cut_from(stills(item, root)) for item in table.things]
    if moving:
        backgrounds = [*backgrounds, FramesOf(moving)]
        sources = [*sources, moving_things(moving)]
    return StillClips(pictures, backgrounds, sources, clips.length, clips.size, table.scene)


def _turned(turn: TurnRecipe, clips: ClipShape) -> RotatedCrop:
    return RotatedCrop(clips.size, turn.short_edges, turn.longest, turn.flip, turn.flip_each, turn.degrees)


def stills(item: PictureSet, root: Path) -> Stills:
    """Open a set of pictures."""
    if item.kind == "pictures":
        return folder.LabelledPictures(root / item.path, item.category, item.hold_out)
    images = root / item.images if item.images else None
    if item.kind == "maps":
        if images is None:
            raise OptionError(f'the maps {item.path} need the folder of their pictures; name it as images = "..."')
        return TeacherMaps(images, root / item.path, item.least_sure)
    return Coco(root / item.path, images, item.split or None, item.least_side, class_map(item.classes))


def _all_sequences(sets: Sequence[VideoSet], root: Path) -> list[AnySequence]:
    return [sequence for item in sets for sequence in sequences(item, root)]


def sequences(item: VideoSet, root: Path) -> list[AnySequence]:
    """List the sequences of a set.

    Raises:
        DataError: none is left, or one that the recipe names is not there.
    """
    found = _found(item, root / item.path)
    names = {sequence.name for sequence in found}
    lost = [name for name in (*item.sequences, *item.leave_out) if name not in names]
    if lost:
        raise DataError(f"{root / item.path} has no sequence {', '.join(lost)}, which the recipe names")
    wanted = set(item.sequences or names) - set(item.leave_out)
    kept: list[AnySequence] = [sequence for sequence in found if sequence.name in wanted]
    if not kept:
        raise DataError(f"no sequence of {root / item.path} is left")
    return [replace(sequence, void_background=True) for sequence in kept] if item.void_background else kept


def _found(item: VideoSet, path: Path) -> Sequence[AnySequence]:
    if item.classes and item.kind not in ("youtube-vis", "ovis"):
        raise OptionError(f"classes {item.classes!r}: sequences of {item.kind} have no categories to choose from")
    if item.kind == "davis":
        if item.split not in get_args(davis.Split):
            raise OptionError(f"DAVIS has no split {item.split!r}; choose {', '.join(get_args(davis.Split))}")
        return list(davis.Davis(path, item.year, cast(davis.Split, item.split), annotations=item.annotations))
    if item.kind == "youtube-vos":
        return youtube_vos.find_sequences(path, item.split)
    if item.kind in ("youtube-vis", "ovis"):
        return youtube_vis.find_sequences(path, item.split, classes=class_map(item.classes))
    if item.kind == "kitti-mots":
        return kitti_mots.find_sequences(path, item.split)
    if item.kind == "fbms":
        return fbms.find_sequences(path, split="train" if item.split == "train" else "test")
    if item.kind == "visal":
        return visal.find_sequences(path)
    return folder.find_sequences(path)


def epoch_clips(recipe: Recipe, root: Path) -> list[tuple[str, int, bool]]:
    """Say what each table offers: its words, its clips an epoch, whether it was found.

    A table whose data is not there is counted as the recipe says that the published set has; without that as 0.
    """
    lines = []
    for table in recipe.data:
        try:
            count, there = len(source(table, recipe.clips, root)), True
        except DataError:
            count, there = _published(table), False
        lines.append((_words(table), count, there))
    return lines


def _published(table: Data) -> int:
    if isinstance(table, VideoData):
        return sum(item.frames for item in table.sets)
    return sum(item.count for item in table.pictures) if isinstance(table, StillData) else table.clips


def _words(table: Data) -> str:
    if isinstance(table, RenderedData):
        return "rendered clips"
    parts: Sequence[VideoSet | PictureSet] = table.sets if isinstance(table, VideoData) else table.pictures
    names = ", ".join(f"{item.kind} {item.path} {item.split}".strip() for item in parts)
    return f"{'videos' if isinstance(table, VideoData) else 'stills'}: {names}"
