"""Where a scene plays: sky, hills, a meadow and a road, drawn once and seen through the camera on each frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from rotoscope.data.synthetic.camera import Sprite, View
from rotoscope.data.synthetic.noise import octave_noise, ridge, tile_noise

_HAZE = np.array((205.0, 216.0, 224.0))
Colour = NDArray[np.float64]


class Landscape:
    """Sky, hills and ground for one clip.

    Args:
        rng: decides every shape and tone.
        size: (height, width) of the picture.
        horizon: row of the horizon at rest.
        road: (far, near) rows of the road's edges at rest.
        margin: columns to draw beyond each side of the picture.
    """

    def __init__(
        self, rng: np.random.Generator, size: tuple[int, int], horizon: float, road: tuple[float, float], margin: int
    ) -> None:
        self._size, self._horizon, self._margin = size, horizon, margin
        height, width = size
        wide = width + 2 * margin
        self._sky = Image.fromarray(_sky(rng, (int(horizon) + 4, wide)))
        self._hills = _hills(rng, (int(horizon) + 4, wide), height)
        self._ground = _ground(rng, (height, wide), horizon, road)
        self._ground_top = max(0, int(horizon) - 2)

    def cast(self, shade: Sprite, x: float, row: float) -> None:
        """Lay a shadow on the ground for good, its middle at a point of the picture at rest."""
        corner = round(x + self._margin - shade.foot[0]), round(row - self._ground_top - shade.foot[1])
        self._ground.paste(shade.picture, corner, shade.picture)

    def render(self, view: View) -> Image.Image:
        """The still world without what stands on it, as an RGB picture."""
        canvas = Image.new("RGB", (view.width, view.height))
        horizon = int(np.clip(view.project(0, self._horizon)[1], 1, view.height - 1))
        reach = min(view.height, horizon + 3)
        canvas.paste(view.warp(self._sky, self._margin, 0, (0, reach), 0.015), (0, 0))
        for layer, depth in self._hills:
            top = min(max(0, horizon - layer.height), reach - 1)
            offset = self._horizon + 4 - layer.height
            hills = view.warp(layer, self._margin, offset, (top, reach), depth)
            canvas.paste(hills, (0, top), hills)
        ground = view.warp(self._ground, self._margin, self._ground_top, (horizon, view.height), None)
        canvas.paste(ground, (0, horizon))
        return canvas


def _mix(first: Colour, second: Colour, amount: NDArray[np.floating]) -> Colour:
    return np.asarray(first + (second - first) * np.clip(amount, 0, 1)[..., None], np.float64)


def _bytes(colour: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(colour, 0, 255), np.uint8)


def _sky(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Blue to haze, with clouds that flatten towards the horizon and are lit from above."""
    height, width = size
    down = np.linspace(0, 1, height)[:, None] * np.ones((1, width))
    sky = _mix(np.array((84.0, 136.0, 196.0)), np.array((196.0, 216.0, 230.0)), down**0.8)
    cell = max(8.0, height * 0.55), max(16.0, height * 1.5)
    clouds = octave_noise(rng, size, cell, 6, 0.58)
    cover = np.clip((clouds + 0.05 - 0.15 * down) * 1.7, 0, 1) ** 1.2
    above = ndimage.shift(clouds, (max(1.0, height * 0.03), 0), order=1, mode="nearest")
    light = np.clip(0.78 + 0.55 * (clouds - above), 0.35, 1.0)
    cloud = _mix(np.array((160.0, 172.0, 190.0)), np.array((252.0, 250.0, 246.0)), light)
    return _bytes(_mix(sky, cloud, cover * 0.9))


def _hills(rng: np.random.Generator, size: tuple[int, int], height: int) -> list[tuple[Image.Image, float]]:
    """Far hills, near hills and a line of trees, each with its nearness."""
    far = _hill(rng, size, 0.15 * height, 0.75, (112, 128, 138), 0.62, (0.5 * height, 0.45))
    near = _hill(rng, size, 0.075 * height, 0.6, (74, 96, 58), 0.28, (0.32 * height, 0.5))
    return [(far, 0.03), (near, 0.06), (_tree_line(rng, size[1], height), 0.10)]


def _hill(
    rng: np.random.Generator,
    size: tuple[int, int],
    tall: float,
    rough: float,
    colour: tuple[int, int, int],
    haze: float,
    shape: tuple[float, float],
) -> Image.Image:
    rows, width = max(3, min(size[0], int(tall * 1.9) + 4)), size[1]
    skyline = rows - tall * (1.0 + 0.85 * np.tanh(rough * ridge(rng, width, shape[0], 6, shape[1])))
    below = np.arange(rows)[:, None] - skyline[None]
    grain = octave_noise(rng, (rows, width), (max(2, tall * 0.3), max(2, tall * 0.6)), 5, 0.7)
    slope = ndimage.gaussian_filter1d(np.gradient(skyline), max(1.0, tall * 0.05))
    light = 1.0 + 0.20 * grain + np.clip(0.22 * slope, -0.25, 0.25)[None]
    base = np.array(colour, float) * light[..., None]
    fade = haze + 0.35 * np.clip(below / max(1.0, 1.6 * tall), 0, 1)
    rgba = np.empty((rows, width, 4), np.uint8)
    rgba[..., :3] = _bytes(_mix(base, _HAZE, fade))
    rgba[..., 3] = np.clip((below + 0.5) * 255, 0, 255).astype(np.uint8)
    return Image.fromarray(rgba)


def _tree_line(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Distant trees along the horizon: many small balls, lit from above."""
    tall = max(4, int(0.085 * height))
    picture = Image.new("RGBA", (2 * width, 2 * tall), (60, 78, 50, 0))
    draw = ImageDraw.Draw(picture)
    envelope = 0.5 + 0.5 * np.clip(ridge(rng, width, 0.35 * height, 3) + 0.35, 0, 1)
    number = int(width / max(1.0, height / 480) / 1.1)
    for x in rng.uniform(0, width, number):
        top = tall * envelope[int(x)] * rng.uniform(0.55, 1.0)
        radius = tall * rng.uniform(0.16, 0.3)
        tone = rng.uniform(0.75, 1.1)
        for level in range(5):
            part = level / 4
            light = tone * (0.62 + 0.5 * part)
            fill = tuple(int(value) for value in _mix(np.array((78.0, 100.0, 58.0)) * light, _HAZE, np.array(0.2)))
            size = radius * (1.1 - 0.75 * part)
            y = tall - top * (0.45 + 0.55 * part) + radius * 0.4
            sway = radius * 0.3 * rng.uniform(-1, 1)
            draw.ellipse(
                (2 * (x + sway - size), 2 * (y - size), 2 * (x + sway + size), 2 * (y + size * 1.4)), fill=(*fill, 255)
            )
    draw.rectangle((0, 2 * tall - max(2, tall // 4), 2 * width, 2 * tall), fill=(86, 102, 66, 255))
    return picture.reduce(2)


def _ground(rng: np.random.Generator, size: tuple[int, int], horizon: float, road: tuple[float, float]) -> Image.Image:
    """Meadow and road in perspective, from just above the horizon down to the bottom edge."""
    height, width = size
    top = max(0, int(horizon) - 2)
    rows = np.arange(top, height, dtype=np.float64)
    near = np.maximum((rows - horizon) / (height - horizon), 0.012)[:, None]
    columns = (np.arange(width) - width / 2)[None] / height
    x, z = columns / near, np.broadcast_to(1.0 / near, (rows.size, width))
    patches, grain = _meadow_noise(rng, x, z, near, height)
    grass = _mix(np.array((86.0, 98.0, 42.0)), np.array((158.0, 150.0, 86.0)), 0.42 + 0.34 * patches)
    grass *= (1.0 + 0.17 * grain)[..., None]
    grass = _mix(grass, _HAZE * np.array((0.86, 0.88, 0.72)), np.clip(0.4 - 2.2 * near, 0, 1) * np.ones((1, width)))
    _lay_road(rng, grass, rows, x, near, road, grain)
    picture = Image.fromarray(_bytes(grass))
    _draw_grass(rng, picture, top, horizon, height, road)
    return picture


def _meadow_noise(
    rng: np.random.Generator, x: NDArray[np.float64], z: NDArray[np.float64], near: NDArray[np.float64], height: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Broad patches and fine grain, sampled on the ground plane; what is finer than a pixel far away is faded out."""
    tile = tile_noise(rng, 512, 1.2)
    patches, grain = np.zeros(x.shape), np.zeros(x.shape)
    for octave, (cells, weight) in enumerate(((3, 0.8), (8, 0.5), (26, 0.5), (75, 0.6), (200, 0.7))):
        where = np.stack((z * cells * 0.6 + 91 * octave, x * cells + 57 * octave))
        layer = ndimage.map_coordinates(tile, where, order=1, mode="grid-wrap")
        pixels = height * near**2 / (cells * 0.6)  # rows that one cell covers
        layer = weight * layer * np.clip(pixels, 0.0, 1.0)
        if octave < 2:
            patches += layer
        else:
            grain += layer
    return patches, grain


def _lay_road(
    rng: np.random.Generator,
    colour: Colour,
    rows: NDArray[np.float64],
    x: NDArray[np.float64],
    near: NDArray[np.float64],
    road: tuple[float, float],
    grain: NDArray[np.float64],
) -> None:
    """Asphalt between two rows, with worn edges and a broken line in the middle; in place."""
    far, close = road
    edge = ridge(rng, x.shape[1], 40.0, 4)[None] * np.maximum(0.6, 8 * near)
    inside = np.clip(np.minimum(rows[:, None] - far - edge * 0.3, close - rows[:, None] + edge) * 0.6 + 0.5, 0, 1)
    tone = 112 + 7 * grain + 5 * np.sin((rows - far) / max(1.0, close - far) * 4 * np.pi)[:, None]
    asphalt = tone[..., None] * np.array((1.0, 0.985, 0.96))
    colour[:] = _mix(colour, asphalt, inside)
    shoulder = np.clip(1 - np.abs(rows[:, None] - close - edge - 2) / max(2.0, 0.014 * (rows[-1] + 1)), 0, 1)
    colour[:] = _mix(colour, np.array((150.0, 134.0, 104.0)), 0.7 * shoulder * (rows[:, None] > far))
    middle = far + 0.40 * (close - far)
    line = np.clip(max(0.8, 0.05 * (close - far)) - np.abs(rows[:, None] - middle), 0, 1)
    dash = (np.mod(x * 0.55, 1.0) < 0.45).astype(float)
    colour[:] = _mix(colour, np.array((206.0, 202.0, 190.0)), 0.8 * line * dash)


def _draw_grass(
    rng: np.random.Generator, picture: Image.Image, top: int, horizon: float, height: int, road: tuple[float, float]
) -> None:
    """Blades over the near meadow, from far to near, each in a shade of the ground it stands on."""
    pixels = np.asarray(picture).astype(np.int16)
    draw = ImageDraw.Draw(picture)
    number = int(15000 * picture.width / 1300 * min(1.0, height / 300))
    near = np.sort(np.sqrt(rng.uniform(0.02, 1.04, number)))
    ys = horizon + near * (height - horizon)
    keep = (ys < road[0] - 1) | (ys > road[1] + 0.02 * height)
    ys, near = ys[keep], near[keep]
    xs = rng.uniform(0, picture.width, ys.size)
    lengths = 0.034 * height * near * rng.uniform(0.35, 1.0, ys.size)
    leans = lengths * rng.normal(0.1, 0.35, ys.size)
    lights = rng.normal(1.04, 0.24, ys.size)
    rows = np.clip(ys.astype(int) - top, 0, pixels.shape[0] - 1)
    base = pixels[rows, np.clip(xs.astype(int), 0, pixels.shape[1] - 1)]
    tints = np.clip(base * lights[:, None] + rng.normal(0, 5, (ys.size, 1)) * np.array((1.2, 1.0, 0.2)), 0, 255).astype(
        int
    )
    for x, y, lean, length, tint in zip(xs, ys - top, leans, lengths, tints.tolist(), strict=True):
        draw.line((x, y, x + lean, y - length), fill=tuple(tint), width=2 if length > 0.026 * height else 1)
    _draw_flowers(rng, draw, top, horizon, height, road, picture.width)
    picture.paste(picture.filter(ImageFilter.GaussianBlur(0.45)))


def _draw_flowers(
    rng: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    top: int,
    horizon: float,
    height: int,
    road: tuple[float, float],
    width: int,
) -> None:
    """Small heads of white and yellow, in loose groups."""
    for group in range(26):
        x, near = rng.uniform(0, width), rng.uniform(0.45, 1.0)
        for _ in range(int(rng.integers(3, 12))):
            depth = near + rng.normal(0, 0.03)
            y = horizon + depth * (height - horizon)
            if y < road[1] + 0.03 * height:
                continue
            radius = max(0.5, 0.0034 * height * depth)
            at = x + rng.normal(0, 0.06) * height * depth
            fill = (236, 232, 214) if group % 3 else (226, 196, 74)
            draw.ellipse((at - radius, y - top - radius, at + radius, y - top + radius), fill=fill)
