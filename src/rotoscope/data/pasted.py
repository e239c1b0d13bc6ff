"""Training clips of many instances: pictures that move with all their objects, cut-out things of others before them.

What is annotated is an instance, whether it moves with its picture or by itself, as in the clips that models of
instances are scored on (`data.made_clips`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rotoscope.data.clips import CategorisedDraft, Draft
from rotoscope.data.sources import SceneDraft, any_of
from rotoscope.data.stills.cutouts import TRIES, CategorisedStills, Cutout, Stills, cut, whole_objects
from rotoscope.data.stills.scenes import Scene, SceneOptions
from rotoscope.data.tracks import MOST
from rotoscope.errors import DataError, OptionError

_LEAST = 400  # pixels of a thing that is cut out


class PastedStills:
    """Clips made from pictures that move and bend as a whole, with things before them that move by themselves.

    What is shown is drawn anew each time, whatever the number.

    Args:
        pictures: with labelled objects; one set is drawn, then one of its pictures.
        things: pictures whose objects are cut out, drawn likewise; the pictures themselves where there are none.
        count: fewest and most things of a clip.
        length: frames of a clip.
        size: (height, width) of the frames.
        options: see `SceneOptions`; chances of compositions do not matter.

    Raises:
        OptionError: there are no such numbers of things.
        DataError: a set is empty, or there is none.
    """

    def __init__(
        self,
        pictures: Sequence[Stills],
        things: Sequence[Stills],
        count: tuple[int, int],
        length: int,
        size: tuple[int, int],
        options: SceneOptions,
    ) -> None:
        if not 0 <= count[0] <= count[1] <= 100:
            raise OptionError(f"pasted from {count[0]} to {count[1]} things: expected 0 to 100, the smaller one first")
        self._pictures, self._things = tuple(pictures), tuple(things) or tuple(pictures)
        if not self._pictures or not all(map(len, (*self._pictures, *self._things))):
            raise DataError("clips from stills need pictures, and none of their sets may be empty")
        self._count, self._length, self._size, self._options = count, length, size, options

    def __len__(self) -> int:
        return sum(map(len, self._pictures))

    def draw(self, number: int, generator: np.random.Generator) -> Draft:
        """See `ClipSource.draw`."""
        pictures, index = any_of(self._pictures, generator)
        picture, labels = pictures.read(index)
        own = 1 + np.flatnonzero(np.bincount(labels.ravel(), minlength=256)[1 : MOST + 1])
        categories = {label: number for label, number in _categories(pictures, index).items() if label in own}
        free = np.setdiff1d(np.arange(1, MOST + 1), own)
        things: dict[int, Cutout] = {}
        for label in free[: int(generator.integers(self._count[0], self._count[1] + 1))]:
            things[int(label)], category = self._thing(generator)
            if category:
                categories[int(label)] = category
        scene = Scene(self._length, self._size, self._options, generator)
        draft = SceneDraft(scene.instances(picture, labels, things), self._size)
        return CategorisedDraft(draft, categories) if categories else draft

    def _thing(self, generator: np.random.Generator) -> tuple[Cutout, int]:
        """Some object that lies wholly in its picture, and its category; 0 where it is not known."""
        for _ in range(TRIES):
            pictures, index = any_of(self._things, generator)
            picture, labels = pictures.read(index)
            ids = whole_objects(labels, _LEAST)
            if len(ids):
                label = int(generator.choice(ids))
                return cut(picture, labels == label), _categories(pictures, index).get(label, 0)
        raise DataError(f"{TRIES} pictures without a whole object of {_LEAST} pixels; are these masks empty?")


def _categories(pictures: Stills, index: int) -> dict[int, int]:
    return dict(pictures.categories(index)) if isinstance(pictures, CategorisedStills) else {}
