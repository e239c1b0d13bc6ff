"""Objects drawn over a frame: a tint, a contour, and a tag when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from rotoscope.errors import OptionError
from rotoscope.render.colours import track_colour
from rotoscope.render.regions import Objects, Region, regions

Box = tuple[int, int, int, int]  # left, top, right, bottom, the last two exclusive
_CONTOUR_LEVEL = 248  # the line lets a trace of the footage through, which looks drawn on rather than pasted


def overlay(
    image: NDArray[np.uint8],
    objects: Objects,
    *,
    opacity: float = 0.45,
    contour: bool = True,
    names: bool = False,
    apart: bool = False,
) -> NDArray[np.uint8]:
    """Tint the objects of one frame in their track colours.

    Args:
        image: (H, W, 3) uint8, RGB; left as it is.
        objects: objects with run lengths of the frame's size, drawn in order, or a (H, W) integer label map.
        opacity: of the tint, in [0, 1].
        contour: draw a line along each object's border, its width grows with the frame.
        names: write id, label and score beside each object.
        apart: place the names so that they do not cover one another, as far as there is room.

    Returns:
        (H, W, 3) uint8, RGB, a new array.

    Raises:
        MaskError: a mask has another size than the frame.
        OptionError: the image is not (H, W, 3) uint8 or the opacity is outside [0, 1].
    """
    check_image(image)
    if not 0.0 <= opacity <= 1.0:
        raise OptionError(f"opacity is {opacity}; expected a number from 0 (invisible) to 1 (solid)")
    height, width = image.shape[:2]
    if height == 0 or width == 0:
        return image.copy()
    canvas = Image.fromarray(np.ascontiguousarray(image))
    found = regions(objects, (height, width))
    draw_regions(canvas, found, opacity=opacity, contour=contour, names=names, apart=apart)
    return np.array(canvas)


def draw_regions(
    canvas: Image.Image,
    found: Sequence[Region],
    *,
    opacity: float,
    contour: bool = True,
    names: bool = False,
    apart: bool = False,
) -> None:
    """Draw unpacked objects into an RGB picture, in place; see `overlay`."""
    radius = _contour_radius(canvas.height, canvas.width) if contour else None
    for region in found:
        _paint(canvas, region, round(255 * opacity), radius)
    if names:
        taken: list[Box] = []
        for region in found:
            box = _tag(canvas, region, taken)
            taken += [box] if apart else []


def check_image(image: NDArray[np.uint8]) -> None:
    """Refuse what is not a picture of this package.

    Raises:
        OptionError: the image is not (H, W, 3) uint8.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise OptionError(f"image is {image.shape} {image.dtype}; expected (H, W, 3) uint8, RGB")


def _contour_radius(height: int, width: int) -> float:
    """Blur radius that gives the contour its width: 1.4 pixels at 480 lines, more on larger frames."""
    return max(0.8, min(height, width) / 340.0)


def _paint(canvas: Image.Image, region: Region, fill: int, radius: float | None) -> None:
    """Blend one object into the canvas; all work stays in the box around it."""
    colour = tuple(int(value) for value in track_colour(region.track_id))
    if radius is None:
        alpha = Image.fromarray(region.mask).point(_fill_table(fill))
        canvas.paste(colour, (region.left, region.top), alpha)
        return
    height, width = region.mask.shape
    pad = int(2 * radius) + 2
    left, top = max(0, region.left - pad), max(0, region.top - pad)
    right, bottom = min(canvas.width, region.left + width + pad), min(canvas.height, region.top + height + pad)
    mask = Image.new("L", (right - left, bottom - top))
    mask.paste(Image.fromarray(region.mask), (region.left - left, region.top - top))
    # Two box blurs make the border a ramp; a table turns the ramp into a line with soft sides.
    ramp = mask.filter(ImageFilter.BoxBlur(radius)).filter(ImageFilter.BoxBlur(radius))
    canvas.paste((8, 10, 14), (left, top), ramp.point(_shade_table()))
    alpha = ImageChops.lighter(ramp.point(_line_table(fill)), mask.point(_fill_table(fill)))
    canvas.paste(colour, (left, top), alpha)


@lru_cache(maxsize=64)
def _fill_table(fill: int) -> list[int]:
    return [0] * 128 + [fill] * 128


@lru_cache(maxsize=64)
def _line_table(fill: int) -> list[int]:
    """From the ramp's value to the alpha of the line: a plateau about the border, falling to the fill inside."""
    ramp = np.arange(256)
    outside = np.clip((ramp - 70) / 40.0, 0.0, 1.0)
    inside = np.clip((226 - ramp) / 40.0, 0.0, 1.0)
    line = _CONTOUR_LEVEL * outside * inside
    return [round(value) for value in np.maximum(line, np.where(ramp > 226, fill, 0))]


@lru_cache(maxsize=1)
def _shade_table() -> list[int]:
    """A thin dark rim outside the line keeps it readable on bright footage."""
    ramp = np.arange(256)
    rim = 80 * np.clip(ramp / 30.0, 0.0, 1.0) * np.clip((120 - ramp) / 40.0, 0.0, 1.0)
    return [round(value) for value in rim]


def _tag(canvas: Image.Image, region: Region, taken: Sequence[Box] = ()) -> Box:
    """Write the object's name in a small plate above it, or within it where there is no room; tell where.

    Where that would cover one of the boxes taken, the nearest free place beside, below or within the object is taken,
    else the nearest of the picture.
    """
    text = tag_text(region)
    size = max(9, round(min(canvas.size) / 34))
    font = default_font(size)
    left, top, right, bottom = font.getbbox(text)
    pad = max(2, size // 3)
    width, height = int(right - left) + 2 * pad, int(bottom - top) + 2 * pad
    x = max(0, min(region.left, canvas.width - width))
    y = region.top - height - pad
    if y < 0:
        y = max(0, min(region.top + pad, canvas.height - height))
    x, y = _free_place((x, y), (width, height), region, canvas.size, taken)
    colour = tuple(int(value) for value in track_colour(region.track_id))
    draw = ImageDraw.Draw(canvas)
    draw.rounded_rectangle((x, y, x + width - 1, y + height - 1), radius=min(pad, height // 3), fill=colour)
    dark = (299 * colour[0] + 587 * colour[1] + 114 * colour[2]) > 118_000
    draw.text((x + pad - left, y + pad - top), text, font=font, fill=(16, 18, 22) if dark else (255, 255, 255))
    return x, y, x + width, y + height


def _free_place(
    wished: tuple[int, int], size: tuple[int, int], region: Region, room: tuple[int, int], taken: Sequence[Box]
) -> tuple[int, int]:
    """The corner of a plate that covers none of those taken, as near as may be to where it is wished; (x, y)."""
    width, height = size

    def covers(x: int, y: int) -> bool:
        return any(
            x < right and left < x + width and y < bottom and top < y + height for left, top, right, bottom in taken
        )

    def far(place: tuple[int, int]) -> int:
        return abs(place[0] - wished[0]) + abs(place[1] - wished[1])

    if not covers(*wished):
        return wished
    rows, columns = region.mask.shape
    across = sorted({region.left, region.left + columns - width, region.left + (columns - width) // 2, wished[0]})
    down = range(region.top - 2 * height, region.top + rows + height + 1, max(1, height // 3))
    places = [(x, y) for x in across for y in down if 0 <= x <= room[0] - width and 0 <= y <= room[1] - height]
    places.sort(key=far)
    near = next((place for place in places if not covers(*place)), None)
    if near is not None:
        return near
    step = max(1, height // 2)
    anywhere = [(x, y) for x in range(0, room[0] - width + 1, step) for y in range(0, room[1] - height + 1, step)]
    return next((place for place in sorted(anywhere, key=far) if not covers(*place)), wished)


def tag_text(region: Region) -> str:
    """Id, label and score in a few letters, "1 dog 0.93" or "1: 0.93"; the score is left out where it says nothing."""
    name = " ".join([f"{region.track_id}", *(region.label or "").split()])
    if region.score is None or region.score >= 1.0:
        return name
    return f"{name}{'' if region.label else ':'} {region.score:.2f}"


@lru_cache(maxsize=32)
def default_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font at a height in pixels."""
    return ImageFont.load_default(size)
