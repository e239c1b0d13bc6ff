"""What the aggregation reads: for chosen cells of a frame, how much the cells of each frame in memory count.

It is the supplement's figure of soft weights, on any video: weights are those of one softmax over all frames in memory,
and each frame is shown in a scale of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rotoscope.errors import OptionError
from rotoscope.figures import Block, Maps
from rotoscope.models.contract import Analysis, Findings, Subject
from rotoscope.models.visolo.network import STRIDE, VISOLO
from rotoscope.models.visolo.options import OnlineOptions, parse_grid
from rotoscope.models.visolo.tracker import Found, Reading, Tracker
from rotoscope.ops.resize import SizeRule, resize_picture
from rotoscope.types import Frame

_CHOSEN = 3  # cells where none are named


@dataclass(frozen=True)
class WeightOptions:
    """Of the analysis of weights.

    Attributes:
        frame: which one, from 0; None for the middle one, where the length is known, else the last.
        cells: rows x columns from 0, such as "5x10"; () for those of the best instances, or the middle one.
        references: so many frames of memory are shown, those that count most.
    """

    frame: int | None = None
    cells: tuple[str, ...] = ()
    references: int = 5

    def __post_init__(self) -> None:
        if self.references < 1:
            raise OptionError(f"references {self.references}: expected 1 or more")


def weights(subject: Subject[OnlineOptions], options: WeightOptions) -> Findings:
    """Look at what the aggregation of one frame reads.

    Raises:
        OptionError: the video has no such frame, or the grid no such cell; the network is another system's.
    """
    if not isinstance(subject.network, VISOLO):
        raise OptionError(f"weights of aggregation are VISOLO's, not those of a {type(subject.network).__name__}")
    grid = parse_grid(subject.options.grid)
    named = [_cell(text, grid) for text in options.cells]
    tracker = Tracker(subject.network, subject.options)
    number, found, reading = _run(tracker, subject, options.frame)
    chosen = named or _best_cells(found, grid)
    table = reading.weights[chosen].float().cpu().numpy()  # (N, T, S)
    shares = table.sum(axis=2)  # (N, T)
    shown = sorted(np.argsort(-shares.sum(axis=0), kind="stable")[: options.references].tolist())
    pictures = _pictures(subject, {number, *(reading.memory[place] for place in shown)})
    blocks = [Block(f"frame {number}", _marks(chosen, grid), _names(chosen, grid), pictures[number])]
    for place in shown:
        peak = table[:, place].max(axis=1, keepdims=True)
        maps = (table[:, place] / np.maximum(peak, np.finfo(np.float32).tiny)).reshape(len(chosen), 1, *grid)
        names = [f"{100 * share:.0f} %" for share in shares[:, place]]
        before = reading.memory[place]
        blocks.append(Block(f"read from frame {before}", maps, names, pictures[before]))
    figure = Maps(
        f"What cells of frame {number} read",
        blocks,
        0.0,
        1.0,
        unit="weight",
        opacity=0.6,
        note="each frame in a scale of its own; percent: its share of all that the cell reads",
    )
    numbers: dict[str, Any] = {
        "frame": number,
        "memory": reading.memory,
        "cells": [
            {
                "cell": list(divmod(cell, grid[1])),
                "shares": [round(float(share), 6) for share in shares[row]],
                "strongest": [list(divmod(int(best), grid[1])) for best in table[row].argmax(axis=1)],
            }
            for row, cell in enumerate(chosen)
        ],
    }
    return Findings(numbers, {f"frame{number}": figure})


def _run(tracker: Tracker, subject: Subject[OnlineOptions], wanted: int | None) -> tuple[int, Found, Reading]:
    """Go through the video up to a frame; give its index, its instances and what it read."""
    count = subject.info.frame_count
    middle = count // 2 if count else None  # a hint: the video may be shorter
    last: tuple[int, Found, Reading] | None = None
    for place, (_, pixels) in enumerate(_resized(subject)):
        found = tracker.step(torch.tensor(pixels).to(subject.device).permute(2, 0, 1))
        if tracker.reading is None:
            raise AssertionError("a frame was read by nothing")
        last = place, found, tracker.reading
        if place == (middle if wanted is None else wanted):
            break
    if last is None or (wanted is not None and last[0] != wanted):
        raise OptionError(f"the video has no frame {wanted}; it has {0 if last is None else last[0] + 1}")
    return last


def _resized(subject: Subject[OnlineOptions]) -> Iterator[tuple[Frame, NDArray[np.uint8]]]:
    size = SizeRule.parse(subject.options.size).of(subject.info.size)
    for frame in subject.frames():
        yield frame, resize_picture(frame.image, size)


def _pictures(subject: Subject[OnlineOptions], wanted: set[int]) -> dict[int, NDArray[np.uint8]]:
    """Some frames of the video as the grid lies over them: at the network's size, padded."""
    found: dict[int, NDArray[np.uint8]] = {}
    for place, (_, pixels) in enumerate(_resized(subject)):
        if place in wanted:
            below, right = (-side % STRIDE for side in pixels.shape[:2])
            found[place] = np.pad(pixels, ((0, below), (0, right), (0, 0)))
            if len(found) == len(wanted):
                break
    return found


def _cell(text: str, grid: tuple[int, int]) -> int:
    row, separator, column = text.partition("x")
    if not separator or not (row.isdecimal() and column.isdecimal()):
        raise OptionError(f'cell {text!r} is not understood; give its row and column from 0, such as "5x10"')
    if int(row) >= grid[0] or int(column) >= grid[1]:
        raise OptionError(f"cell {text} lies outside the grid of {grid[0]}x{grid[1]}; rows and columns count from 0")
    return int(row) * grid[1] + int(column)


def _best_cells(found: Found, grid: tuple[int, int]) -> list[int]:
    """The cells of the best instances, or the one in the middle where there are none."""
    best: list[int] = found.detections.cells[:_CHOSEN].tolist()
    return best or [grid[0] // 2 * grid[1] + grid[1] // 2]


def _marks(chosen: Sequence[int], grid: tuple[int, int]) -> NDArray[np.float32]:
    """(N, 1, S1, S2), 1 at each chosen cell, blank elsewhere."""
    marks = np.full((len(chosen), 1, grid[0] * grid[1]), np.nan, np.float32)
    marks[np.arange(len(chosen)), 0, list(chosen)] = 1
    return marks.reshape(len(chosen), 1, *grid)


def _names(chosen: Sequence[int], grid: tuple[int, int]) -> list[str]:
    return ["cell {}x{}".format(*divmod(cell, grid[1])) for cell in chosen]


ANALYSES = {
    "weights": Analysis("what chosen cells read of the frames in memory", weights, WeightOptions),
}
