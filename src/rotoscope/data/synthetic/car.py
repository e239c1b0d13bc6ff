"""A hatchback in profile: painted body with reflections, glass, lamps, and wheels that turn.

Lengths are in car lengths, x forward, y upward, the origin on the ground below the middle; the car looks to the right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy.interpolate import PchipInterpolator

from rotoscope.data.synthetic.camera import Sprite
from rotoscope.data.synthetic.noise import octave_noise

_SUPER = 2
_LEFT, _RIGHT, _TOP, _BOTTOM = -0.54, 0.54, 0.41, -0.02
_AXLES = (-0.315, 0.305)
WHEEL_RADIUS = 0.077
PAINTS = ((178, 34, 40), (36, 84, 150), (214, 216, 220), (58, 64, 72), (196, 150, 40), (44, 112, 96))

Point = tuple[float, float]
Colour = tuple[int, int, int]

_ROOF: tuple[Point, ...] = (
    (-0.497, 0.165), (-0.49, 0.235), (-0.455, 0.275), (-0.40, 0.335), (-0.33, 0.362), (-0.20, 0.374), (-0.04, 0.368),
    (0.06, 0.345), (0.15, 0.292), (0.215, 0.248), (0.33, 0.232), (0.43, 0.206), (0.485, 0.168), (0.497, 0.13),
)  # fmt: skip
_GLASS_REAR: tuple[Point, ...] = ((-0.40, 0.258), (-0.36, 0.322), (-0.30, 0.344), (-0.205, 0.350), (-0.20, 0.254))
_GLASS_MIDDLE: tuple[Point, ...] = ((-0.185, 0.254), (-0.187, 0.350), (-0.045, 0.344), (-0.02, 0.250))
_GLASS_FRONT: tuple[Point, ...] = ((0.0, 0.249), (-0.025, 0.342), (0.045, 0.326), (0.115, 0.287), (0.165, 0.246))


class Car:
    """Draws one car at any turn of its wheels.

    Args:
        rng: decides small variations.
        length: bumper to bumper in pixels of the picture.
        paint: RGB of the body.
    """

    def __init__(self, rng: np.random.Generator, length: float, paint: Colour) -> None:
        self._scale = max(12.0, length) * _SUPER
        size = round((_RIGHT - _LEFT) * self._scale), round((_TOP - _BOTTOM) * self._scale)
        self._body = self._paint_body(rng, size, paint)
        self._wheel = _wheel(max(3, round(2 * WHEEL_RADIUS * self._scale)))

    def sprite(self, turn: float) -> Sprite:
        """Draw the car; `turn` is the wheels' angle in turns."""
        picture = self._body.copy()
        wheel = self._wheel.rotate(-360 * turn, Image.Resampling.BILINEAR)
        for axle in _AXLES:
            x, y = self._at(axle, WHEEL_RADIUS)
            picture.alpha_composite(wheel, (round(x - wheel.width / 2), round(y - wheel.height / 2)))
        return Sprite(picture, self._at(0.0, 0.0), float(_SUPER))

    def _at(self, x: float, y: float) -> Point:
        return (x - _LEFT) * self._scale, (_TOP - y) * self._scale

    def _points(self, points: Sequence[Point]) -> list[Point]:
        return [self._at(x, y) for x, y in points]

    def _paint_body(self, rng: np.random.Generator, size: tuple[int, int], paint: Colour) -> Image.Image:
        mask = Image.new("L", size)
        draw = ImageDraw.Draw(mask)
        draw.polygon(self._points(_outline()), fill=255)
        metal = Image.fromarray(_reflections(rng, size, self._scale, paint))
        picture = Image.new("RGBA", size, (20, 20, 22, 0))
        self._draw_underside(picture)
        picture.paste(metal, (0, 0), mask)
        self._draw_arches(picture, mask)
        self._draw_glass(picture)
        self._draw_seams(picture, paint)
        self._draw_lamps(picture)
        return picture

    def _draw_underside(self, picture: Image.Image) -> None:
        draw = ImageDraw.Draw(picture)
        draw.polygon(
            self._points([(-0.46, 0.12), (-0.46, 0.052), (0.455, 0.048), (0.46, 0.12)]), fill=(24, 24, 26, 255)
        )

    def _draw_arches(self, picture: Image.Image, mask: Image.Image) -> None:
        """Dark wheel houses cut into the body."""
        draw = ImageDraw.Draw(picture)
        for axle in _AXLES:
            for radius, colour in ((1.22, None), (1.14, (16, 16, 18, 255))):
                r = WHEEL_RADIUS * radius
                box = (*self._at(axle - r, WHEEL_RADIUS + r), *self._at(axle + r, WHEEL_RADIUS - r))
                if colour is None:
                    lip = Image.new("L", picture.size)
                    ImageDraw.Draw(lip).ellipse(box, fill=90)
                    picture.paste((0, 0, 0, 255), (0, 0), ImageChops.multiply(lip, mask))
                else:
                    draw.pieslice(box, 165, 375, fill=colour)

    def _draw_glass(self, picture: Image.Image) -> None:
        """Windows: dark inside, with the sky mirrored in their upper part."""
        size = picture.size
        panes = Image.new("L", size)
        draw = ImageDraw.Draw(panes)
        for pane in (_GLASS_REAR, _GLASS_MIDDLE, _GLASS_FRONT):
            draw.polygon(self._points(pane), fill=255)
        ups = np.linspace(_TOP, _BOTTOM, size[1])[:, None]
        across = np.linspace(_LEFT, _RIGHT, size[0])[None]
        mirror = np.clip((ups - 0.27 + 0.10 * across) / 0.10, 0, 1) ** 1.5
        streak = np.exp(-(((across + 0.55 * (ups - 0.3) + 0.09) / 0.03) ** 2)) + np.exp(
            -(((across + 0.55 * (ups - 0.3) - 0.06) / 0.018) ** 2)
        )
        light = (0.12 + 0.62 * mirror + 0.22 * streak)[..., None]
        colour = np.array((26, 32, 38)) * (1 - light) + np.array((170, 192, 208)) * light
        rim = panes.filter(ImageFilter.MaxFilter(max(3, round(0.007 * self._scale) // 2 * 2 + 1)))
        picture.paste((18, 18, 20, 255), (0, 0), rim)
        picture.paste(Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8)), (0, 0), panes)
        self._draw_people(picture, panes)

    def _draw_people(self, picture: Image.Image, panes: Image.Image) -> None:
        """Headrests and a driver's head behind the glass."""
        shade = Image.new("L", picture.size)
        draw = ImageDraw.Draw(shade)
        for x, y, r in ((-0.01, 0.285, 0.030), (-0.235, 0.270, 0.022)):
            draw.ellipse((*self._at(x - r * 0.8, y + r), *self._at(x + r * 0.8, y - r)), fill=150)
        draw.polygon(self._points([(-0.055, 0.25), (-0.05, 0.275), (0.035, 0.275), (0.05, 0.25)]), fill=150)
        picture.paste((22, 22, 24, 255), (0, 0), ImageChops.multiply(shade, panes))

    def _draw_seams(self, picture: Image.Image, paint: Colour) -> None:
        """Door gaps, handles, sill, mirror."""
        draw = ImageDraw.Draw(picture)
        dark = (*[int(value * 0.35) for value in paint], 255)
        light = (*[min(255, int(value * 1.15 + 50)) for value in paint], 255)
        width = max(1, round(0.0042 * self._scale))
        for seam in (
            [(-0.193, 0.25), (-0.190, 0.10)],
            [(0.178, 0.245), (0.165, 0.16), (0.162, 0.095)],
            [(-0.405, 0.25), (-0.375, 0.175), (-0.36, 0.16)],
            [(-0.19, 0.095), (0.162, 0.095)],
            [(0.225, 0.246), (0.33, 0.222), (0.44, 0.192)],
        ):
            draw.line(self._points(seam), fill=dark, width=width, joint="curve")
        for x in (-0.165, 0.025 - 0.04):
            draw.line(self._points([(x - 0.01, 0.221), (x + 0.035, 0.221)]), fill=dark, width=2 * width)
            draw.line(self._points([(x - 0.01, 0.2235), (x + 0.035, 0.2235)]), fill=light, width=width)
        draw.polygon(self._points([(0.125, 0.252), (0.118, 0.283), (0.15, 0.286), (0.163, 0.262)]), fill=dark)
        draw.polygon(self._points([(0.13, 0.262), (0.124, 0.283), (0.148, 0.284), (0.156, 0.264)]), fill=light)

    def _draw_lamps(self, picture: Image.Image) -> None:
        draw = ImageDraw.Draw(picture)
        draw.polygon(
            self._points([(0.485, 0.166), (0.44, 0.196), (0.385, 0.19), (0.40, 0.168)]), fill=(52, 56, 60, 255)
        )
        draw.polygon(
            self._points([(0.478, 0.168), (0.44, 0.188), (0.40, 0.184), (0.41, 0.171)]), fill=(232, 236, 238, 255)
        )
        draw.polygon(
            self._points([(-0.495, 0.205), (-0.49, 0.245), (-0.455, 0.262), (-0.44, 0.215)]), fill=(128, 20, 22, 255)
        )
        draw.polygon(
            self._points([(-0.49, 0.222), (-0.485, 0.242), (-0.462, 0.252), (-0.455, 0.225)]), fill=(214, 60, 52, 255)
        )
        draw.polygon(
            self._points([(0.47, 0.062), (0.40, 0.056), (0.405, 0.085), (0.488, 0.095)]), fill=(30, 30, 32, 255)
        )
        draw.polygon(
            self._points([(-0.49, 0.095), (-0.41, 0.085), (-0.41, 0.058), (-0.47, 0.066)]), fill=(30, 30, 32, 255)
        )


def _outline() -> list[Point]:
    """The body from the tail over the roof to the nose and back along the sill."""
    known = np.array(_ROOF)
    along = np.arange(len(known))
    curve = PchipInterpolator(along, known)(np.linspace(0, len(known) - 1, 90))
    upper = [(float(x), float(y)) for x, y in curve]
    return [*upper, (0.492, 0.095), (0.47, 0.066), (0.40, 0.058), (-0.41, 0.058), (-0.475, 0.07), (-0.495, 0.11)]


def _reflections(rng: np.random.Generator, size: tuple[int, int], scale: float, paint: Colour) -> NDArray[np.uint8]:
    """Paint with what it mirrors: sky above the shoulder line, dark ground below, a bright crease between."""
    width, height = size
    up = np.linspace(_TOP, _BOTTOM, height)[:, None]
    across = np.linspace(_LEFT, _RIGHT, width)[None]
    wave = 0.006 * np.sin(9 * across + 1.0) + 0.010 * across
    level = np.interp(
        up + wave,
        (0.04, 0.10, 0.15, 0.195, 0.215, 0.232, 0.26, 0.33, 0.38),
        (0.34, 0.52, 0.74, 0.86, 1.02, 1.30, 1.12, 1.0, 1.34),
    )
    level = level * (1 - 0.25 * np.clip(np.abs(across) - 0.42, 0, 1) / 0.1)
    level = level + 0.03 * octave_noise(rng, (height, width), (scale / 12, scale / 5), 4)
    gloss = np.clip(level - 1.0, 0, 1)[..., None]
    colour = np.array(paint, float) * np.minimum(level, 1.0)[..., None]
    return np.clip(colour + gloss * 0.9 * (np.array((225.0, 234.0, 242.0)) - colour * 0.5), 0, 255).astype(np.uint8)


def _wheel(side: int) -> Image.Image:
    """Tyre and a rim with five spokes."""
    large = 2 * side
    picture = Image.new("RGBA", (large, large), (22, 22, 23, 0))
    draw = ImageDraw.Draw(picture)
    middle = large / 2

    def disc(radius: float, colour: Colour) -> None:
        r = radius * middle
        draw.ellipse((middle - r, middle - r, middle + r, middle + r), fill=(*colour, 255))

    for radius, colour in (
        (0.99, (24, 24, 25)),
        (0.93, (38, 38, 39)),
        (0.70, (20, 20, 21)),
        (0.66, (176, 179, 183)),
        (0.60, (52, 54, 57)),
    ):
        disc(radius, colour)
    for spoke in range(5):
        angle = 2 * math.pi * spoke / 5
        corners = [
            (middle + r * middle * math.cos(angle + da), middle + r * middle * math.sin(angle + da))
            for r, da in ((0.14, -0.6), (0.62, -0.16), (0.62, 0.16), (0.14, 0.6))
        ]
        draw.polygon(corners, fill=(188, 191, 195, 255))
    disc(0.16, (150, 153, 157))
    disc(0.08, (70, 72, 75))
    return picture.reduce(2)
