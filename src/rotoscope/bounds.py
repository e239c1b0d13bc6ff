"""Bounds of the numbers that a user may give, and values told in few words: every one of them is checked here."""

from __future__ import annotations

import math

from rotoscope.errors import OptionError

LARGEST = 1_000_000_000  # of a number for which nothing closer is stated
_DIGITS = 9  # of whole numbers in text, which so cannot exceed it
_WORDS = 60  # letters of a value that is told


def whole(name: str, value: object, low: int = -LARGEST, high: int = LARGEST) -> int:
    """A whole number within bounds.

    Args:
        name: what it is called, for the message.
        value: anything.
        low: smallest that may be.
        high: largest that may be.

    Raises:
        OptionError: something else.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise OptionError(f"{name} {told(value)} is not a whole number")
    return int(number(name, value, low, high))


def number(name: str, value: object, low: float = -LARGEST, high: float = LARGEST) -> float:
    """A finite number within bounds; arguments and errors as `whole`."""
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or (isinstance(value, float) and math.isnan(value))
    ):
        raise OptionError(f"{name} {told(value)} is not a number")
    if value < low:
        raise OptionError(f"{name} {told(value)}: expected {low:g} or more")
    if value > high:
        raise OptionError(f"{name} {told(value)}: expected at most {_plain(high)}")
    return value


def whole_in(text: str) -> int | None:
    """The whole number that a text is, of up to nine digits; None where it is none."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else None


def told(value: object) -> str:
    """A value in few words, however large or deep it is."""
    if isinstance(value, int) and abs(value) >= 10**18:
        return f"of {round(abs(value).bit_length() * math.log10(2))} digits"
    if isinstance(value, list | tuple | dict | set):
        return f"a {type(value).__name__} of {len(value)}" if len(value) > 4 or _holds_more(value) else repr(value)
    words = repr(value)
    return words if len(words) <= _WORDS else f"{words[: _WORDS - 3]}..."


def _holds_more(values: list[object] | tuple[object, ...] | dict[object, object] | set[object]) -> bool:
    """Whether a value holds anything that is not told in a few letters itself."""
    items = [*values, *values.values()] if isinstance(values, dict) else list(values)
    return any(not isinstance(item, int | float | str | None) or len(told(item)) > _WORDS // 4 for item in items)


def _plain(bound: float) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)
