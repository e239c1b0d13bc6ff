"""Pictures for the analyses: masks in colours, pictures beside each other, arrows from one to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rotoscope.masks.png import voc_palette

Rgb = NDArray[np.uint8]
Box = tuple[float, float, float, float]

_WIDTH = 420  # of a picture
_GAP = 4
_GROUND = (24, 26, 30)
_COLOURS = ((255, 214, 64), (80, 200, 255), (255, 96, 160), (128, 255, 128), (255, 160, 64), (176, 144, 255))


@dataclass(frozen=True, eq=False)
class Arrow:
    """From a place of the first picture to one of the second.

    Attributes:
        start: (2,) x and y in pixels.
        end: (2,) likewise.
        colour: number of it.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    colour: int


def coloured(image: Rgb, labels: NDArray[np.integer] | None) -> Rgb:
    """A picture (H, W, 3) with the objects of a label map (H, W) in colours over it; without a map as it is."""
    if labels is None:
        return image
    colours = voc_palette()[labels % 256]
    mixed = (image.astype(np.uint16) + colours) // 2
    return np.where((labels > 0)[..., None], mixed, image).astype(np.uint8)


def beside(pictures: Mapping[str, Rgb]) -> Rgb:
    """Pictures of one size beside each other, with their names in a corner."""
    drawn = []
    for name, picture in pictures.items():
        small = Image.fromarray(picture).resize(_fitted(picture), Image.Resampling.BILINEAR)
        _name(small, name)
        drawn.append(np.asarray(small))
    height = drawn[0].shape[0]
    gap = np.full((height, _GAP, 3), _GROUND, np.uint8)
    return np.concatenate([part for one in drawn for part in (one, gap)][:-1], axis=1)


def stacked(pictures: Sequence[Rgb]) -> Rgb:
    """Pictures of one width below each other."""
    gap = np.full((_GAP, pictures[0].shape[1], 3), _GROUND, np.uint8)
    return np.concatenate([part for one in pictures for part in (one, gap)][:-1], axis=0)


def drawn_arrows(
    pictures: Sequence[Rgb], names: Sequence[str], first: Sequence[Box], second: Sequence[Box], arrows: Sequence[Arrow]
) -> Rgb:
    """Two pictures beside each other, boxes in both, and arrows from the first to the second.

    Args:
        pictures: two of one size.
        names: of them.
        first: boxes in the first, white.
        second: boxes in the second, in the colours of their numbers.
        arrows: see `Arrow`.
    """
    sheet = Image.fromarray(beside(dict(zip(names, pictures, strict=True))))
    draw = ImageDraw.Draw(sheet)
    width, height = _fitted(pictures[0])
    scale = np.array([width / pictures[0].shape[1], height / pictures[0].shape[0]])
    shift = np.array([width + _GAP, 0.0])
    for box in first:
        draw.rectangle(_scaled(box, scale, 0 * shift), outline=(255, 255, 255), width=2)
    for number, box in enumerate(second):
        draw.rectangle(_scaled(box, scale, shift), outline=_COLOURS[number % len(_COLOURS)], width=2)
    for arrow in arrows:
        start, end = arrow.start * scale, arrow.end * scale + shift
        colour = _COLOURS[arrow.colour % len(_COLOURS)]
        draw.line((*start, *end), fill=colour, width=1)
        for place, fill in ((start, (255, 255, 255)), (end, colour)):
            draw.ellipse((*(place - 3), *(place + 3)), fill=fill, outline=_GROUND)
    return np.asarray(sheet)


def _scaled(box: Box, scale: NDArray[np.float64], shift: NDArray[np.float64]) -> tuple[float, float, float, float]:
    left, top = np.array(box[:2]) * scale + shift
    right, bottom = np.array(box[2:]) * scale + shift
    return float(left), float(top), float(right), float(bottom)


def _fitted(picture: Rgb) -> tuple[int, int]:
    return _WIDTH, max(24, round(_WIDTH * picture.shape[0] / picture.shape[1]))


def _name(picture: Image.Image, name: str) -> None:
    ImageDraw.Draw(picture).text((6, 4), name, fill=(255, 255, 255), stroke_width=2, stroke_fill=_GROUND)
