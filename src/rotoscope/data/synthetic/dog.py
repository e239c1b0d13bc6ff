"""A dog in profile: an articulated skeleton in a trot, fleshed out with tapered strokes and shaded as fur in daylight.

Lengths are in withers heights (ground to shoulder), x forward, y upward, the origin on the ground below the trunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy.interpolate import CubicSpline

from rotoscope.data.synthetic.camera import Sprite
from rotoscope.data.synthetic.noise import octave_noise

_SUPER = 3  # shapes are drawn this much larger and then reduced: smooth edges
_LEFT, _RIGHT, _TOP, _BOTTOM = -1.12, 1.22, 1.62, -0.10  # the canvas around the origin
STRIDE = 1.0  # the ground covered in one gait cycle
_DUTY = 0.56  # the part of the cycle that a foot stands

Point = tuple[float, float]
Fur = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Coat:
    """Colours of a dog, RGB.

    Attributes:
        back: of the trunk and the head.
        belly: of the underside and the feet.
        patch: of large spots, None for a plain coat.
        collar: of the collar.
    """

    back: tuple[int, int, int]
    belly: tuple[int, int, int]
    patch: tuple[int, int, int] | None
    collar: tuple[int, int, int]


COATS = (
    Coat((184, 134, 82), (216, 184, 140), None, (172, 40, 44)),
    Coat((92, 60, 40), (140, 100, 70), None, (60, 110, 170)),
    Coat((226, 216, 202), (234, 226, 214), (58, 46, 42), (180, 44, 40)),
    Coat((52, 46, 44), (168, 116, 70), None, (190, 60, 40)),
    Coat((218, 186, 142), (236, 218, 190), None, (40, 100, 150)),
)


class Dog:
    """Draws one dog, pose by pose.

    Args:
        rng: decides fur and spots.
        withers: height at the shoulder in pixels of the picture.
        coat: the colours.
    """

    def __init__(self, rng: np.random.Generator, withers: float, coat: Coat) -> None:
        self._scale = max(6.0, withers)
        self._size = (
            max(4, round((_RIGHT - _LEFT) * self._scale)),
            max(4, round((_TOP - _BOTTOM) * self._scale)),
        )
        width, height = self._size
        fine = self._scale / 42
        fur = octave_noise(rng, (height, width), (max(1.2, 2.0 * fine), max(2.5, 7.0 * fine)), 3, 0.7)
        self._fur: Fur = fur
        self._edge = Image.fromarray(np.clip(128 + 46 * fur, 0, 255).astype(np.uint8))
        self._coat_picture = self._paint_coat(rng, coat)
        self._coat = coat

    def sprite(self, phase: float) -> Sprite:
        """Draw the dog at a phase of its gait, in cycles; it looks to the right."""
        bob = 0.018 * np.sin(4 * np.pi * phase)
        sway = 2 * np.pi * phase
        far = self._mask(_legs(phase, bob, far=True))
        trunk = self._mask(_trunk(sway, bob), soft=True)
        near = self._mask(_legs(phase, bob, far=False))
        picture = self._shaded(far, 0.56)
        self._lay(picture, self._shaded(trunk, 1.0), trunk)
        self._lay(picture, self._shaded(near, 0.97), ImageChops.multiply(near, self._blend()))
        alpha = ImageChops.lighter(ImageChops.lighter(far, trunk), near)
        self._draw_face(picture, sway, bob)
        picture.putalpha(alpha)
        return Sprite(picture, (-_LEFT * self._scale, _TOP * self._scale))

    def _paint_coat(self, rng: np.random.Generator, coat: Coat) -> NDArray[np.float32]:
        """Fur colour over the whole canvas, before light."""
        width, height = self._size
        up = np.linspace(_TOP, _BOTTOM, height, dtype=np.float32)[:, None]
        wander = octave_noise(rng, (height, width), (0.5 * self._scale, 0.5 * self._scale), 3)
        belly = np.clip((0.66 - up + 0.10 * wander) / 0.22, 0, 1)[..., None]
        colour = np.array(coat.back, np.float32) * (1 - belly) + np.array(coat.belly, np.float32) * belly
        if coat.patch is not None:
            spots = np.clip((wander - 0.18 + 0.06 * self._fur) * 14, 0, 1)[..., None]
            colour = colour * (1 - spots) + np.array(coat.patch, np.float32) * spots
        return np.asarray(colour * (1 + 0.13 * self._fur[..., None]), np.float32)

    def _mask(self, strokes: Sequence[_Stroke], soft: bool = False) -> Image.Image:
        """Coverage of a group of strokes, (H, W) "L"; a soft edge is frayed like fur."""
        large = Image.new("L", (self._size[0] * _SUPER, self._size[1] * _SUPER))
        draw = ImageDraw.Draw(large)
        for stroke in strokes:
            _draw_stroke(draw, stroke, self._scale * _SUPER)
        mask = large.reduce(_SUPER)
        if soft:
            blurred = mask.filter(ImageFilter.BoxBlur(max(0.5, self._scale / 130)))
            frayed = ImageChops.add(blurred, self._edge, scale=1, offset=-128)
            mask = ImageChops.darker(frayed.point(_STEEP), blurred.point(_NEARBY))
        return mask

    def _shaded(self, mask: Image.Image, tone: float) -> Image.Image:
        """Fur lit from above: the blurred coverage is taken for the height of the body's surface."""
        width, height = self._size
        total = np.full((height, width), tone, np.float32)
        for radius, weight in ((0.16, 0.0036), (0.04, 0.0016)):
            relief = np.asarray(mask.filter(ImageFilter.BoxBlur(radius * self._scale)), np.float32)
            step = max(1, round(0.5 * radius * self._scale))
            down = np.zeros_like(relief)
            down[step:-step] = relief[2 * step :] - relief[: -2 * step]
            across = np.zeros_like(relief)
            across[:, step:-step] = relief[:, 2 * step :] - relief[:, : -2 * step]
            total += np.float32(tone * weight) * (down + np.float32(0.35) * across)
        np.clip(total, 0.22, 1.5, out=total)
        return Image.fromarray(np.clip(self._coat_picture * total[..., None], 0, 255).astype(np.uint8))

    def _lay(self, below: Image.Image, above: Image.Image, mask: Image.Image) -> None:
        below.paste(above, (0, 0), mask)

    def _blend(self) -> Image.Image:
        """The near legs grow out of the trunk: no colour of their own at the top, full colour below the belly."""
        height = self._size[1]
        up = np.linspace(_TOP, _BOTTOM, height)
        fade = np.clip((0.80 - up) / 0.26, 0, 1)[:, None] * np.ones(self._size[0])
        return Image.fromarray((255 * fade).astype(np.uint8))

    def _draw_face(self, picture: Image.Image, sway: float, bob: float) -> None:
        """Ear, eye, nose, mouth and collar, in a supersampled layer over the head."""
        head_x, head_y = _head(sway, bob)
        scale = self._scale * _SUPER
        left, top = int((head_x - 0.32 - _LEFT) * self._scale), int((_TOP - head_y - 0.17) * self._scale)
        side = int(0.74 * scale) // _SUPER * _SUPER + _SUPER, int(0.5 * scale) // _SUPER * _SUPER + _SUPER
        layer = Image.new("RGBA", side)
        draw = ImageDraw.Draw(layer)

        def at(*points: Point) -> list[Point]:
            return [
                ((head_x + x - _LEFT) * scale - left * _SUPER, (_TOP - head_y - y) * scale - top * _SUPER)
                for x, y in points
            ]

        flap = 0.02 * np.sin(sway * 2 + 0.6)
        ear = [(x - flap if y < 0 else x, y) for x, y in _EAR]
        draw.polygon(at(*_COLLAR), fill=self._coat.collar)
        draw.polygon(at(*_smooth(ear, closed=True)), fill=self._shade(0.58))
        inner = [(0.8 * x - 0.018, 0.8 * y + 0.015) for x, y in ear]
        draw.polygon(at(*_smooth(inner, closed=True)), fill=self._shade(0.70))
        draw.line(at(*_smooth(_MOUTH)), fill=self._shade(0.35), width=max(1, int(0.014 * scale)))
        draw.polygon(at(*_smooth(_NOSE, closed=True)), fill=(28, 24, 24))
        draw.ellipse(at((0.100, 0.062), (0.144, 0.020)), fill=(34, 24, 18))
        draw.ellipse(at((0.123, 0.056), (0.135, 0.044)), fill=(236, 232, 226))
        details = layer.reduce(_SUPER)
        picture.paste(details, (left, top), details)

    def _shade(self, factor: float) -> tuple[int, int, int]:
        """The coat's colour, darker."""
        red, green, blue = self._coat.back
        return int(red * factor), int(green * factor), int(blue * factor)


# The face about the middle of the skull.
_EAR = ((-0.06, 0.135), (-0.13, 0.09), (-0.165, -0.05), (-0.12, -0.15), (-0.045, -0.12), (0.01, 0.02), (0.0, 0.11))
_MOUTH = ((0.325, -0.105), (0.24, -0.122), (0.15, -0.105))
_NOSE = ((0.30, -0.015), (0.355, -0.02), (0.368, -0.06), (0.32, -0.075))
_COLLAR = ((-0.255, 0.03), (0.0, -0.235), (-0.04, -0.275), (-0.29, -0.015))


@dataclass(frozen=True, slots=True)
class _Stroke:
    """A tapered limb: points along it and the radius at each."""

    points: Sequence[Point]
    radii: Sequence[float]


_NEARBY = [min(255, 5 * value) for value in range(256)]
_STEEP = [int(np.clip((value - 128) * 2.6 + 128, 0, 255)) for value in range(256)]


def _head(sway: float, bob: float) -> Point:
    return 0.66 + 0.012 * float(np.cos(2 * sway)), 1.21 + 1.4 * bob


def _trunk(sway: float, bob: float) -> list[_Stroke]:
    """Trunk, neck, head and tail."""
    head_x, head_y = _head(sway, bob)
    wag = 0.07 * float(np.sin(2 * sway))
    body = _Stroke(
        [(-0.50, 0.80 + bob), (-0.36, 0.795 + bob), (-0.10, 0.775 + bob), (0.14, 0.735 + bob), (0.34, 0.755 + bob)],
        [0.15, 0.195, 0.20, 0.26, 0.235],
    )
    neck = _Stroke(
        [(0.26, 0.80 + bob), (0.42, 0.97 + bob), (head_x - 0.08, head_y - 0.06), (head_x, head_y)],
        [0.215, 0.175, 0.135, 0.13],
    )
    face = _Stroke(
        [
            (head_x, head_y + 0.02),
            (head_x + 0.09, head_y),
            (head_x + 0.15, head_y - 0.045),
            (head_x + 0.29, head_y - 0.075),
        ],
        [0.150, 0.135, 0.092, 0.070],
    )
    tail = _Stroke(
        [(-0.54, 0.86 + bob), (-0.70, 0.90 + bob), (-0.86, 1.00 + bob + 0.5 * wag), (-0.96, 1.16 + bob + wag)],
        [0.075, 0.062, 0.055, 0.022],
    )
    return [tail, body, neck, face]


def _legs(phase: float, bob: float, far: bool) -> list[_Stroke]:
    """A front and a hind leg of one side; diagonal legs swing together, as in a trot."""
    front, hind = (phase + 0.5, phase) if far else (phase, phase + 0.5)
    shift = 0.05 if far else 0.0
    return [_front_leg(front, bob, shift), _hind_leg(hind, bob, shift - 0.02)]


def _foot(phase: float, lift: float) -> tuple[float, float, float]:
    """Forward offset, height and fold (0 straight, 1 folded) of a foot; standing, it keeps to its ground."""
    at, duty = phase % 1.0, _DUTY
    reach = STRIDE * duty / 2
    if at < duty:
        return reach * (1 - 2 * at / duty), 0.0, 0.0
    swing = (at - duty) / (1 - duty)
    ease = swing - np.sin(2 * np.pi * swing) / (2 * np.pi)
    up = float(np.sin(np.pi * swing))
    return float(reach * (2 * ease - 1)), lift * up, up


def _bend(start: Point, end: Point, first: float, second: float, side: float) -> Point:
    """The joint of a two-bone limb between two points; `side` 1 bends it forward, -1 backward."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    gap = float(np.hypot(dx, dy))
    reach = min(max(gap, abs(first - second) + 1e-3), first + second - 1e-3)
    along = (first**2 - second**2 + reach**2) / (2 * reach)
    aside = float(np.sqrt(max(0.0, first**2 - along**2)))
    ux, uy = dx / max(gap, 1e-6), dy / max(gap, 1e-6)
    return start[0] + along * ux - side * aside * uy, start[1] + along * uy + side * aside * ux


def _front_leg(phase: float, bob: float, shift: float) -> _Stroke:
    forward, height, fold = _foot(phase, 0.13)
    shoulder = 0.30 + shift, 0.70 + bob
    paw = 0.30 + shift + forward, 0.045 + height
    wrist = paw[0] - 0.03 - 0.11 * fold, paw[1] + 0.15 - 0.05 * fold
    elbow = _bend(shoulder, wrist, 0.28, 0.30, -1.0)
    toe = paw[0] + 0.065 - 0.06 * fold, paw[1] - 0.004 - 0.05 * fold
    return _Stroke([shoulder, elbow, wrist, paw, toe], [0.155, 0.092, 0.056, 0.05, 0.042])


def _hind_leg(phase: float, bob: float, shift: float) -> _Stroke:
    forward, height, fold = _foot(phase, 0.12)
    hip = -0.40 + shift, 0.76 + bob
    paw = -0.44 + shift + forward, 0.045 + height
    hock = paw[0] - 0.085 - 0.06 * fold + 0.10 * forward, paw[1] + 0.215 - 0.03 * fold
    knee = _bend(hip, hock, 0.33, 0.33, 1.0)
    toe = paw[0] + 0.065 - 0.045 * fold, paw[1] - 0.004 - 0.045 * fold
    return _Stroke([hip, knee, hock, paw, toe], [0.20, 0.13, 0.058, 0.05, 0.043])


def _draw_stroke(draw: ImageDraw.ImageDraw, stroke: _Stroke, scale: float) -> None:
    """Fill the hull of discs along a polyline: joints keep their place, tapers stay smooth."""
    round_off, straight = _weights(len(stroke.points))
    path = round_off @ np.array(stroke.points)
    radii = straight @ np.array(stroke.radii) * scale
    path = (path - (_LEFT, 0.0)) * scale
    path[:, 1] = _TOP * scale - path[:, 1]
    for place, ((x, y), radius) in enumerate(zip(path, radii, strict=True)):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        if place:
            _draw_join(draw, path[place - 1], radii[place - 1], path[place], radius)


@lru_cache(maxsize=8)
def _weights(number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrices from a limb's points to a dense path: (D, N) slightly rounded at the joints, (D, N) straight."""
    along = np.arange(number)
    dense = np.linspace(0, number - 1, 6 * (number - 1) + 1)
    straight = np.clip(1 - np.abs(dense[:, None] - along[None]), 0, 1)
    curved = CubicSpline(along, np.eye(number))(dense)
    return 0.35 * curved + 0.65 * straight, straight


def _draw_join(
    draw: ImageDraw.ImageDraw, first: NDArray[np.float64], wide: float, second: NDArray[np.float64], narrow: float
) -> None:
    direction = second - first
    length = float(np.hypot(*direction))
    if length < 1e-6:
        return
    normal = np.array((-direction[1], direction[0])) / length
    corners = (first + wide * normal, second + narrow * normal, second - narrow * normal, first - wide * normal)
    draw.polygon([(float(x), float(y)) for x, y in corners], fill=255)


def _smooth(points: Sequence[Point], closed: bool = False) -> list[Point]:
    """A smooth curve through points."""
    known = np.array([*points, points[0]] if closed else points)
    along = np.arange(len(known))
    curve = CubicSpline(along, known, bc_type="periodic" if closed else "natural")
    dense = curve(np.linspace(0, len(known) - 1, 8 * len(known)))
    return [(float(x), float(y)) for x, y in dense]
