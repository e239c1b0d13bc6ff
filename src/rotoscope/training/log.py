"""What a training writes down: a line of JSON now and then, TensorBoard's files where it is installed, curves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rotoscope.errors import OptionError, OutputError
from rotoscope.figures import Panel, Panels
from rotoscope.files import append_whole, explaining, write_whole
from rotoscope.render.plots import draw

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

NAME = "log.jsonl"
CURVES = "curves.png"
BOARD = "tensorboard"


class Log:
    """The log of one training folder.

    Args:
        folder: of the training.
        step: steps done; lines of later ones, which a killed run left, are taken out.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self._path = folder / NAME
        lines = [line for line in read_log(folder) if line["step"] <= step]
        write_whole(self._path, "".join(json.dumps(line) + "\n" for line in lines).encode())
        self._board_folder = folder / BOARD
        with explaining(self._board_folder):
            self._board = _board(self._board_folder, step)

    @property
    def has_board(self) -> bool:
        """Whether TensorBoard's files are written."""
        return self._board is not None

    def add(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Write one line: `kind` is "train" or "validation".

        Raises:
            OutputError: the disk is full or the file cannot be written.
        """
        line = {"step": step, "kind": kind, **values}
        append_whole(self._path, (json.dumps(line) + "\n").encode())
        if self._board is not None:
            with explaining(self._board_folder):
                for name, value in values.items():
                    if isinstance(value, int | float):
                        self._board.add_scalar(f"{kind}/{name}", value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board is None:
            return
        try:
            with explaining(self._board_folder):
                self._board.close()
        except OutputError:
            if kind is None:  # else it has been told already, or something worse has
                raise


def _board(folder: Path, step: int) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a training's log; a last one that was cut off is left out."""
    path = folder / NAME
    if not path.is_file():
        return []
    found = []
    for line in path.read_text("utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError):
            break
    return found


def draw_curves(folder: Path) -> Path | None:
    """Draw loss, score, rate and validation over the steps as a PNG; None where matplotlib is not installed."""
    lines = read_log(folder)
    trained = [line for line in lines if line["kind"] == "train"]
    validated = [line for line in lines if line["kind"] == "validation"]
    panels = [
        _panel("loss", trained, {"loss": "loss"}, unit=False),
        _panel("IoU of the training's own clips", trained, {"score": "score"}),
        _panel("learning rate", trained, {"rate": "rate"}, unit=False),
    ]
    if validated:
        panels.append(_panel("validation", validated, {"J": "J", "F": "F", "J&F": "J&F"}))
    try:
        draw(Panels(folder.name, [panel for panel in panels if panel.curves]), folder / CURVES)
    except OptionError:
        return None
    return folder / CURVES


def _panel(title: str, lines: list[dict[str, Any]], names: Mapping[str, str], unit: bool = True) -> Panel:
    curves = {}
    for shown, key in names.items():
        points = [(line["step"], line[key]) for line in lines if math.isfinite(line.get(key, math.nan))]
        if points:
            curves[shown] = ([step for step, _ in points], [value for _, value in points])
    return Panel(title, curves, "step", "" if not unit else "score", unit=unit)
