"""What the options of several systems are checked for when they are made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rotoscope.errors import OptionError


def check_whole(options: object, least: Mapping[str, int]) -> None:
    """Whole numbers from a bound on.

    Args:
        options: with an attribute of each name.
        least: name to bound.

    Raises:
        OptionError: another kind of number, or one below its bound.
    """
    for name, bound in least.items():
        value = getattr(options, name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise OptionError(f"{name} {value!r} is not a whole number")
        if value < bound:
            raise OptionError(f"{name} {value}: expected {bound} or more")


def check_shares(options: object, names: Sequence[str]) -> None:
    """Numbers from 0 to 1.

    Raises:
        OptionError: one is not.
    """
    for name in names:
        value = getattr(options, name)
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
            raise OptionError(f"{name} {value!r}: expected a number above 0")


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
        value = getattr(options, name)
        if value not in values:
            raise OptionError(f"{name} {value!r} is not known; choose {', '.join(map(str, values))}")
