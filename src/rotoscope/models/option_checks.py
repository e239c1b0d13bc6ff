"""What the options of systems are checked for when they are made, wherever their values come from."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from rotoscope.bounds import LARGEST, number, told, whole
from rotoscope.errors import OptionError


def check_kinds(options: object) -> None:
    """Every value is of the kind that its field names, and every number finite and of a size that can be meant.

    Args:
        options: a dataclass of whole and other numbers, words, choices (`Literal`) and yes or no.

    Raises:
        OptionError: a value is of another kind.
    """
    for name, hint in get_type_hints(type(options)).items():
        _check_kind(name, getattr(options, name), hint)


def _check_kind(name: str, value: object, hint: Any) -> None:
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        if value is not None or len(kinds) == len(get_args(hint)):
            _check_kind(name, value, kinds[0])
    elif get_origin(hint) is Literal:
        _check_choice(name, value, get_args(hint))
    elif hint is int:
        whole(name, value)
    elif hint is float:
        number(name, value)
    elif hint in (bool, str) and not isinstance(value, hint):
        words = "true or false" if hint is bool else "text"
        raise OptionError(f"{name} {told(value)} is not understood; expected {words}")


def check_whole(options: object, least: Mapping[str, int], most: Mapping[str, int] | None = None) -> None:
    """Whole numbers within bounds.

    Args:
        options: with an attribute of each name.
        least: name to bound.
        most: name to upper bound, where it is closer than `bounds.LARGEST`.

    Raises:
        OptionError: another kind of number, or one outside its bounds.
    """
    for name, bound in least.items():
        whole(name, getattr(options, name), bound, (most or {}).get(name, LARGEST))


def check_shares(options: object, names: Sequence[str]) -> None:
    """Numbers from 0 to 1.

    Raises:
        OptionError: one is not.
    """
    for name in names:
        value = number(name, getattr(options, name))
        if not 0 <= value <= 1:
            raise OptionError(f"{name} {value}: expected 0 to 1")


def check_positive(options: object, names: Sequence[str]) -> None:
    """Finite numbers above 0.

    Raises:
        OptionError: one is not.
    """
    for name in names:
        value = getattr(options, name)
        if not is_positive(value):
            raise OptionError(f"{name} {told(value)}: expected a number above 0")


def is_positive(value: object) -> bool:
    """Whether something is a finite number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def check_choices(options: object, known: Mapping[str, Sequence[object]]) -> None:
    """One of a few values.

    Args:
        options: with an attribute of each name.
        known: name to what it may be.

    Raises:
        OptionError: it is something else.
    """
    for name, values in known.items():
        _check_choice(name, getattr(options, name), values)


def _check_choice(name: str, value: object, values: Sequence[object]) -> None:
    if value not in values:
        raise OptionError(f"{name} {told(value)} is not known; choose {', '.join(map(str, values))}")
