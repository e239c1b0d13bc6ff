"""Clips to evaluate on, composed from pictures with annotated instances: COCO's pictures move, and so do cut-outs.

Every annotated object of a picture is an instance of the clip, whether it moves with the picture or by itself; what
lies still and is not annotated does not occur. The same seed makes the same clips. Clips of one frame are the pictures
as they are, with the objects that are wanted annotated, as COCO's own scores of some categories take them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rotoscope.bounds import whole
from rotoscope.data.clip_set import AnnotatedClip, jpeg
from rotoscope.data.coco import Coco
from rotoscope.data.stills.cutouts import TRIES, Cutout, cut, whole_objects
from rotoscope.data.stills.layers import Layer, render
from rotoscope.data.stills.scenes import Scene, SceneOptions
from rotoscope.errors import DataError, OptionError
from rotoscope.names import UniqueNames

_PICTURE_SIDE = 16.0  # pixels of the smallest object of a picture that becomes a clip
_CUTOUT_PIXELS = 900
_MOST_FRAMES, _MOST_SIDE = 10_000, 8192
_DRAWS = 60  # clips that may be thrown away for one that shows all of its objects on the first frame
_SCENES = SceneOptions(area=(0.012, 0.2), bend=0.04, tone=0.08, blur=0.0)


@dataclass(frozen=True)
class MadeClips:
    """What clips are wanted.

    Attributes:
        objects: fewest and most instances of a clip.
        frames: fewest and most frames of a clip.
        size: (height, width).
        seed: of all chance.
        least: share of the frame that every instance covers on the first frame.
    """

    objects: tuple[int, int] = (1, 5)
    frames: tuple[int, int] = (12, 12)
    size: tuple[int, int] = (360, 640)
    seed: int = 0
    least: float = 0.001

    def __post_init__(self) -> None:
        for name in ("objects", "frames"):
            low, high = getattr(self, name)
            if not 1 <= low <= high:
                raise OptionError(f"{name} from {low} to {high}: expected whole numbers above 0, the smaller one first")
        if self.objects[1] > 100:
            raise OptionError(f"{self.objects[1]} objects in a clip; expected at most 100")
        if self.frames[1] > _MOST_FRAMES:
            raise OptionError(f"{self.frames[1]} frames in a clip; expected at most {_MOST_FRAMES}")
        if min(self.size) < 32:
            raise OptionError(f"clips of {self.size[1]}x{self.size[0]} pixels; expected 32 or more a side")
        if max(self.size) > _MOST_SIDE:
            raise OptionError(f"clips of {self.size[1]}x{self.size[0]} pixels; expected at most {_MOST_SIDE} a side")
        whole("seed", self.seed, 0, 2**53)


class InstancePictures:
    """Pictures whose objects have categories that are wanted.

    Args:
        annotations: COCO's `instances_<split>.json`, or a file like it.
        images: folder of the pictures; found beside the annotations without it.
        split: only the pictures that say they belong to it.
        classes: category of the file to that wanted; pictures with an object of another are left out.
        among_others: take them as well, if they have an object that is wanted; the others are not annotated then.

    Raises:
        DataError: a file is missing or is not COCO's.

    Attributes:
        names: number to name of the file's own categories, or numbers as names where it has none.
        usable: numbers of the pictures.
    """

    def __init__(
        self,
        annotations: Path,
        images: Path | None = None,
        split: str | None = None,
        classes: Mapping[int, int] | None = None,
        among_others: bool = False,
    ) -> None:
        self._coco = Coco(annotations, images, split, least_side=0.0, classes=classes if among_others else None)
        self._classes = None if among_others else classes
        raw = [self._coco.categories(number) for number in range(len(self._coco))]
        whole = (len(own) == self._coco.count(number) for number, own in enumerate(raw))
        self.usable = [
            number
            for number, (own, known) in enumerate(zip(raw, whole, strict=True))
            if known and (self._classes is None or all(category in self._classes for category in own.values()))
        ]
        numbers = sorted({category for own in raw for category in own.values()})
        self.names = self._coco.names or {number: str(number) for number in numbers}
        if not self.usable:
            raise DataError(f"{annotations} has no picture all of whose objects have a category that is wanted")

    def path(self, number: int) -> Path:
        """Of a picture's file."""
        return self._coco.path(number)

    def smallest(self, number: int) -> float:
        """The shorter side of the smallest object's box, in pixels."""
        return self._coco.smallest_side(number)

    def read(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Give a picture (H, W, 3) uint8 RGB and its labels (H, W) uint8."""
        return self._coco.read(number)

    def categories(self, number: int) -> dict[int, int]:
        """Give the category wanted of each label of a picture."""
        own = self._coco.categories(number)
        return own if self._classes is None else {label: self._classes[category] for label, category in own.items()}


def made_clips(pictures: InstancePictures, count: int, wanted: MadeClips) -> Iterator[AnnotatedClip]:
    """Compose clips: a picture that moves and bends with its own objects, and things cut out of others before it.

    Every clip has its own source of chance, so that more clips leave the first ones as they are.

    Raises:
        DataError: there are no such pictures, or no clip with these numbers of objects comes about.
    """
    most = wanted.objects[1]
    grounds = [
        number
        for number in pictures.usable
        if len(pictures.categories(number)) <= most and pictures.smallest(number) >= _PICTURE_SIDE
    ]
    if not grounds:
        raise DataError(
            f"no picture has at most {most} objects, all of them {_PICTURE_SIDE:.0f} pixels wide and high; "
            "allow more --objects"
        )
    for number in range(count):
        yield _Maker(pictures, grounds, wanted, number).clip(f"{number:04d}")


def still_clips(pictures: InstancePictures, count: int, wanted: MadeClips) -> Iterator[AnnotatedClip]:
    """Give pictures as they are, in an order of chance, as clips of one frame that bear their names, made safe.

    Raises:
        DataError: there is no picture with these numbers of objects.
    """
    low, high = wanted.objects
    fitting = [number for number in pictures.usable if low <= len(pictures.categories(number)) <= high]
    if not fitting:
        raise DataError(f"no picture has {low} to {high} objects; allow other numbers of --objects")
    names = UniqueNames()
    order = np.random.default_rng(wanted.seed).permutation(len(fitting))
    for place in order[:count]:
        number = fitting[place]
        picture, labels = pictures.read(number)
        path = pictures.path(number)
        file = path.read_bytes() if path.suffix.lower() in (".jpg", ".jpeg") else jpeg(picture)
        yield _numbered(names.of(path.stem), [file], labels[None], pictures.categories(number))


class _Maker:
    """One clip in the making."""

    def __init__(self, pictures: InstancePictures, grounds: list[int], wanted: MadeClips, number: int) -> None:
        self._pictures, self._grounds, self._wanted = pictures, grounds, wanted
        self._generator = np.random.default_rng([wanted.seed, number])

    def clip(self, name: str) -> AnnotatedClip:
        for _ in range(_DRAWS):
            layers, categories = self._draw()
            frames, labels = render(layers, self._wanted.size)
            ids = labels.numpy()
            if self._shows_all(ids):
                colours = frames.permute(1, 2, 3, 0).mul(255).round().byte().numpy()  # (T, H, W, 3)
                return _numbered(name, [jpeg(picture) for picture in colours], ids, categories)
        low, high = self._wanted.objects
        raise DataError(
            f"{_DRAWS} clips were drawn, none showed {low} to {high} objects on its first frame; allow others with "
            "--objects"
        )

    def _draw(self) -> tuple[list[Layer], dict[int, int]]:
        generator, pictures, (low, high) = self._generator, self._pictures, self._wanted.objects
        frames = int(generator.integers(self._wanted.frames[0], self._wanted.frames[1] + 1))
        ground = self._grounds[int(generator.integers(len(self._grounds)))]
        picture, labels = pictures.read(ground)
        categories = pictures.categories(ground)
        first = len(categories) + 1
        count = int(generator.integers(max(low, len(categories)), high + 1))
        things: dict[int, Cutout] = {}
        for label in range(first, count + 1):
            things[label], categories[label] = self._thing()
        scene = Scene(frames, self._wanted.size, _SCENES, generator)
        return scene.instances(picture, labels, things), categories

    def _thing(self) -> tuple[Cutout, int]:
        """Some object that lies wholly in its picture, and its category."""
        generator, pictures = self._generator, self._pictures
        for _ in range(10 * TRIES):
            number = pictures.usable[int(generator.integers(len(pictures.usable)))]
            picture, labels = pictures.read(number)
            ids = whole_objects(labels, _CUTOUT_PIXELS)
            if len(ids):
                label = int(generator.choice(ids))
                return cut(picture, labels == label), pictures.categories(number)[label]
        raise DataError(f"hardly any picture has an object of {_CUTOUT_PIXELS} pixels to cut out; use larger pictures")

    def _shows_all(self, labels: NDArray[np.uint8]) -> bool:
        """Whether all that is ever seen is seen well on the first frame, and is as much as wanted."""
        first, ever = (np.bincount(part.ravel(), minlength=256)[1:] for part in (labels[0], labels))
        number = np.count_nonzero(ever)
        enough = bool((first[ever > 0] >= self._wanted.least * labels[0].size).all())
        return enough and bool(self._wanted.objects[0] <= number <= self._wanted.objects[1])


def _numbered(
    name: str, pictures: list[bytes], labels: NDArray[np.uint8], categories: Mapping[int, int]
) -> AnnotatedClip:
    """Number the labels that occur from 1 on."""
    known = 1 + np.flatnonzero(np.bincount(labels.ravel(), minlength=256)[1:])
    table = np.zeros(256, np.uint8)
    table[known] = np.arange(1, len(known) + 1)
    return AnnotatedClip(
        name, pictures, table[labels], {place: categories[int(old)] for place, old in enumerate(known, 1)}
    )
