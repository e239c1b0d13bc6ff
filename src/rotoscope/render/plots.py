"""Plots of scores: bars and curves, as PNG."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rotoscope.errors import OptionError
from rotoscope.figures import Bars, Panels
from rotoscope.files import writing

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FRACTIONS = ("recall", "threshold", "alpha")  # axes from 0 to 1
_LONGEST = 40  # letters of a name
_COLUMN = 0.34  # inches of height for a bar
_LINE_COLOURS = ("#1f6feb", "#d1495b", "#2a9d5c", "#e09f1f", "#7b4fc9", "#148a9c", "#8c6d46", "#5c6670")


Plot = Bars | Panels


def require_plotting() -> None:
    """Make sure that plots can be drawn.

    Raises:
        OptionError: matplotlib is not installed; it says how to.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise OptionError("plots need matplotlib; install it with: pip install 'rotoscope[plot]'") from error


def draw(plot: Plot, path: Path) -> None:
    """Draw to a PNG file, whole or not at all.

    Raises:
        OptionError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    require_plotting()
    from matplotlib import rc_context

    # Names are drawn as they are, a dollar sign is no formula; letters that the font lacks become boxes.
    with writing(path) as temporary, rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure = _bars(plot) if isinstance(plot, Bars) else _panels(plot)
        figure.savefig(temporary, dpi=110, facecolor="white")


def _figure(width: float, height: float, title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)  # no window and no global state
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _bars(plot: Bars) -> Figure:
    count, groups = len(plot.values), len(plot.labels)
    figure = _figure(8.0, max(2.4, 1.3 + groups * (0.12 + _COLUMN / 2 * count)), plot.title)
    axes = figure.add_subplot()
    places = np.arange(groups)
    thick = 0.82 / max(count, 1)
    for place, ((name, values), colour) in enumerate(zip(plot.values.items(), _cycle(count), strict=True)):
        heights = np.asarray(values, np.float64)
        offsets = places + (place - (count - 1) / 2) * thick
        axes.barh(offsets, np.nan_to_num(heights), thick * 0.92, label=name, color=colour)
        for offset, value in zip(offsets, heights, strict=True):
            if not math.isnan(value):
                text = axes.annotate(
                    f"{value:.3f}",
                    (max(value, 0.0), offset),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=7,
                    color="#444444",
                )
                text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.6})
        whole = plot.marks.get(name, math.nan)
        if not math.isnan(whole):
            axes.axvline(
                whole, color=colour, linestyle="--", linewidth=1, label=f"{name} of all: {whole:.3f}", zorder=0
            )
    axes.set_yticks(places, [_short(label) for label in plot.labels])
    axes.set_ylim(max(groups, 1) - 0.4, -0.6)
    drawn = np.array([np.asarray(bars, np.float64) for bars in plot.values.values()]).ravel()
    known = drawn[np.isfinite(drawn)]
    lowest, highest = float(known.min(initial=0.0)), float(known.max(initial=0.0))
    axes.set_xlim(lowest, 1.08 * (plot.limit or highest or 1.0))
    _plain(axes)
    found, labels = axes.get_legend_handles_labels()
    _legend(figure, dict(zip(labels, found, strict=True)))
    return figure


def _panels(plot: Panels) -> Figure:
    from matplotlib.ticker import MaxNLocator

    count = len(plot.panels)
    columns = 1 if count == 1 else 2 if count <= 4 else 3
    rows = -(-count // columns)
    figure = _figure(6.4 if columns == 1 else 4.2 * columns, 0.9 + (3.6 if columns == 1 else 2.5) * rows, plot.title)
    names = list(dict.fromkeys(name for panel in plot.panels for name in panel.curves))
    colours = dict(zip(names, _cycle(len(names)), strict=True))
    for place, panel in enumerate(plot.panels):
        axes = figure.add_subplot(rows, columns, place + 1)
        for name, (across, up) in panel.curves.items():
            style = "steps-post" if panel.steps else "default"
            axes.plot(np.asarray(across), np.asarray(up), label=name, color=colours[name], lw=1.3, drawstyle=style)
        axes.set_title(_short(panel.title), fontsize=9)
        axes.set_xlabel(panel.across, fontsize=8)
        axes.set_ylabel(panel.up, fontsize=8)
        if panel.unit:
            axes.set_ylim(-0.02, 1.03)
        if panel.across in _FRACTIONS:
            axes.set_xlim(-0.02, 1.03)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="#e6e6e6", linewidth=0.6)
        _plain(axes)
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        found, labels = axes.get_legend_handles_labels()
        handles |= dict(zip(labels, found, strict=True))
    _legend(figure, handles)
    return figure


def _legend(figure: Figure, handles: Mapping[str, Artist]) -> None:
    if not handles:
        return
    longest = max(len(name) for name in handles)
    columns = min(len(handles), 4 if longest <= 22 else 3 if longest <= 32 else 2)
    figure.legend(
        handles=list(handles.values()),
        labels=list(handles),
        loc="outside lower center",
        ncols=columns,
        fontsize=8,
        frameon=False,
    )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _cycle(count: int) -> list[str]:
    return [_LINE_COLOURS[place % len(_LINE_COLOURS)] for place in range(count)]
