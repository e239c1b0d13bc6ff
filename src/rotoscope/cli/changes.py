"""Options of a model that a command line changes by name, and the detector beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rotoscope.inference.model import Model


def values_of(changes: Sequence[str]) -> dict[str, Any]:
    """Read changes, each "name=value", the value as TOML writes it or a bare word.

    Raises:
        OptionError: one of them is something else.
    """
    from rotoscope.errors import OptionError
    from rotoscope.training.recipe_file import toml_value

    values: dict[str, Any] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not (name and equals):
            raise OptionError(f"--set {change!r}: expected name=value, for example align=forward")
        values[name] = toml_value(value)
    return values


def changed_options(model: Model, changes: Sequence[str]) -> dict[str, Any]:
    """Check changes of a model's inference options by name and type.

    Raises:
        OptionError: the model has no such option, or a value is of another type.
    """
    from dataclasses import asdict

    from rotoscope.training.recipe_file import filled

    values = values_of(changes)
    for name, _, typed in (change.partition("=") for change in changes):
        if isinstance(getattr(model.options, name, None), str) and not isinstance(values[name], str):
            values[name] = typed  # what looks like a number is meant as a word where the option is one
    filled(type(model.options), {**asdict(model.options), **values}, "--set")
    return values


def with_given_detector(model: Model, path: Path | None) -> Model:
    """The model with the detector whose weights are in a file, if one is given.

    Raises:
        RotoscopeError: the file cannot be used, or the model takes no detector.
    """
    if path is None:
        return model
    from rotoscope.inference.proposing import open_detector, with_detector

    return with_detector(model, open_detector(path, model.device))
