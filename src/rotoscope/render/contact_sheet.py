"""One picture that shows a whole video: evenly spaced frames with their objects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rotoscope.errors import OptionError
from rotoscope.render.colours import track_colour
from rotoscope.render.overlay import check_image, default_font, draw_regions
from rotoscope.render.picture_file import save_png
from rotoscope.render.regions import Objects, Region, regions

_BACKGROUND = (24, 26, 30)
_EDGE = (58, 62, 70)
_BRIGHT = (238, 240, 243)
_MUTED = (150, 156, 166)
_KEPT_PIXELS = 720 * 405  # a kept frame is shrunk to about this area: enough for a sheet of one or two pictures
_WIDE = 16 / 9  # the picture shape that the asked columns and rows are meant for
_OPACITY = 0.38


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """A frame waiting for its place on the sheet, shrunk, not yet drawn on."""

    image: Image.Image
    found: list[Region]
    index: int
    timestamp: float


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where things go, in pixels."""

    columns: int
    rows: int
    cell: tuple[int, int]  # (width, height) of a picture
    margin: int
    gap: int
    caption: int  # height of the line under a picture
    header: int
    size: tuple[int, int]  # (width, height) of the sheet

    def corner(self, place: int) -> tuple[int, int]:
        """(x, y) of the picture at a place, counted row by row."""
        row, column = divmod(place, self.columns)
        x = self.margin + column * (self.cell[0] + self.gap)
        return x, self.header + row * (self.cell[1] + self.caption + self.gap)


class ContactSheet:
    """Collect a stream of frames of unknown length; draw a sheet of them at any time.

    Memory is bounded: at most twice the pictures of the sheet are kept, shrunk. When that is full every second one is
    dropped and from then on only every second of those that would have been kept is looked at. Portrait footage and
    short clips are laid out anew for their shape and number; columns and rows say how many pictures there are at most.

    Args:
        columns: pictures in a row, for landscape footage.
        rows: rows of pictures.
        width: of the sheet in pixels; a sheet of few or small pictures is narrower.
        title: first words of the header line.
        apart: see `overlay`.

    Raises:
        OptionError: columns or rows below 1, or a width below 240 pixels.
    """

    def __init__(
        self, columns: int = 4, rows: int = 3, width: int = 1600, title: str | None = None, apart: bool = False
    ) -> None:
        if columns < 1 or rows < 1 or width < 240:
            raise OptionError(
                f"contact sheet of {columns}x{rows} pictures, {width} pixels wide; "
                "expected 1 or more columns and rows and at least 240 pixels"
            )
        self._columns, self._rows, self._width, self._title = columns, rows, width, title
        self._apart = apart
        self._kept: list[_Kept] = []
        self._stride = 1
        self._count = 0
        self._last = 0.0
        self._size = (0, 0)

    @property
    def count(self) -> int:
        """Frames seen so far."""
        return self._count

    def add(self, image: NDArray[np.uint8], objects: Objects, index: int, timestamp: float) -> None:
        """Take the next frame; most frames of a long stream cost nothing.

        Args:
            image: (H, W, 3) uint8, RGB.
            objects: objects with run lengths of the frame's size, or a (H, W) integer label map.
            index: 0-based frame index, for the caption.
            timestamp: seconds, for the caption.

        Raises:
            MaskError: a mask of a kept frame has another size than the frame.
            OptionError: the image is not (H, W, 3) uint8 with at least one pixel.
        """
        place, self._count, self._last = self._count, self._count + 1, timestamp
        if place == 0:
            self._size = image.shape[0], image.shape[1]
        if place % self._stride:
            return
        self._kept.append(_shrunk(image, objects, index, timestamp))
        if len(self._kept) == 2 * self._columns * self._rows:
            self._kept = self._kept[::2]
            self._stride *= 2

    def image(self) -> NDArray[np.uint8]:
        """Draw the sheet of the frames seen so far.

        Returns:
            (h, w, 3) uint8, RGB; w is at most the width asked for.
        """
        shown = self._shown()
        shape = shown[0].image.size if shown else (16, 9)
        layout = _lay_out(len(shown), shape, self._columns, self._rows, self._width)
        sheet = Image.new("RGB", layout.size, _BACKGROUND)
        self._draw_header(sheet, layout)
        for place, kept in enumerate(shown):
            _draw_cell(sheet, layout, place, kept, self._apart)
        return np.array(sheet)

    def save(self, path: str | Path) -> None:
        """Write the sheet as a PNG file, whole or not at all.

        Raises:
            OutputError: the file cannot be written or its name does not end in .png.
        """
        save_png(path, "contact sheet", self.image)

    def _shown(self) -> list[_Kept]:
        """The kept frames that go on the sheet, evenly spaced and with the first."""
        number = min(len(self._kept), self._columns * self._rows)
        places = np.linspace(0, max(0, len(self._kept) - 1), number).round().astype(int)
        return [self._kept[place] for place in places]

    def _draw_header(self, sheet: Image.Image, layout: _Layout) -> None:
        height, width = self._size
        facts = f"{self._count} frame{'' if self._count == 1 else 's'}"
        if self._count:
            facts += f"   {width} x {height}   {_clock(self._last)}"
        large, small = default_font(round(layout.header * 0.34)), default_font(round(layout.header * 0.24))
        draw = ImageDraw.Draw(sheet)
        baseline = round(layout.header * 0.62)
        right = sheet.width - layout.margin
        draw.text((right, baseline), facts, font=small, fill=_MUTED, anchor="rs")
        room = right - layout.margin - draw.textlength(facts, font=small) - layout.margin
        title = self._title or "Contact sheet"
        while title and draw.textlength(title, font=large) > room:
            title = title.removesuffix("...")[:-1].rstrip() + "..." if len(title) > 4 else ""
        draw.text((layout.margin, baseline), title, font=large, fill=_BRIGHT, anchor="ls")


def _shrunk(image: NDArray[np.uint8], objects: Objects, index: int, timestamp: float) -> _Kept:
    check_image(image)
    height, width = image.shape[:2]
    if height == 0 or width == 0:
        raise OptionError(f"frame {index} is {height}x{width}; a contact sheet needs at least one pixel")
    found = regions(objects, (height, width))
    scale = min(1.0, math.sqrt(_KEPT_PIXELS / (height * width)))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.fromarray(np.ascontiguousarray(image))
    return _Kept(_resized(picture, size), _rescaled(found, (width, height), size), index, timestamp)


def _resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize for looking at: pixels of tiny footage stay pixels."""
    if picture.size == size:
        return picture.copy()
    if size[0] >= 3 * picture.width:
        return picture.resize(size, Image.Resampling.NEAREST)
    return picture.resize(size, Image.Resampling.BILINEAR)


def _rescaled(found: list[Region], old: tuple[int, int], new: tuple[int, int]) -> list[Region]:
    """Bring masks from one (width, height) to another; an object that would vanish keeps what is left of its tint."""
    if old == new:
        return found
    result = []
    for region in found:
        full = Image.new("L", old)
        full.paste(Image.fromarray(region.mask), (region.left, region.top))
        upward = new[0] >= 3 * old[0]
        method = Image.Resampling.NEAREST if upward else Image.Resampling.BOX
        small = full.resize(new, method) if upward or new[0] < old[0] else full.resize(new, Image.Resampling.BICUBIC)
        level = min(127, max(0, np.asarray(small).max() // 2))
        binary = small.point([0] * (level + 1) + [255] * (255 - level))
        box = binary.getbbox()
        if box is not None:
            cut = np.array(binary.crop(box))
            result.append(Region(region.track_id, box[0], box[1], cut, region.label, region.score))
    return result


def _lay_out(number: int, shape: tuple[int, int], columns: int, rows: int, width: int) -> _Layout:
    """Choose the grid for a number of pictures of one shape (width, height)."""
    margin, gap = max(8, width // 57), max(4, width // 114)
    aspect = min(6.0, max(0.2, shape[0] / shape[1]))
    columns, rows = _grid(max(1, number), aspect, columns * _WIDE / rows)
    cell_width = (width - 2 * margin - (columns - 1) * gap) // columns
    largest = math.sqrt(_KEPT_PIXELS * aspect)  # wider would only blow up what was kept
    cell_width = max(16, min(cell_width, round(largest)))
    cell = cell_width, max(9, round(cell_width / aspect))
    caption, header = max(20, round(width / 62)), max(36, round(width / 26))
    full_width = 2 * margin + columns * cell[0] + (columns - 1) * gap
    full_width = max(full_width, min(width, 26 * header // 3))
    full_height = header + rows * (cell[1] + caption) + (rows - 1) * gap + max(4, margin - gap // 2)
    return _Layout(columns, rows, cell, margin, gap, caption, header, (full_width, full_height))


def _grid(number: int, aspect: float, target: float) -> tuple[int, int]:
    """Columns and rows whose sheet comes nearest to a shape with few places empty."""

    def cost(columns: int) -> float:
        rows = math.ceil(number / columns)
        empty = 1 - number / (columns * rows)
        return abs(math.log(columns * aspect / rows / target)) + 2 * empty

    columns = min(range(1, number + 1), key=cost)
    return columns, math.ceil(number / columns)


def _draw_cell(sheet: Image.Image, layout: _Layout, place: int, kept: _Kept, apart: bool) -> None:
    left, top = layout.corner(place)
    scale = min(layout.cell[0] / kept.image.width, layout.cell[1] / kept.image.height)
    size = max(1, round(kept.image.width * scale)), max(1, round(kept.image.height * scale))
    picture = _resized(kept.image, size)
    found = _rescaled(kept.found, kept.image.size, size)
    draw_regions(picture, found, opacity=_OPACITY, names=True, apart=apart)
    x, y = left + (layout.cell[0] - size[0]) // 2, top + (layout.cell[1] - size[1]) // 2
    sheet.paste(picture, (x, y))
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((x - 1, y - 1, x + size[0], y + size[1]), outline=_EDGE)
    middle = top + layout.cell[1] + layout.caption // 2 + 1
    font = default_font(max(10, round(layout.caption * 0.58)))
    first = f"#{kept.index}"
    draw.text((left, middle), first, font=font, fill=_BRIGHT, anchor="lm")
    after = left + draw.textlength(first + "   ", font=font)
    draw.text((after, middle), _clock(kept.timestamp), font=font, fill=_MUTED, anchor="lm")
    text_end = after + draw.textlength(_clock(kept.timestamp) + "  ", font=font)
    _draw_dots(draw, found, left + layout.cell[0], text_end, middle, max(2, layout.caption // 7))


def _draw_dots(
    draw: ImageDraw.ImageDraw, found: list[Region], right: int, left: float, middle: int, radius: int
) -> None:
    """One dot in its colour for each object present, from the right as far as there is room."""
    room = max(0, int((right - left) // (3 * radius)))
    for number, region in enumerate(reversed(found[:room])):
        x = right - radius - 3 * radius * number
        colour = tuple(int(value) for value in track_colour(region.track_id))
        draw.ellipse((x - radius, middle - radius, x + radius, middle + radius), fill=colour)


def _clock(seconds: float) -> str:
    """Seconds for a caption: "4.0 s", from a minute on "2:05.3"."""
    if not math.isfinite(seconds):
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds, 1), 60)
    if minutes < 60:
        return f"{int(minutes)}:{rest:04.1f}"
    return f"{int(minutes // 60)}:{int(minutes % 60):02d}:{rest:04.1f}"
