"""Bounds of every number in a recipe, by its place; what is not listed may be any finite number of a usual size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from rotoscope.bounds import number

_NONE, _ANY, _SHARE, _SIDE = 0.0, 1e9, (0.0, 1.0), (1.0, 8192.0)
_ABOVE_NONE = 1e-12
_SEED = (0, 2**53)
_COUNT = (0, 10**9)
_SOME = (1, 10**9)

# Rows of (place, smallest, largest); "*" stands for one part of a place, and the first row that fits counts.
_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("seed", *_SEED),
    ("data.*.seed", *_SEED),
    ("clips.length", 1, 1024),
    ("clips.size.*", *_SIDE),
    ("data.*.weight", _NONE, 1e6),
    ("data.*.clips", 1, 10**6),
    ("data.*.spans.*", 1, 10**6),
    ("data.*.zoom.*", _ABOVE_NONE, 1e3),
    ("data.*.factors.*", _ABOVE_NONE, 1e3),
    ("data.*.short_side", *_SIDE),
    ("data.*.turn.short_edges.*", *_SIDE),
    ("data.*.turn.longest", *_SIDE),
    ("data.*.turn.degrees", _NONE, 360.0),
    ("data.*.turn.flip", *_SHARE),
    ("data.*.warps.turn", _NONE, 360.0),
    ("data.*.warps.blur", *_SHARE),
    ("data.*.pasted.*", 0, 100),
    ("data.*.*.*.frames", *_COUNT),
    ("data.*.*.*.count", *_COUNT),
    ("data.*.*.*.category", *_COUNT),
    ("data.*.*.*.least_side", _NONE, _ANY),
    ("data.*.*.*.hold_out", *_COUNT),
    ("data.*.*.*.least_sure", *_SHARE),
    ("data.*.scene.area.*", *_SHARE),
    ("data.*.scene.tone", _NONE, 1e3),
    ("data.*.scene.bend", _NONE, 1e3),
    ("data.*.scene.view.*", _NONE, 1e3),
    ("data.*.scene.own.*", _NONE, 1e3),
    ("data.*.scene.*", *_SHARE),
    ("data.*.tone", _NONE, 1e3),
    ("data.*.stretch", _NONE, 1e3),
    ("data.*.growing", *_SHARE),
    ("data.*.flip", *_SHARE),
    ("data.*.reverse", *_SHARE),
    ("data.*.changes", *_SHARE),
    ("optimiser.rate", _ABOVE_NONE, 1e6),
    ("optimiser.weight_decay", _NONE, 1e6),
    ("optimiser.momentum", *_SHARE),
    ("optimiser.clip_norm", _NONE, _ANY),
    ("schedule.warm_up", *_COUNT),
    ("schedule.drops.*", _NONE, _ANY),
    ("schedule.drop_steps.*", *_COUNT),
    ("schedule.factor", _NONE, 1e6),
    ("schedule.floor", _NONE, 1e6),
    ("schedule.power", _NONE, 1e3),
    ("schedule.begin", *_COUNT),
    ("schedule.per", *_SOME),
    ("run.steps", *_COUNT),
    ("run.epochs", _NONE, 1e6),
    ("run.batch", 1, 10**4),
    ("run.accumulate", 1, 10**6),
    ("run.average", _NONE, 1 - 1e-9),
    ("run.workers", 0, 256),
    ("run.log_every", *_SOME),
    ("run.save_every", *_SOME),
    ("validation.every", *_SOME),
    ("validation.start_at", *_COUNT),
    ("validation.rendered", 0, 10**4),
)
_PATTERNS = tuple((re.compile(re.escape(place).replace(r"\*", r"[^.]+")), low, high) for place, low, high in _BOUNDS)


def check_numbers(recipe: object) -> None:
    """Make sure that every number of a recipe can be meant.

    Raises:
        OptionError: one is not finite, or outside its bounds; it says where.
    """
    for place, value in _numbers(recipe, ""):
        low, high = next(((low, high) for fits, low, high in _PATTERNS if fits.fullmatch(place)), (-_ANY, _ANY))
        number(place, value, low, high)


def _numbers(value: Any, place: str) -> Iterator[tuple[str, float]]:
    """Every number in a value, with its place."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield place, value
        return
    if is_dataclass(value):
        inner = [(field.name, getattr(value, field.name)) for field in fields(value)]
    elif isinstance(value, Mapping):
        inner = list(value.items())
    else:
        inner = [(str(index), item) for index, item in enumerate(value)] if isinstance(value, list | tuple) else []
    for name, item in inner:
        yield from _numbers(item, f"{place}.{name}" if place else name)
