"""What stands still in the landscape: bushes, trees, rocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from rotoscope.data.synthetic.camera import Sprite
from rotoscope.data.synthetic.noise import octave_noise

_SUPER = 2  # leaves are drawn larger and then reduced, which softens their edges
_LEAF_DARK = np.array((24.0, 36.0, 18.0))
_LEAF_MIDDLE = np.array((58.0, 80.0, 36.0))
_LEAF_LIGHT = np.array((128.0, 144.0, 72.0))


def bush(rng: np.random.Generator, width: float, height: float, hue: float = 0.0) -> Sprite:
    """A rounded bush down to the ground; `hue` from -1 (bluish) to 1 (yellowish)."""
    crown = _blobs(rng, 12, (0.0, 0.42), (0.30, 0.34), (0.15, 0.23))
    skirt = np.stack((np.linspace(-0.3, 0.3, 6), rng.uniform(0.14, 0.2, 6), rng.uniform(0.13, 0.17, 6)), axis=1)
    blobs = np.concatenate((crown, skirt))
    return _foliage(rng, width, height, blobs, hue, trunk=False)


def tree(rng: np.random.Generator, width: float, height: float, hue: float = 0.0) -> Sprite:
    """A broad-leaved tree with a trunk."""
    blobs = _blobs(rng, 20, (0.0, 0.66), (0.31, 0.22), (0.10, 0.18))
    return _foliage(rng, width, height, blobs, hue, trunk=True)


def rock(rng: np.random.Generator, width: float, height: float) -> Sprite:
    """A weathered stone, lit from above."""
    w, h = max(4, round(width)), max(3, round(height))
    angles = np.linspace(0, 2 * np.pi, 15)[:-1]
    radii = rng.uniform(0.82, 1.0, angles.size)
    outline = [
        (_SUPER * w * (0.5 + 0.48 * r * np.cos(a)), _SUPER * h * (0.55 + 0.45 * r * np.sin(a)))
        for a, r in zip(angles, radii, strict=True)
    ]
    mask = Image.new("L", (_SUPER * w, _SUPER * h))
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    alpha = mask.reduce(_SUPER)
    rows = np.linspace(0, 1, h)[:, None]
    shade = 1.3 - 0.85 * rows + 0.22 * octave_noise(rng, (h, w), (h / 3 + 1, w / 4 + 1), 5, 0.7)
    colour = np.clip(shade[..., None] * np.array((150.0, 143.0, 130.0)), 0, 255).astype(np.uint8)
    picture = Image.fromarray(colour)
    picture.putalpha(alpha)
    return Sprite(picture, (w / 2, h * 0.9))


Blobs = NDArray[np.float64]


def _blobs(
    rng: np.random.Generator,
    number: int,
    middle: tuple[float, float],
    spread: tuple[float, float],
    radius: tuple[float, float],
) -> Blobs:
    """(N, 3) x, y (upward), radius of the balls that make a crown, in units of its height, back to front."""
    angle = rng.uniform(0, 2 * np.pi, number)
    away = np.sqrt(rng.uniform(0.05, 1.0, number))
    blobs = np.stack(
        (
            middle[0] + spread[0] * away * np.cos(angle),
            middle[1] + spread[1] * away * np.sin(angle),
            rng.uniform(*radius, number),
        ),
        axis=1,
    )
    rooms = 0.48 - 1.15 * blobs[:, 2]
    blobs[:, 0] = np.clip(blobs[:, 0], -rooms, rooms)
    blobs[:, 1] = np.clip(blobs[:, 1], 0.75 * blobs[:, 2], 0.97 - 1.15 * blobs[:, 2])
    return blobs[np.argsort(-blobs[:, 1])]


def _foliage(rng: np.random.Generator, width: float, height: float, blobs: Blobs, hue: float, trunk: bool) -> Sprite:
    w, h = max(6, round(width)), max(6, round(height))
    canvas = Image.new("RGBA", (_SUPER * w, _SUPER * h), (30, 42, 20, 0))
    draw = ImageDraw.Draw(canvas)
    if trunk:
        _draw_trunk(rng, draw, _SUPER * w, _SUPER * h)
    tint = np.array((16.0, 4.0, -8.0)) * hue
    for x, y, radius in blobs:
        centre = _SUPER * w * (0.5 + x), _SUPER * h * (1.0 - y)
        extent = _SUPER * w * radius, _SUPER * h * radius
        leaf = _SUPER * max(0.8, 0.21 * h**0.5)
        high = (y - blobs[:, 1].min()) / max(1e-6, float(np.ptp(blobs[:, 1])))
        _draw_leaves(rng, draw, centre, extent, leaf, tint, 0.22 * (high - 0.75))
    _draw_tuft(rng, draw, _SUPER * w, _SUPER * h, 0.09 if trunk else 0.66)
    picture = canvas.reduce(_SUPER)
    return Sprite(picture, (w / 2, h - 1.0))


def _draw_trunk(rng: np.random.Generator, draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    """Stem and forks, dark on the right side."""
    stem = 0.035 * height
    x = width / 2
    lean = rng.uniform(-0.03, 0.03) * width
    for offset, colour in ((0.0, (58, 46, 36, 255)), (-0.3, (92, 76, 60, 255))):
        thickness = stem * (1 if offset == 0 else 0.45)
        middle = x + offset * stem
        draw.polygon(
            [
                (middle - thickness, height), (middle + thickness, height),
                (middle + lean + 0.6 * thickness, height * 0.45), (middle + lean - 0.6 * thickness, height * 0.45),
            ],
            fill=colour,
        )  # fmt: skip
    for side in (-1, 1):
        end = (x + lean + side * width * 0.18, height * 0.32)
        draw.line([(x + lean, height * 0.58), end], fill=(58, 46, 36, 255), width=max(1, int(stem * 0.7)))


def _draw_tuft(rng: np.random.Generator, draw: ImageDraw.ImageDraw, width: int, height: int, part: float) -> None:
    """Blades of grass over the middle `part` of the foot, so that the plant grows out of the meadow."""
    number = 12 + int(0.25 * part * width)
    xs = width * (0.5 + part * rng.uniform(-0.5, 0.5, number))
    lengths = min(0.055 * height, 9.0 * _SUPER) * rng.uniform(0.4, 1.0, number)
    leans = lengths * rng.normal(0.1, 0.35, number)
    colours = np.array((98.0, 100.0, 44.0)) * rng.normal(1.0, 0.22, (number, 1))
    tones = np.clip(colours, 0, 255).astype(int).tolist()
    for x, length, lean, tone in zip(xs, lengths, leans, tones, strict=True):
        draw.line((x, height, x + lean, height - length), fill=(*tone, 255), width=max(1, _SUPER // 2))


def _draw_leaves(
    rng: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    centre: tuple[float, float],
    extent: tuple[float, float],
    leaf: float,
    tint: NDArray[np.float64],
    glow: float,
) -> None:
    """Cover a ball with leaves: dark ones first and low, light ones last and high."""
    number = int(min(900, 3.2 * extent[0] * extent[1] / leaf**2)) + 12
    angle = rng.uniform(0, 2 * np.pi, number)
    away = np.sqrt(rng.uniform(0, 1.0, number)) * rng.normal(1.0, 0.08, number)
    across, down = away * np.cos(angle), away * np.sin(angle)
    light = np.clip(0.50 + glow - 0.46 * down - 0.14 * across + 0.17 * rng.standard_normal(number), 0, 1)
    order = np.argsort(light)
    low = _LEAF_DARK + (_LEAF_MIDDLE - _LEAF_DARK) * np.minimum(1, 2 * light)[:, None]
    colours = low + (_LEAF_LIGHT - _LEAF_MIDDLE) * np.maximum(0, 2 * light - 1)[:, None] + tint
    colours = np.clip(colours + 6 * rng.standard_normal((number, 1)), 0, 255).astype(int)
    sizes = leaf * rng.uniform(0.45, 1.25, (number, 2))
    dark = (26, 38, 18, 255)
    draw.ellipse(
        (
            centre[0] - 0.80 * extent[0],
            centre[1] - 0.80 * extent[1],
            centre[0] + 0.80 * extent[0],
            centre[1] + 0.80 * extent[1],
        ),
        fill=dark,
    )
    for place in order:
        x, y = centre[0] + across[place] * extent[0], centre[1] + down[place] * extent[1]
        a, b = sizes[place]
        red, green, blue = colours[place]
        draw.ellipse((x - a, y - b, x + a, y + b), fill=(int(red), int(green), int(blue), 255))


def shadow(width: float, height: float, strength: float = 0.55) -> Sprite:
    """A soft dark ellipse, the contact shadow under something that stands."""
    w, h = max(4, round(width)), max(3, round(height))
    pad = max(2, h // 2)
    mask = Image.new("L", (w + 2 * pad, h + 2 * pad))
    ImageDraw.Draw(mask).ellipse((pad, pad, pad + w, pad + h), fill=round(255 * strength))
    mask = mask.filter(ImageFilter.GaussianBlur(pad * 0.55))
    picture = Image.new("RGBA", mask.size, (16, 20, 12, 0))
    picture.putalpha(mask)
    return Sprite(picture, (mask.width / 2, mask.height / 2))
