"""Where training clips come from: annotated videos, stills set in motion, and mixtures of several sources.

A source is asked for a clip by number; all chance comes from the generator given with it. So what is drawn depends on
the seed and the number alone, not on how many workers or processes draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.data.clips import (
    CategorisedDraft,
    Cutting,
    Draft,
    around_indices,
    drawn_indices,
    paper_indices,
    released_indices,
    resize_short_edge_and_crop,
    spaced_indices,
)
from rotoscope.data.duplication import duplicated
from rotoscope.data.fitted import FittedFrames
from rotoscope.data.pairs import paired_indices
from rotoscope.data.proposals import ProposalFolder
from rotoscope.data.reading import read_clip
from rotoscope.data.scaled_crop import ScaledCrop
from rotoscope.data.sequences import VideoSequence
from rotoscope.data.stills.cutouts import (
    TRIES,
    CategorisedStills,
    Cutout,
    CutoutSource,
    Labels,
    Picture,
    Stills,
    cut,
)
from rotoscope.data.stills.layers import Layer, render
from rotoscope.data.stills.released import ReleasedDraft
from rotoscope.data.stills.scenes import Scene, SceneOptions
from rotoscope.data.stills.warps import WarpOptions, WarpsDraft
from rotoscope.data.tracks import MOST, VOID, TrackSequence
from rotoscope.errors import DataError

Rule = Literal["paper", "released", "spaced", "drawn", "around", "paired"]
AnySequence = VideoSequence | TrackSequence

_RULES = {
    "paper": paper_indices,
    "released": released_indices,
    "spaced": spaced_indices,
    "drawn": drawn_indices,
    "around": around_indices,
}


class ClipSource(Protocol):
    """Something that clips can be drawn from."""

    def __len__(self) -> int:
        """Count the clips of an epoch."""
        ...

    def draw(self, number: int, generator: np.random.Generator) -> Draft:
        """Draw clip `number`, from 0 to `len` - 1."""
        ...


class VideoClips:
    """Clips of annotated sequences, one for each annotated frame as its start.

    Args:
        sequences: only frames with an annotation take part.
        length: frames of a clip, T_c.
        spans: how far a clip may reach, in annotated frames; one of them is drawn for each clip.
        cutting: how a clip is cut out of its frames: `clips.Augmentation`, `clips.ReleasedCrop`,
            `scaled_crop.ScaledCrop`, `fitted.FittedFrames`.
        rule: "paper": the start frame and others after it; "released", "spaced", "drawn", "around": see the
            functions of `clips`; "paired": clips of two frames, see `pairs`.
        even: every sequence counts alike, however long it is: sequence and start are drawn, whatever the number.
        duplicate: clips of one object get a copy of it as a second, see `duplication`.
        proposals: caches of proposals by sequence name, for `scaled_crop.ScaledCrop` only.

    Raises:
        DataError: no sequence has an annotated frame, the cutting takes no proposals, or pairs are to be longer.
    """

    def __init__(
        self,
        sequences: Sequence[AnySequence],
        length: int,
        spans: Sequence[int],
        cutting: Cutting,
        rule: Rule = "released",
        even: bool = False,
        duplicate: bool = False,
        proposals: ProposalFolder | None = None,
    ) -> None:
        if proposals is not None and not isinstance(cutting, ScaledCrop):
            raise DataError('only clips that are cut with crop = "scaled" can have proposals')
        self._proposals = proposals
        self._sequences = [(sequence, sequence.annotated) for sequence in sequences if sequence.annotated]
        if not self._sequences:
            raise DataError("none of the sequences has an annotated frame")
        self._ends = np.cumsum([len(annotated) for _, annotated in self._sequences])
        self._length, self._spans, self._cutting = length, tuple(spans), cutting
        self._rule = _RULES.get(rule)  # None: pairs
        if self._rule is None and length != 2:
            raise DataError(f'clips of the rule "paired" have two frames, not {length}')
        self._even, self._duplicate = even, duplicate

    def __len__(self) -> int:
        return int(self._ends[-1])

    def draw(self, number: int, generator: np.random.Generator) -> Draft:
        """See `ClipSource.draw`."""
        if self._even:
            which = int(generator.integers(len(self._sequences)))
            start = int(generator.integers(len(self._sequences[which][1])))
        else:
            which = int(np.searchsorted(self._ends, number, side="right"))
            start = number - int(self._ends[which - 1] if which else 0)
        sequence, annotated = self._sequences[which]
        span = int(generator.choice(self._spans))
        if self._rule is spaced_indices:  # every window alike, not the last one for all late frames
            start = start * max(1, len(annotated) - span) // len(annotated)
        if self._rule is None:
            chosen = paired_indices([_objects(sequence, index) for index in annotated], start, span, generator)
        else:
            chosen = self._rule(len(annotated), start, self._length, span, generator)
        indices = [annotated[index] for index in chosen]
        frames, labels = read_clip(sequence, indices)
        if self._proposals is not None and isinstance(self._cutting, ScaledCrop):
            found = self._proposals.read(sequence.name, indices, frames)
            return self._cutting.draft_with(frames, labels, found, self._proposals.dataset, generator)
        categories = dict(sequence.categories)
        if self._duplicate:
            frames, labels, categories = _with_a_copy(frames, labels, categories, generator)
        if isinstance(self._cutting, FittedFrames) and isinstance(sequence, TrackSequence) and not self._duplicate:
            draft: Draft = self._cutting.draft_of(frames, [sequence.objects(index) for index in indices], generator)
        else:
            draft = self._cutting.draft(frames, labels, generator)
        return CategorisedDraft(draft, categories) if categories else draft


def _objects(sequence: AnySequence, index: int) -> dict[int, int] | None:
    """The category of every object in a frame; None where only its labels would tell."""
    if not isinstance(sequence, TrackSequence):
        return None
    return {label: sequence.categories[label] for label in sequence.masks[index] if label != VOID}


def _with_a_copy(
    frames: NDArray[np.uint8], labels: NDArray[np.uint8], categories: dict[int, int], generator: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], dict[int, int]]:
    """A clip of one object with a copy of that, of the same category; any other clip as it is."""
    found = [int(label) for label in np.unique(labels) if label not in (0, VOID)]
    if len(found) != 1:
        return frames, labels, categories
    own, copy = found[0], found[0] % MOST + 1
    made = duplicated(frames, labels == own, generator.random)
    if made is None:
        return frames, labels, categories
    labels = np.where(made[2], np.uint8(copy), labels)
    return made[0], labels, categories | ({copy: categories[own]} if own in categories else {})


class GrowingClips:
    """Clips that reach further as a training goes on.

    Args:
        stages: one after the other, of the same clips.
        over: share of the training in which all stages but the last pass, above 0 and up to 1.

    Raises:
        DataError: there is no stage, or the share is none.
    """

    def __init__(self, stages: Sequence[ClipSource], over: float) -> None:
        if not stages or not 0 < over <= 1:
            raise DataError(f"{len(stages)} stages that pass in {over:g} of a training; give one, and a share up to 1")
        self._stages, self._over = tuple(stages), over

    def __len__(self) -> int:
        return len(self._stages[-1])

    def at(self, done: float) -> ClipSource:
        """The source to draw from when the share `done` of the training is over."""
        last = len(self._stages) - 1
        return self._stages[min(last, int(done / self._over * last)) if last else 0]

    def draw(self, number: int, generator: np.random.Generator) -> Draft:
        """Draw as at the end; see `ClipSource.draw`."""
        return self._stages[-1].draw(number, generator)


@dataclass(frozen=True, eq=False)
class SceneDraft:
    """Layers to be rendered; see `stills.layers.render`.

    Attributes:
        layers: from back to front.
        size: (height, width) of the frames.
    """

    layers: list[Layer]
    size: tuple[int, int]

    def render(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """See `clips.Draft.render`."""
        return render(self.layers, self.size, device)


class StillClips:
    """Clips made from pictures: moved as a whole, or as backgrounds of things cut out elsewhere.

    What is shown is drawn anew each time, whatever the number.

    Args:
        pictures: with labelled objects, moved as a whole; one set is drawn, then one of its pictures.
        backgrounds: what compositions stand before, drawn likewise; their own objects are background there.
        things: where the things of compositions come from, one drawn for each thing; without any, there are no
            compositions.
        length: frames of a clip.
        size: (height, width) of the frames.
        options: see `SceneOptions`.

    Raises:
        DataError: no pictures, or no backgrounds for the things.
    """

    def __init__(
        self,
        pictures: Sequence[Stills],
        backgrounds: Sequence[Stills],
        things: Sequence[CutoutSource],
        length: int,
        size: tuple[int, int],
        options: SceneOptions,
    ) -> None:
        self._pictures, self._backgrounds, self._things = tuple(pictures), tuple(backgrounds), tuple(things)
        self._length, self._size, self._options = length, size, options
        if not self._pictures or not all(map(len, self._pictures)):
            raise DataError("clips from stills need pictures, and none of their sets may be empty")
        if self._things and (not self._backgrounds or not all(map(len, self._backgrounds))):
            raise DataError("things cut out need backgrounds, and none of their sets may be empty")

    def __len__(self) -> int:
        return sum(map(len, self._pictures))

    def draw(self, number: int, generator: np.random.Generator) -> Draft:
        """See `ClipSource.draw`."""
        scene = Scene(self._length, self._size, self._options, generator)
        if generator.random() < self._options.moved or not self._things:
            pictures, index = any_of(self._pictures, generator)
            draft = SceneDraft(scene.moved_still(*pictures.read(index)), self._size)
            return with_categories(draft, pictures, index)
        backgrounds, index = any_of(self._backgrounds, generator)
        background, _ = backgrounds.read(index)
        return SceneDraft(scene.composition(background, self._thing), self._size)

    def _thing(self, frames: int, generator: np.random.Generator) -> Cutout:
        return self._things[int(generator.integers(len(self._things)))](frames, generator)


def any_of(sets: Sequence[Stills], generator: np.random.Generator) -> tuple[Stills, int]:
    """Some picture of some set; the sets alike likely."""
    chosen = sets[int(generator.integers(len(sets)))]
    return chosen, int(generator.integers(len(chosen)))


def with_categories(draft: Draft, pictures: Stills, index: int) -> Draft:
    """The draft of a clip made from a picture, with the categories of its objects where the set knows them."""
    if not isinstance(pictures, CategorisedStills):
        return draft
    categories = pictures.categories(index)
    return CategorisedDraft(draft, categories) if categories else draft


class ReleasedStills:
    """Clips made from pictures as the published 3DC-Seg does, one for each picture; see `stills.released`.

    Args:
        pictures: with labelled objects.
        length: frames of a clip.
        size: (height, width) of the frames; pictures come to it by `clips.resize_short_edge_and_crop`.
        repair: see `clips.released_crop_intervals`.
    """

    def __init__(self, pictures: Stills, length: int, size: tuple[int, int], repair: bool = False) -> None:
        self._pictures, self._length, self._size, self._repair = pictures, length, size, repair

    def __len__(self) -> int:
        return len(self._pictures)

    def draw(self, number: int, generator: np.random.Generator) -> Draft:
        """See `ClipSource.draw`."""
        picture, labels = self._pictures.read(number)
        picture, labels = resize_short_edge_and_crop(picture, labels, self._size, generator, self._repair)
        draft = ReleasedDraft.draw(picture, labels, self._length, generator)
        return with_categories(draft, self._pictures, number)


class WarpedStills:
    """Clips whose frames are warps of one picture, each by itself, as STEm-Seg makes them; see `stills.warps`.

    Args:
        pictures: with labelled objects.
        length: frames of a clip.
        size: (height, width) of the frames; pictures come to it by `clips.resize_short_edge_and_crop`.
        options: see `WarpOptions`.
    """

    def __init__(self, pictures: Stills, length: int, size: tuple[int, int], options: WarpOptions) -> None:
        self._pictures, self._length, self._size, self._options = pictures, length, size, options

    def __len__(self) -> int:
        return len(self._pictures)

    def draw(self, number: int, generator: np.random.Generator) -> Draft:
        """See `ClipSource.draw`."""
        picture, labels = self._pictures.read(number)
        picture, labels = resize_short_edge_and_crop(picture, labels, self._size, generator, repair=True)
        draft = WarpsDraft.draw(picture, labels, self._length, self._options, generator)
        return with_categories(draft, self._pictures, number)


class CopiedStills:
    """Clips of a picture several times, each frame cut by itself; one clip for each picture.

    Args:
        pictures: with labelled objects.
        length: frames of a clip.
        cutting: how; one that treats each frame by itself, as `rotated.RotatedCrop`.
    """

    def __init__(self, pictures: Stills, length: int, cutting: Cutting) -> None:
        self._pictures, self._length, self._cutting = pictures, length, cutting

    def __len__(self) -> int:
        return len(self._pictures)

    def draw(self, number: int, generator: np.random.Generator) -> Draft:
        """See `ClipSource.draw`."""
        picture, labels = self._pictures.read(number)
        frames = np.broadcast_to(picture, (self._length, *picture.shape))
        draft = self._cutting.draft(frames, np.broadcast_to(labels, (self._length, *labels.shape)), generator)
        return with_categories(draft, self._pictures, number)


class FramesOf:
    """The annotated frames of sequences as single pictures; they are `Stills`."""

    def __init__(self, sequences: Sequence[AnySequence]) -> None:
        self._frames = [(sequence, index) for sequence in sequences for index in sequence.annotated]

    def __len__(self) -> int:
        return len(self._frames)

    def read(self, index: int) -> tuple[Picture, Labels]:
        """See `Stills.read`."""
        sequence, frame = self._frames[index]
        frames, labels = read_clip(sequence, [frame])
        return frames[0], labels[0]


def moving_things(sequences: Sequence[AnySequence], spans: Sequence[int] = (1, 2), least: int = 100) -> CutoutSource:
    """Make a source of things cut out of videos, which keep moving as they did there.

    Args:
        sequences: only frames with an annotation take part.
        spans: steps between the frames taken, in annotated frames; one is drawn for each thing.
        least: pixels that a thing must have on each of its frames.

    Raises:
        DataError: no sequence has an annotated frame.
    """
    usable = [(sequence, sequence.annotated) for sequence in sequences if sequence.annotated]
    if not usable:
        raise DataError("none of the sequences has an annotated frame")
    return partial(_draw_moving_thing, usable, tuple(spans), least)


def _draw_moving_thing(
    usable: Sequence[tuple[AnySequence, list[int]]],
    spans: Sequence[int],
    least: int,
    frames: int,
    generator: np.random.Generator,
) -> Cutout:
    """Some object of some sequence; where the sequence ends, its last frame is repeated."""
    for _ in range(TRIES):
        sequence, annotated = usable[int(generator.integers(len(usable)))]
        step = int(generator.choice(spans))
        first = int(generator.integers(max(1, len(annotated) - step * (frames - 1))))
        chosen = [annotated[min(first + step * place, len(annotated) - 1)] for place in range(frames)]
        pictures, labels = read_clip(sequence, chosen)
        counts = np.stack([np.bincount(one.ravel(), minlength=256)[1 : MOST + 1] for one in labels])  # (T, 254)
        ids = 1 + np.flatnonzero(counts.min(axis=0) >= least)
        if len(ids):
            return cut(pictures, labels == generator.choice(ids))
    raise DataError(f"{TRIES} clips without an object of {least} pixels on every frame; are the masks empty?")
