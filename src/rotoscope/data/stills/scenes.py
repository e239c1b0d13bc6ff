"""What is in a clip made from stills: a picture that moves as a whole, or things cut out and put before another.

All objects get ids from 1 on in the labels; for a foreground system every id is foreground. Things that lie still in
the scene (look-alikes, occluders) are background: only what moves by itself is an object there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from rotoscope.data.stills.cutouts import Cutout, CutoutSource, Labels, Picture, cut_from, soft_edges
from rotoscope.data.stills.layers import Layer
from rotoscope.data.stills.motion import Bend, BendKind, Floats, Range, about, matrices, moves
from rotoscope.data.tone import Tone
from rotoscope.ops.resize import resize_labels, resize_picture

__all__ = ["Scene", "SceneOptions", "cut_from"]

DENSITY = 1.3  # pixels of a texture that are kept for a pixel of the frame, a side; more would only alias
LEAST_WAY = 0.06  # half frame heights that an object of a composition moves against what is behind it
_KINDS: tuple[BendKind, ...] = get_args(BendKind)
_VIEW = Range(shift=0.5, scale=0.2, turn=0.12, shear=0.03, shake=0.004)
_OWN = Range(shift=0.7, scale=0.35, turn=0.35, shear=0.08, shake=0.003)


@dataclass(frozen=True)
class SceneOptions:
    """Chances and reaches of what a clip may show.

    Attributes:
        moved: chance that a picture with its own objects moves as a whole, as the papers pre-train; the rest are
            compositions.
        parted: chance that in a moved picture the objects also move against their surroundings.
        second: chance of a second object in a composition.
        look_alike: chance of a thing or two that lie still in the scene.
        occluder: chance of a thing that lies still in front of the objects.
        area: smallest and largest share of the frame that an object covers at rest; one that would be wider or higher
            than the frame is made smaller.
        view: how the whole view moves.
        own: how an object moves by itself.
        bend: largest standard deviation of a bend's nodes, in half textures; 0 for no bends.
        tone: width of the changes of colour, see `Tone.draw`; 0 for none.
        blur: chance that a layer is blurred, by a Gaussian of up to 1.5 pixels of the frame.
    """

    moved: float = 0.35
    parted: float = 0.4
    second: float = 0.25
    look_alike: float = 0.5
    occluder: float = 0.25
    area: tuple[float, float] = (0.008, 0.4)
    view: Range = _VIEW
    own: Range = _OWN
    bend: float = 0.06
    tone: float = 0.15
    blur: float = 0.25


class Scene:
    """One clip in the making: what every drawing of it needs.

    Args:
        frames: T.
        size: (height, width) of the frames.
        options: see `SceneOptions`.
        generator: source of chance.
    """

    def __init__(
        self, frames: int, size: tuple[int, int], options: SceneOptions, generator: np.random.Generator
    ) -> None:
        self.frames, self.size, self.options, self.generator = frames, size, options, generator

    def moved_still(self, picture: Picture, labels: Labels) -> list[Layer]:
        """Let a picture move and bend as a whole; its objects may also part a little from their surroundings.

        Args:
            picture: (h, w, 3) uint8 RGB.
            labels: (h, w) uint8; the ids are kept.
        """
        view = matrices(moves(self.frames, self.options.view, self.generator))
        cover = self._covering(picture, labels)
        whole = self._layer(picture, view @ cover, labels, bends=True)
        if not self._happens(self.options.parted) or not labels.any():
            return [whole]
        # The objects hide where they were: they are a little larger, and move by a little of their own size.
        centre, extent = _extent(labels > 0)
        room = float((extent * np.abs(np.diag(cover)[:2])).min())  # half of its shorter side, in half frame heights
        reach = Range(shift=0.3 * room, scale=0.1, turn=0.1, shear=0.02, shake=self.options.own.shake)
        movement = moves(self.frames, reach, self.generator)
        movement[:, 2] += self.generator.uniform(0.02, 0.2)
        places = view @ about(cover @ centre, matrices(movement)) @ cover
        alpha = soft_edges(labels > 0, (whole.texture.shape[0], whole.texture.shape[1]))
        front = replace(whole, places=_inverted(places), alpha=alpha)
        return [replace(whole, labels=0), front]

    def composition(self, background: Picture, things: CutoutSource) -> list[Layer]:
        """Put one or two moving things, and others that lie still in the scene, before a picture.

        Args:
            background: (h, w, 3) uint8 RGB.
            things: where the others come from.
        """
        options = self.options
        follows = self._happens(0.5)  # the camera follows the object: the view moves most, the object least
        view = matrices(moves(self.frames, options.view if follows else options.view.times(0.4), self.generator))
        layers = [self._layer(background, view @ self._covering(background))]
        if self._happens(options.look_alike):
            layers += [self._still(self._thing(things), view) for _ in range(int(self.generator.integers(1, 3)))]
        for label in range(1, 3 if self._happens(options.second) else 2):
            thing = self._thing(things)
            places = self._object_places(self._rest(thing), view, follows)
            layers.append(self._layer(thing.texture, places, label, thing.mask, bends=True))
        if self._happens(options.occluder):
            tall = self._happens(0.5)
            layers.append(self._still(self._post(background) if tall else self._thing(things), view, tall))
        return layers

    def instances(self, picture: Picture, labels: Labels, things: Mapping[int, Cutout]) -> list[Layer]:
        """Let a picture move and bend with its own objects, and things move by themselves before it.

        Args:
            picture: (h, w, 3) uint8 RGB.
            labels: (h, w) uint8; the ids are kept.
            things: id to what is put before it, in this order.
        """
        view = matrices(moves(self.frames, self.options.view.times(0.5), self.generator))
        layers = [self._layer(picture, view @ self._covering(picture, labels), labels, bends=True)]
        for label, thing in things.items():
            places = self._object_places(self._rest(thing), view, follows=False)
            layers.append(self._layer(thing.texture, places, label, thing.mask, bends=True))
        return layers

    def _happens(self, chance: float) -> bool:
        return bool(self.generator.random() < chance)

    def _thing(self, things: CutoutSource) -> Cutout:
        return things(self.frames, self.generator)

    def _object_places(self, rest: Floats, view: Floats, follows: bool) -> Floats:
        """How an object moves: (T, 3, 3). Ways on which it would seem to lie still in the scene are drawn anew."""
        reach = self.options.own.times(0.3) if follows else self.options.own
        around = np.eye(3) if follows else view
        for _ in range(10):
            own = matrices(moves(self.frames, reach, self.generator))
            places: Floats = around @ about(rest[:, 2], own) @ rest
            seen = np.linalg.inv(view) @ places[:, :, 2:]  # the object's middle, as the background sees it
            if np.linalg.norm(seen - seen[:1], axis=1).max() >= LEAST_WAY:
                break
        return places

    def _still(self, thing: Cutout, view: Floats, tall: bool = False) -> Layer:
        """A thing that lies still in the scene; no object."""
        thing = thing.still(int(self.generator.integers(self.frames)))
        return self._layer(thing.texture, view @ self._rest(thing, tall), 0, thing.mask)

    def _rest(self, thing: Cutout, tall: bool = False) -> Floats:
        """Where a thing stands and how large it is: the affine map (3, 3) from its texture to the frame."""
        height, width = thing.mask.shape[-2:]
        if tall:
            factor = self.size[0] * self.generator.uniform(0.8, 2.4) / height
        else:
            share = np.exp(self.generator.uniform(*np.log(self.options.area)))
            factor = np.sqrt(share * self.size[0] * self.size[1] / max(1e-6, thing.mask.mean() * height * width))
            factor = min(factor, 1.1 * self.size[0] / height, 0.9 * self.size[1] / width)
        rest = np.diag([self._side() * width * factor / self.size[0], height * factor / self.size[0], 1.0])
        rest[0, 2] = self.generator.uniform(-0.8, 0.8) * self.size[1] / self.size[0]
        rest[1, 2] = self.generator.uniform(-0.6, 0.6)
        return rest

    def _side(self) -> int:
        """1, or -1 for mirrored."""
        return 1 if self._happens(0.5) else -1

    def _covering(self, picture: Picture, labels: Labels | None = None) -> Floats:
        """Enlarge a picture so that it covers the frame, and choose the part that is seen; objects stay in view.

        Returns:
            The affine map (3, 3) from the picture's own coordinates to the frame.
        """
        aspect, own = self.size[1] / self.size[0], picture.shape[1] / picture.shape[0]
        half_height = max(1.0, aspect / own) * self.generator.uniform(1.0, 1.6)
        half, frame = np.array([half_height * own, half_height]), np.array([aspect, 1.0])
        room = half - frame
        chosen = self.generator.uniform(-1, 1, 2)
        shift = chosen * room
        if labels is not None and labels.any():  # towards some point of an object
            spots = np.flatnonzero(labels)
            row, column = divmod(int(spots[self.generator.integers(len(spots))]), labels.shape[1])
            point = np.array([(column + 0.5) / labels.shape[1], (row + 0.5) / labels.shape[0]]) * 2 - 1
            shift = np.clip(chosen * np.minimum(0.3 * room, 0.5 * frame) - point * half, -room, room)
        side = self._side()
        cover = np.diag([side * half[0], half[1], 1.0])
        cover[:2, 2] = side * shift[0], shift[1]
        return cover

    def _post(self, picture: Picture) -> Cutout:
        """A strip of the background, as a trunk or a pole."""
        width = picture.shape[1]
        wide = int(self.generator.integers(max(2, width // 40), max(3, width // 9)))
        left = int(self.generator.integers(0, max(1, width - wide + 1)))
        texture = picture[:, left : left + wide].copy()
        mask = np.zeros(texture.shape[:2], np.bool_)
        mask[2:-2, 1:-1] = True
        return Cutout(texture, mask)

    def _layer(
        self,
        texture: NDArray[np.uint8],
        places: Floats,
        labels: Labels | int = 0,
        mask: NDArray[np.bool_] | None = None,
        bends: bool = False,
    ) -> Layer:
        """Make a layer whose texture has no more pixels than are seen, under a bend, tone and blur that are drawn."""
        options, generator = self.options, self.generator
        height, width = texture.shape[-3:-1]
        sides = np.linalg.norm(places[:, :2, :2], axis=1).max(axis=0) * self.size[0]  # of the texture, in the frame
        scale = min(1.0, DENSITY * float(max(sides / [width, height])))
        size = max(1, round(height * scale)), max(1, round(width * scale))
        kind = int(generator.integers(len(_KINDS) + 1)) if bends and options.bend else len(_KINDS)
        strength = options.bend * generator.uniform(0.2, 1)
        sigma = generator.uniform(0.4, 1.5) if self._happens(options.blur) else 0.0
        return Layer(
            _resized(texture, size),
            _inverted(places),
            labels if isinstance(labels, int) else resize_labels(labels, size),
            None if mask is None else soft_edges(mask, size),
            Bend.draw(_KINDS[kind], self.frames, strength, generator) if kind < len(_KINDS) else None,
            Tone.draw(options.tone, generator) if options.tone else Tone(),
            float(sigma * min(size / sides[::-1])),
        )


def _extent(mask: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """The middle (x, y, 1) of a mask and its half width and height, in the texture's coordinates."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    first, last = np.array([columns[0], rows[0]]), np.array([columns[-1] + 1, rows[-1] + 1])
    middle = (first + last) / mask.shape[::-1] - 1
    return np.array([*middle, 1.0]), (last - first) / mask.shape[::-1]


def _resized(texture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(h, w, 3) or (T, h, w, 3) at another size, antialiased."""
    if texture.ndim == 4 and texture.shape[1:3] != size:
        return np.stack([resize_picture(one, size) for one in texture])
    return texture if texture.ndim == 4 else resize_picture(texture, size)


def _inverted(places: Floats) -> NDArray[np.float32]:
    """(T, 3, 3) from texture to frame -> (T, 2, 3) float32 from frame to texture."""
    return np.linalg.inv(places)[:, :2].astype(np.float32)
