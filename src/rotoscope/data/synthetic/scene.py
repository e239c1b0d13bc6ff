"""One scene: what stands where, how the things move through it, and which of their pixels are seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from rotoscope.data.synthetic.camera import Patch, Sprite, View, camera_path, place
from rotoscope.data.synthetic.car import PAINTS, WHEEL_RADIUS, Car
from rotoscope.data.synthetic.dog import COATS, STRIDE, Dog
from rotoscope.data.synthetic.landscape import Landscape
from rotoscope.data.synthetic.plants import bush, rock, shadow, tree

_HORIZON = 0.40  # rows as parts of the height
_ROAD = (0.495, 0.60)
_CAR_ROW = 0.578
_DOG_ROW = 0.865
_SHUTTER = 0.35  # the part of a frame's time that the shutter is open
_GRAIN = 64  # spare pixels about the film grain, for a new offset on each frame


@dataclass(frozen=True, slots=True, eq=False)
class _Standing:
    """Something that does not move: its sprite, the column of its foot at the camera's middle, its row."""

    sprite: Sprite
    x: float
    row: float


@dataclass(frozen=True, slots=True, eq=False)
class _Moving:
    """A thing's way: its id, its row, the column on each frame at rest, the ground it has covered, its shadow."""

    track_id: int
    thing: Dog | Car
    row: float
    xs: NDArray[np.float64]
    covered: NDArray[np.float64]
    size: float
    shade: Sprite


class Scene:
    """Everything that one clip shows, ready to draw any frame.

    Args:
        seed: decides landscape, plants, colours, the camera's unrest and the direction of travel.
        frames: number of frames; the things cross the picture once in that time.
        size: (height, width).
        things: 1 for the dog, 2 for the dog and the car.
    """

    def __init__(self, seed: int, frames: int, size: tuple[int, int], things: int) -> None:
        rng, animal, machine, plants = np.random.default_rng(seed).spawn(4)  # so that the car changes nothing else
        height, width = size
        self._seed, self._size = seed, size
        self._unit = min(height, 0.62 * width)
        self._travel = 0.26 * width
        self._mirrored = bool(rng.random() < 0.5)
        horizon = _HORIZON * height
        self._views = camera_path(rng, frames, size, horizon, self._travel)
        margin = int(0.5 * self._travel * 1.25 + 0.02 * width) + 6
        self._landscape = Landscape(rng, size, horizon, (_ROAD[0] * height, _ROAD[1] * height), margin)
        self._movers = [self._add_dog(animal)] + ([self._add_car(machine)] if things > 1 else [])
        self._standing = self._plant(plants)
        grain = rng.normal(128, 3.4, (height + _GRAIN, width + _GRAIN, 3)).clip(0, 255).astype(np.uint8)
        self._grain = Image.fromarray(grain)
        self._vignette = Image.fromarray(_vignette(size))

    def render(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Draw a frame.

        Returns:
            (H, W, 3) uint8 RGB picture and (H, W) uint8 label map of the pixels that show each thing.
        """
        view = self._views[index]
        canvas = self._landscape.render(view)
        seen = {mover.track_id: Image.new("L", canvas.size) for mover in self._movers}
        items: list[_Standing | _Moving] = [*self._standing, *self._movers]
        for item in sorted(items, key=lambda item: item.row):
            if isinstance(item, _Moving):
                self._draw_mover(canvas, seen, item, view, index)
            else:
                self._draw_standing(canvas, seen, item, view)
        labels = np.zeros(self._size, np.uint8)
        for track_id, coverage in seen.items():
            labels[np.asarray(coverage) >= 128] = track_id
        picture = np.array(self._develop(canvas, index))
        if self._mirrored:
            return np.ascontiguousarray(picture[:, ::-1]), np.ascontiguousarray(labels[:, ::-1])
        return picture, labels

    def _draw_standing(self, canvas: Image.Image, seen: dict[int, Image.Image], item: _Standing, view: View) -> None:
        x = item.x - view.step * view.nearness(item.row)
        patch = place(item.sprite, view, x, item.row)
        _paste(canvas, patch)
        _hide(seen, patch)

    def _draw_mover(
        self, canvas: Image.Image, seen: dict[int, Image.Image], item: _Moving, view: View, index: int
    ) -> None:
        x, covered = float(item.xs[index]), float(item.covered[index])
        if isinstance(item.thing, Dog):
            sprite = item.thing.sprite(covered / (STRIDE * item.size))
        else:
            sprite = _flipped(item.thing.sprite(covered / (2 * np.pi * WHEEL_RADIUS * item.size)))
        before = max(1, index) - 1
        speed = abs(float(item.xs[min(before + 1, len(item.xs) - 1)] - item.xs[before]))
        _paste(canvas, place(item.shade, view, x, item.row))
        patch = place(sprite, view, x, item.row, _SHUTTER * min(speed, 0.05 * view.width))
        _paste(canvas, patch)
        _hide(seen, patch)
        if patch is not None:
            alpha = patch.picture.getchannel("A")
            seen[item.track_id].paste(alpha, patch.box[:2])

    def _develop(self, canvas: Image.Image, index: int) -> Image.Image:
        """Lens and film: darker corners, grain."""
        x, y = np.random.default_rng((self._seed, index)).integers(0, _GRAIN, 2).tolist()
        grain = self._grain.crop((x, y, x + canvas.width, y + canvas.height))
        return ImageChops.add(ImageChops.multiply(canvas, self._vignette), grain, scale=1, offset=-128)

    def _path(self, start: float, end: float, row: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Columns from start to end, and the ground covered, which the camera's own walk adds to."""
        number = len(self._views)
        progress = np.linspace(0, 1, number) if number > 1 else np.full(1, 0.35)
        xs = start + (end - start) * progress
        nearness = self._views[0].nearness(row)
        steps = np.array([view.step for view in self._views]) * nearness
        covered = np.abs(xs + steps - (xs[0] + steps[0]))
        return xs, covered + 0.12 * self._unit

    def _add_dog(self, rng: np.random.Generator) -> _Moving:
        height, width = self._size
        withers = 0.30 * self._unit
        row = _DOG_ROW * height
        coat = COATS[int(rng.integers(len(COATS)))]
        xs, covered = self._path(1.0 * withers, width - 1.25 * withers, row)
        shade = shadow(1.35 * withers, 0.16 * withers, 0.5)
        return _Moving(1, Dog(rng, withers, coat), row, xs, covered, withers, shade)

    def _add_car(self, rng: np.random.Generator) -> _Moving:
        height, width = self._size
        length = 0.68 * self._unit
        row = _CAR_ROW * height
        paint = PAINTS[int(rng.integers(len(PAINTS)))]
        xs, covered = self._path(width - 0.42 * length, 0.30 * length, row)
        shade = shadow(1.0 * length, 0.06 * length, 0.75)
        return _Moving(2, Car(rng, length, paint), row, xs, covered, length, shade)

    def _plant(self, rng: np.random.Generator) -> list[_Standing]:
        """Trees and bushes beyond the road, a tree this side of it, rocks, and a bush to hide the dog for a while."""
        height, width, unit = *self._size, self._unit
        standing = []
        for part in rng.permutation(6)[:4]:
            x, row = width * (-0.05 + (part + rng.uniform(0.2, 0.8)) / 5.4), rng.uniform(0.435, 0.485) * height
            big = unit * (0.5 + 2.2 * (row / height - 0.435))
            tall = rng.random() < 0.6
            plant = tree(rng, big * 0.72, big * 0.85, rng.uniform(-1, 1)) if tall else bush(rng, big * 0.4, big * 0.22)
            standing.append(self._stand(plant, x, row, 0.7))
        x = float(np.interp(0.78, (0, 1), (0, width))) + rng.uniform(-0.05, 0.05) * width
        standing.append(
            self._stand(tree(rng, 0.62 * unit, 0.86 * unit, rng.uniform(-0.6, 0.8)), x, 0.625 * height, 0.7)
        )
        for _ in range(3):
            side = rng.uniform(0.05, 0.13) * unit
            place_x, row = rng.uniform(0, width), rng.uniform(0.66, 0.95) * height
            standing.append(self._stand(rock(rng, side, side * rng.uniform(0.45, 0.65)), place_x, row, 1.0))
        standing.append(self._hide_dog(rng))
        return standing

    def _stand(self, sprite: Sprite, x: float, row: float, part: float) -> _Standing:
        """Put a sprite on the ground; its shadow, `part` as wide as the sprite, is painted on the ground at once."""
        width = sprite.picture.width * part
        self._landscape.cast(shadow(width, 0.16 * width), x, row)
        return _Standing(sprite, x, row)

    def _hide_dog(self, rng: np.random.Generator) -> _Standing:
        """The bush in front, where the dog is some way past the middle of the clip."""
        row = 1.015 * self._size[0]
        dog = self._movers[0]
        moment = rng.uniform(0.58, 0.72) * (len(self._views) - 1)
        along = np.arange(len(self._views))
        steps = [view.step for view in self._views]
        x = np.interp(moment, along, dog.xs) + np.interp(moment, along, steps) * self._views[0].nearness(row)
        plant = bush(rng, 0.46 * self._unit, 0.38 * self._unit, rng.uniform(-0.9, 0.1))
        return self._stand(plant, float(x), row, 0.9)


def _flipped(sprite: Sprite) -> Sprite:
    """The sprite looking the other way."""
    picture = sprite.picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return Sprite(picture, (picture.width - sprite.foot[0], sprite.foot[1]), sprite.scale)


def _paste(canvas: Image.Image, patch: Patch | None) -> None:
    if patch is not None:
        canvas.paste(patch.picture, patch.box[:2], patch.picture)


def _hide(seen: dict[int, Image.Image], patch: Patch | None) -> None:
    """What stands nearer takes its pixels from all that is behind it."""
    if patch is None:
        return
    alpha = patch.picture.getchannel("A")
    for coverage in seen.values():
        coverage.paste(0, patch.box, alpha)


def _vignette(size: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = size
    y = np.linspace(-1, 1, height)[:, None]
    x = np.linspace(-1, 1, width)[None]
    level = 255 * (1 - 0.16 * np.clip((x**2 + y**2) / 2, 0, 1) ** 1.5)
    return np.repeat(level.astype(np.uint8)[..., None], 3, axis=2)
