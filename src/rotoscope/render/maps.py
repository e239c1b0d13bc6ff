"""Blocks of maps on one sheet: a title, a picture above each block or under its maps, a scale of colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rotoscope.errors import OptionError
from rotoscope.figures import Block, Maps
from rotoscope.render.heat import heat
from rotoscope.render.overlay import default_font

_WIDTH = 1180  # of a sheet, about
_BACKGROUND = (24, 26, 30)
_BRIGHT = (238, 240, 243)
_MUTED = (168, 174, 184)
_MARGIN, _GAP, _APART = 20, 3, 18  # around, between maps, between blocks
_SCALE = 96  # width that the scale takes, with its numbers
_HEADER, _CAPTION, _NOTE = 46, 26, 26
_CELL = (36, 420)  # narrowest and widest map


@dataclass(frozen=True)
class _Layout:
    """In pixels.

    Attributes:
        cell: (width, height) of a map.
        lefts: where blocks begin.
        pictures: height of the row of pictures, 0 without.
        size: (width, height) of the sheet.
    """

    cell: tuple[int, int]
    lefts: list[int]
    pictures: int
    size: tuple[int, int]

    @property
    def maps_top(self) -> int:
        """Where the maps begin."""
        return _HEADER + _CAPTION + (self.pictures + 2 * _GAP if self.pictures else 0)


def draw_maps(figure: Maps) -> NDArray[np.uint8]:
    """Draw maps as a picture.

    Returns:
        (h, w, 3) uint8 RGB.

    Raises:
        OptionError: no block, an empty one, or a scale without extent.
    """
    _check(figure)
    layout = _lay_out(figure)
    sheet = Image.new("RGB", layout.size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    _text(draw, (_MARGIN, _HEADER // 2 + 4), figure.title, 19, _BRIGHT, layout.size[0] - 2 * _MARGIN)
    for block, left in zip(figure.blocks, layout.lefts, strict=True):
        _draw_block(sheet, draw, figure, layout, block, left)
    _draw_scale(sheet, draw, figure, layout)
    if figure.note:
        middle = layout.size[1] - _MARGIN // 2 - _NOTE // 2
        _text(draw, (_MARGIN, middle), figure.note, 13, _MUTED, layout.size[0] - 2 * _MARGIN)
    return np.array(sheet)


def _check(figure: Maps) -> None:
    if not figure.high > figure.low:
        raise OptionError(f"a scale from {figure.low} to {figure.high} has no extent; let it rise")
    if not figure.blocks or any(block.maps.ndim != 4 or block.maps.size == 0 for block in figure.blocks):
        raise OptionError(f"{figure.title}: expected blocks of maps (rows, columns, h, w) with something in them")


def _lay_out(figure: Maps) -> _Layout:
    columns = [block.maps.shape[1] for block in figure.blocks]
    rows = max(block.maps.shape[0] for block in figure.blocks)
    first = figure.blocks[0]
    height, width = first.maps.shape[2:] if first.picture is None else first.picture.shape[:2]
    aspect = min(8.0, max(0.125, width / height))
    room = _WIDTH - 2 * _MARGIN - _SCALE - _APART * (len(columns) - 1)
    cell_width = min(_CELL[1], max(_CELL[0], room // sum(columns) - _GAP))
    cell = cell_width, max(8, round(cell_width / aspect))
    spans = [count * (cell[0] + _GAP) - _GAP for count in columns]
    lefts = [_MARGIN + sum(spans[:place]) + place * _APART for place in range(len(spans))]
    above = figure.opacity >= 1 and any(block.picture is not None for block in figure.blocks)
    pictures = round(min(spans) / aspect) if above else 0
    layout = _Layout(cell, lefts, pictures, (0, 0))
    bottom = layout.maps_top + max(rows * (cell[1] + _GAP), 110)
    full_width = lefts[-1] + spans[-1] + _SCALE + _MARGIN
    return _Layout(cell, lefts, pictures, (full_width, bottom + (_NOTE if figure.note else 0) + _MARGIN // 2))


def _draw_block(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, figure: Maps, layout: _Layout, block: Block, left: int
) -> None:
    rows, columns = block.maps.shape[:2]
    span = columns * (layout.cell[0] + _GAP) - _GAP
    _text(draw, (left, _HEADER + _CAPTION // 2 - 2), block.title, 15, _BRIGHT, span)
    if layout.pictures and block.picture is not None:
        sheet.paste(_fitted(block.picture, (span, layout.pictures)), (left, _HEADER + _CAPTION))
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        corner = left + column * (layout.cell[0] + _GAP), layout.maps_top + row * (layout.cell[1] + _GAP)
        sheet.paste(_map(figure, block, row, column, layout.cell), corner)
        if place < len(block.names):
            at = corner[0] + 5, corner[1] + 9
            draw.text(
                at,
                block.names[place],
                font=default_font(12),
                fill=_BRIGHT,
                anchor="lm",
                stroke_width=2,
                stroke_fill=_BACKGROUND,
            )


def _map(figure: Maps, block: Block, row: int, column: int, size: tuple[int, int]) -> Image.Image:
    colours = Image.fromarray(heat(block.maps[row, column], figure.low, figure.high))
    method = Image.Resampling.BICUBIC if figure.smooth else Image.Resampling.NEAREST
    if size[0] < colours.width:
        method = Image.Resampling.BOX
    drawn = colours.resize(size, method)
    if figure.opacity < 1 and block.picture is not None:
        return Image.blend(_fitted(block.picture, size), drawn, figure.opacity)
    return drawn


def _fitted(picture: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BILINEAR, reducing_gap=3)


def _draw_scale(sheet: Image.Image, draw: ImageDraw.ImageDraw, figure: Maps, layout: _Layout) -> None:
    left, width = layout.size[0] - _MARGIN - _SCALE + _APART, 14
    top = layout.maps_top
    bottom = layout.size[1] - (_NOTE if figure.note else 0) - _MARGIN // 2 - _GAP
    ramp = np.linspace(1, 0, bottom - top)[:, None].repeat(width, axis=1)
    sheet.paste(Image.fromarray(heat(ramp, 0, 1)), (left, top))
    if figure.unit:
        _text(draw, (left, top - 12), figure.unit, 13, _MUTED, _SCALE - _APART + _MARGIN)
    ends = {figure.high: top + 6, figure.low: bottom - 6}
    for value, middle in ends.items():
        draw.text((left + width + 7, middle), f"{value:.3g}", font=default_font(13), fill=_BRIGHT, anchor="lm")
    if figure.mark is None or not figure.low <= figure.mark[0] <= figure.high:
        return
    share = (figure.mark[0] - figure.low) / (figure.high - figure.low)
    middle = round(bottom - 1 - share * (bottom - top - 1))
    draw.line((left - 3, middle, left + width + 2, middle), fill=_BRIGHT, width=2)
    if all(abs(middle - end) > 14 for end in ends.values()):
        _text(draw, (left + width + 7, middle), figure.mark[1], 12, _MUTED, _SCALE - _APART - width)


def _text(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], words: str, size: int, colour: tuple[int, int, int], room: int
) -> None:
    """Words from a place on, vertically in its middle, cut where the room ends."""
    font = default_font(size)
    while len(words) > 1 and draw.textlength(words, font=font) > room:
        words = words.removesuffix("…")[:-1].rstrip() + "…"
    draw.text(at, words, font=font, fill=colour, anchor="lm")
