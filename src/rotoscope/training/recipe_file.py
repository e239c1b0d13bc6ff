"""Reading recipes: TOML tables into dataclasses, every unknown name and wrong type told with its place."""

from __future__ import annotations

import dataclasses
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from rotoscope.bounds import number, told, whole_in
from rotoscope.errors import OptionError
from rotoscope.training.recipe import Recipe

Kind = TypeVar("Kind")
_DEEPEST = 16  # lists and tables in each other, parts of a place, and recipes upon each other
_LARGEST = 2**53  # of any number, before its own bounds are known
_CHANGE = re.compile(r"(?P<place>[A-Za-z0-9_.\-]+)=(?P<value>.*)", re.DOTALL)


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply changes.

    A recipe that names another as `base`, by its path from the recipe's own folder, says only what differs: tables are
    merged, everything else (lists too) takes the place of the base's.

    Args:
        path: the TOML file.
        changes: each "a.b=value", the value as TOML writes it, or a bare word; "data.0.weight=2" reaches into lists.

    Raises:
        OptionError: the file cannot be read, or a name, type or value is wrong; it says where.
    """
    table = _with_base(path, ())
    for change in changes:
        _apply(table, change)
    try:
        return filled(Recipe, table, "")
    except OptionError as error:
        raise OptionError(f"{path}: {error}") from error


def _with_base(path: Path, before: tuple[Path, ...]) -> dict[str, Any]:
    """The tables of a recipe over those of its bases."""
    try:
        table = _tables(path.read_text("utf-8"), str(path))
    except OSError as error:
        named = f", which {before[-1]} has as its base" if before else ""
        raise OptionError(f"cannot read the recipe {path}{named}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"{path} is no TOML ({error})") from error
    base = table.pop("base", None)
    if base is None:
        return table
    if not isinstance(base, str):
        raise OptionError(f"{path}: base is {_words(base)}; expected the path of another recipe")
    if path.resolve() in before:
        raise OptionError(f"{path} is its own base, by way of {before[-1]}")
    if len(before) >= _DEEPEST:
        raise OptionError(f"{path} is the base of {_DEEPEST} recipes, one upon the other; make it fewer")
    return _merged(_with_base(path.parent / base, (*before, path.resolve())), table)


def _tables(text: str, where: str) -> dict[str, Any]:
    """Read TOML whose lists and tables lie in each other up to a bound.

    Raises:
        OptionError: it is no TOML, or lies deeper.
    """
    try:
        tables = tomllib.loads(text)
        deep = _is_deep(tables)
    except RecursionError:
        deep = True
    except ValueError as error:  # tomllib lets numbers of thousands of digits through to Python, which refuses them
        raise OptionError(f"{where} is no TOML ({error})") from error
    if deep:
        raise OptionError(
            f"{where} has lists or tables that lie more than {_DEEPEST} deep in each other; make it fewer"
        )
    return tables


def _is_deep(tables: Any) -> bool:
    """Whether anything lies deeper than the bound."""
    level = [tables]
    for _ in range(_DEEPEST):
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
        ]
        if not level:
            return False
    return any(isinstance(one, dict | list) for one in level)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Tables merged, other values of `above` in place of those of `below`."""
    both = dict(below)
    for name, value in above.items():
        old = both.get(name)
        both[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def _apply(table: dict[str, Any], change: str) -> None:
    match = _CHANGE.fullmatch(change)
    if match is None:
        raise OptionError(f"--set {change!r}: expected name=value, for example run.steps=100")
    *places, last = match["place"].split(".")
    if len(places) >= _DEEPEST:
        raise OptionError(f"--set {told(change)}: a place of {len(places) + 1} parts; no recipe has one")
    target: Any = table
    for place in places:
        target = target.setdefault(place, {}) if isinstance(target, dict) else _item(target, place, change)
    if isinstance(target, dict):
        target[last] = toml_value(match["value"])
    elif isinstance(target, list):
        _item(target, last, change)
        target[int(last)] = toml_value(match["value"])
    else:
        raise OptionError(f"--set {change!r}: {'.'.join(places)} is no table")


def _item(target: Any, place: str, change: str) -> Any:
    index = whole_in(place)
    if not isinstance(target, list) or index is None or index >= len(target):
        raise OptionError(f"--set {change!r}: there is no {place!r} there")
    return target[index]


def toml_value(text: str) -> Any:
    """A value as TOML writes it, or a bare word.

    Raises:
        OptionError: its lists lie too deep in each other, or it is a number of thousands of digits.
    """
    try:
        tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except (RecursionError, ValueError):
        pass  # told below
    return _tables(f"value = {text}", told(text))["value"]


def filled(kind: type[Kind], table: Any, where: str) -> Kind:
    """Make a dataclass of a table.

    Raises:
        OptionError: a name that it does not have, one that it lacks, or a value of another type.
    """
    if not isinstance(table, Mapping):
        raise OptionError(f"{where or 'the recipe'} is {_words(table)}; expected a table")
    assert dataclasses.is_dataclass(kind)
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in table:
        if name not in fields:
            raise OptionError(f"{_place(where, name)} is not known; {where or 'a recipe'} has {', '.join(fields)}")
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in table:
            raise OptionError(f"{_place(where, name)} is missing")
    values = {name: _converted(hints[name], value, _place(where, name)) for name, value in table.items()}
    return kind(**values)


def _converted(hint: Any, value: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin is Literal:
        if value not in get_args(hint):
            raise OptionError(f"{where} is {told(value)}; choose {', '.join(map(repr, get_args(hint)))}")
        return value
    if origin in (Union, types.UnionType):
        return _chosen(hint, value, where)
    if origin is tuple:
        return _sequence(get_args(hint), value, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise OptionError(f"{where} is {_words(value)}; expected a table")
        return {key: _converted(get_args(hint)[1], item, _place(where, key)) for key, item in value.items()}
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return filled(typing.cast(type[Any], hint), value, where)
    if isinstance(value, int | float) and not isinstance(value, bool) and hint in (int, float):
        number(where, value, -_LARGEST, _LARGEST)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise OptionError(f"{where} is {_words(value)}; expected {hint.__name__}")
    return value


def _chosen(hint: Any, value: Any, where: str) -> Any:
    """One of several: None or a type, or dataclasses that their `kind` tells apart."""
    if value is None and type(None) in get_args(hint):
        return None
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if len(kinds) == 1:
        return _converted(kinds[0], value, where)
    named = {get_args(typing.get_type_hints(kind)["kind"])[0]: kind for kind in kinds}
    given = value.get("kind") if isinstance(value, Mapping) else None
    if not isinstance(given, str) or given not in named:
        raise OptionError(f"{where}.kind is {told(given)}; choose {', '.join(map(repr, named))}")
    return filled(named[given], value, where)


def _sequence(hints: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise OptionError(f"{where} is {_words(value)}; expected a list")
    if hints[-1] is not Ellipsis and len(value) != len(hints):
        raise OptionError(f"{where} has {len(value)} values; expected {len(hints)}")
    inner = [hints[0]] * len(value) if hints[-1] is Ellipsis else hints
    return tuple(
        _converted(hint, item, f"{where}.{place}") for place, (hint, item) in enumerate(zip(inner, value, strict=True))
    )


def _place(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _words(value: Any) -> str:
    return f"{told(value)} ({type(value).__name__})" if not isinstance(value, Mapping) else "a table"
