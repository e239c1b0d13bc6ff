"""One picture of all tracks of a video: a row each, when it is seen, thick and bright where it is large."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rotoscope.render.colours import track_colour
from rotoscope.render.overlay import default_font
from rotoscope.render.picture_file import save_png
from rotoscope.types import Track

MOST_ROWS = 60
_WIDTH = 1400
_BACKGROUND, _STRIPE, _LINE = (24, 26, 30), (31, 33, 38), (58, 62, 70)
_BRIGHT, _MUTED = (238, 240, 243), (158, 164, 174)
_MARGIN, _HEADER, _AXIS, _ROW = 24, 56, 40, 34
_LABELS = (150, 330)  # narrowest and widest column of names
_LEAST, _MOST = 3, _ROW - 10  # thickness of a bar
_PALEST = 0.45  # share of its colour that the smallest has


class Timeline:
    """When the tracks of a video are seen.

    A bar's thickness and brightness grow with the square root of the mask's area, the largest mask of the video being
    1. Where a column of pixels stands for several frames, it shows the largest area among them.

    Args:
        tracks: in the order of the rows; of more than 60, the 60 of highest score are drawn.
        frames: index of every frame of the video, ascending.
        seconds: timestamp of the last frame.
        title: first words of the header line.
    """

    def __init__(self, tracks: Sequence[Track], frames: Sequence[int], seconds: float, title: str = "") -> None:
        chosen = sorted(tracks, key=lambda track: (-track.score, track.id))[:MOST_ROWS]
        ids = {track.id for track in chosen}
        self.rows = [track for track in tracks if track.id in ids]
        self.left_out = len(tracks) - len(self.rows)
        self._frames, self._seconds, self._title = list(frames), seconds, title or "Tracks"
        self._largest = max((1, *(mask.area for track in self.rows for mask in track.masks.values())))

    def image(self) -> NDArray[np.uint8]:
        """Draw it.

        Returns:
            (h, w, 3) uint8, RGB.
        """
        font = default_font(15)
        names = [name_of(track) for track in self.rows]
        wanted = max((round(font.getlength(name)) for name in names), default=0) + 34
        left = _MARGIN + min(_LABELS[1], max(_LABELS[0], wanted))
        right = _WIDTH - _MARGIN
        height = _HEADER + max(1, len(self.rows)) * _ROW + _AXIS
        sheet = Image.new("RGB", (_WIDTH, height), _BACKGROUND)
        draw = ImageDraw.Draw(sheet)
        self._draw_header(draw)
        for place in range(0, len(self.rows), 2):
            top = _HEADER + place * _ROW
            draw.rectangle((_MARGIN // 2, top, _WIDTH - _MARGIN // 2, top + _ROW - 1), fill=_STRIPE)
        self._draw_axis(draw, left, right, height - _AXIS)
        if not self.rows:
            draw.text((left, _HEADER + _ROW // 2), "nothing was found", font=font, fill=_MUTED, anchor="lm")
        pixels = np.array(sheet)
        for place, track in enumerate(self.rows):
            middle = _HEADER + place * _ROW + _ROW // 2
            _draw_bar(pixels, track, self._sizes(track, right - left), left, middle)
        sheet = Image.fromarray(pixels)
        draw = ImageDraw.Draw(sheet)
        for place, (track, name) in enumerate(zip(self.rows, names, strict=True)):
            middle = _HEADER + place * _ROW + _ROW // 2
            draw.rounded_rectangle((_MARGIN, middle - 7, _MARGIN + 14, middle + 7), radius=3, fill=_colour(track))
            text = _fitting(name, left - _MARGIN - 34, font.getlength)
            draw.text((_MARGIN + 24, middle), text, font=font, fill=_BRIGHT, anchor="lm")
        return np.array(sheet)

    def save(self, path: str | Path) -> None:
        """Write it as a PNG file, whole or not at all.

        Raises:
            OutputError: the file cannot be written or its name does not end in .png.
        """
        save_png(path, "timeline", self.image)

    def _sizes(self, track: Track, width: int) -> NDArray[np.float64]:
        """How large a track is in each column of pixels, 0 to 1; 0 where it is not seen."""
        sizes = np.zeros(len(self._frames))
        for place, index in enumerate(self._frames):
            if index in track.masks:
                sizes[place] = math.sqrt(track.masks[index].area / self._largest)
        if len(sizes) <= width:
            return sizes[np.arange(width) * len(sizes) // width]
        return np.maximum.reduceat(sizes, np.arange(width) * len(sizes) // width)

    def _draw_header(self, draw: ImageDraw.ImageDraw) -> None:
        count, frames = len(self.rows) + self.left_out, len(self._frames)
        facts = f"{count} track{'' if count == 1 else 's'}   {frames} frame{'' if frames == 1 else 's'}"
        if self.left_out:
            facts += f"   the {MOST_ROWS} of highest score are shown"
        large, small = default_font(20), default_font(14)
        baseline = round(_HEADER * 0.62)
        draw.text((_WIDTH - _MARGIN, baseline), facts, font=small, fill=_MUTED, anchor="rs")
        room = _WIDTH - 3 * _MARGIN - draw.textlength(facts, font=small)
        title = _fitting(self._title, room, large.getlength)
        draw.text((_MARGIN, baseline), title, font=large, fill=_BRIGHT, anchor="ls")

    def _draw_axis(self, draw: ImageDraw.ImageDraw, left: int, right: int, top: int) -> None:
        """A line every so many frames, with the frame's index and, at the ends, the time."""
        font, count = default_font(13), len(self._frames)
        step = _round_step(count, (right - left) // 70)
        for place in range(0, count, step):
            x = left + round(place * (right - left) / max(1, count))
            draw.line((x, _HEADER, x, top + 4), fill=_LINE)
            draw.text((x, top + 8), str(self._frames[place]), font=font, fill=_MUTED, anchor="ma")
        draw.line((left, top, right, top), fill=_LINE)
        draw.text((_MARGIN, top + 8), f"frame, to {self._seconds:.1f} s", font=font, fill=_MUTED, anchor="la")


def name_of(track: Track) -> str:
    """Id, label and score of a track: "3 dog 0.87"."""
    words = [str(track.id), *([] if not track.label else [" ".join(track.label.split())]), f"{track.score:.2f}"]
    return " ".join(words)


def _draw_bar(pixels: NDArray[np.uint8], track: Track, sizes: NDArray[np.float64], left: int, middle: int) -> None:
    """Paint one row, in place: (h, w, 3), columns from `left` on."""
    thick = np.where(sizes > 0, _LEAST + (_MOST - _LEAST) * sizes, 0.0)
    below = np.abs(np.arange(_ROW) - _ROW // 2)[:, None] <= thick / 2  # (rows, columns)
    shade = (_PALEST + (1 - _PALEST) * sizes)[None, :, None]
    colour = shade * np.array(_colour(track), np.float64) + (1 - shade) * np.array(_BACKGROUND, np.float64)
    top = middle - _ROW // 2
    area = pixels[top : top + _ROW, left : left + len(sizes)]
    shown = below & (thick > 0)
    area[shown] = np.broadcast_to(colour.round().astype(np.uint8), area.shape)[shown]


def _colour(track: Track) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in track_colour(track.id))
    return red, green, blue


def _round_step(count: int, most: int) -> int:
    """The least of 1, 2, 5, 10, 20, ... with at most so many steps in a count."""
    step = 1
    while count / step > max(1, most):
        step = step * 5 // 2 if str(step).startswith("2") else step * 2
    return step


def _fitting(text: str, room: float, length: Callable[[str], float]) -> str:
    """The text, shortened by dots to the room that there is."""
    if length(text) <= room:
        return text
    while text and length(text + "...") > room:
        text = text[:-1]
    return text.rstrip() + "..."
