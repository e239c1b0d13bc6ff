"""What the benchmarks of tracking share: figures for JSON, the toolkit's result files, HOTA over alpha."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rotoscope.evaluation.report import Cell
from rotoscope.figures import Panel, Panels
from rotoscope.metrics.hota import ALPHAS, Hota
from rotoscope.metrics.tracking import Figures

_NOT_IN_SUMMARY = ("CLR_F1", "FP_per_frame", "MOTAL", "MOTP_sum", "CLR_Frames")


def figures_json(figures: Figures) -> dict[str, object]:
    """Give arrays as `<name>_by_alpha` lists beside their mean."""
    found: dict[str, object] = {}
    for name, value in figures.items():
        if isinstance(value, np.ndarray):
            found[name] = float(value.mean())
            found[f"{name}_by_alpha"] = value.tolist()
        else:
            found[name] = value
    return found


def hota_over_alpha(classes: Mapping[str, Hota]) -> Panels:
    """Draw HOTA and its parts at each alpha, a panel a class."""
    panels = []
    for name, hota in classes.items():
        some = hota.tp > 0  # without a match AssA and LocA say nothing
        ass_a, loc_a = (np.where(some, values, np.nan) for values in (hota.ass_a, hota.loc_a))
        lines = {"HOTA": hota.hota, "DetA": hota.det_a, "AssA": ass_a, "LocA": loc_a}
        title = f"{name}: HOTA {hota.hota.mean():.3f}"
        panels.append(Panel(title, {key: (ALPHAS, values) for key, values in lines.items()}, "alpha", "score"))
    return Panels("HOTA over the IoU that a match needs", panels)


def toolkit_rows(parts: Sequence[tuple[str, Figures]]) -> list[list[Cell]]:
    """The tracking toolkit's detailed table: a column for each alpha and for the mean, a row a sequence."""
    header: list[Cell] = ["seq"]
    for name, value in parts[0][1].items():
        if isinstance(value, np.ndarray):
            header += [f"{name}___{round(100 * alpha)}" for alpha in ALPHAS] + [f"{name}___AUC"]
        else:
            header.append(name)
    rows: list[list[Cell]] = [header]
    for label, figures in parts:
        row: list[Cell] = [label]
        for value in figures.values():
            row += [*value.tolist(), float(value.mean())] if isinstance(value, np.ndarray) else [value]
        rows.append(row)
    return rows


def summary_rows(figures: Figures) -> list[list[Cell]]:
    """The tracking toolkit's summary: scores in percent with five digits, counts as they are."""
    names, values = [], []
    for name, value in figures.items():
        if name.startswith("HOTA_") or name in _NOT_IN_SUMMARY:
            continue
        names.append(name)
        if isinstance(value, int):
            values.append(str(value))
        else:
            values.append(f"{100 * float(np.mean(value)):1.5g}")
    return [list(names), list(values)]
