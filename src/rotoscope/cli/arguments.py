"""A command's arguments, read from its function's signature by tyro; what it complains of in a box becomes one line."""

from __future__ import annotations

import functools
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

from rotoscope.errors import OptionError

_WIDE = "10000"  # characters, so that no line of a complaint is wrapped


def read(command: Callable[..., None], name: str, given: Sequence[str]) -> functools.partial[None]:
    """Read what is given into the call of a command.

    Args:
        command: the function, as its signature and docstring tell.
        name: of the command on the command line.
        given: the arguments after it.

    Raises:
        OptionError: arguments that the command does not take, in one line.
        SystemExit: its help was asked for, and has been printed.
    """
    import tyro

    @functools.wraps(command)
    def called(*arguments: Any, **options: Any) -> functools.partial[None]:
        return functools.partial(command, *arguments, **options)

    if {"-h", "--help"} & set(given):
        return tyro.cli(called, prog=f"rotoscope {name}", args=given)
    told = io.StringIO()
    try:
        with _wide(), redirect_stderr(told):
            return tyro.cli(called, prog=f"rotoscope {name}", args=given)
    except SystemExit as leaving:
        raise OptionError(f"{_line(told.getvalue())}; `rotoscope {name} --help` tells what it takes") from leaving


@contextmanager
def _wide() -> Iterator[None]:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _WIDE
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _line(told: str) -> str:
    """Put a complaint in one line: what was found, and what is taken in its place."""
    message, *hints = [*_sections(told), [""]]
    text = " ".join(message[0].split())
    if text.startswith("Missing from"):
        return "what must be given is missing: " + "; ".join(_names(message[1:]))
    if text.startswith("Unrecognized options"):
        near = [name.split()[0] for name in _names(hints[0][1:])]
        return f"not understood: {text.partition(': ')[2]}" + (f" (is it {' or '.join(near)}?)" if near else "")
    wrong = re.match(r"Error parsing (\S+): .*[\[ ]'(.*)'", text)
    if wrong and hints[0][1:]:
        return f"{wrong[1]}: {wrong[2]!r} was given, expected {hints[0][1].split()[-1].replace('{None}|', '')}"
    return text.rstrip(".")


def _sections(told: str) -> list[list[str]]:
    """The lines between the rules of a box, without its frame and title; empty ones are left out."""
    bare = re.sub("[│╭╮╰╯]", " ", told.strip().partition("\n")[2])
    parts = re.split(r"^[ \-─]*[\-─]{5,}[ \-─]*$", bare, flags=re.MULTILINE)
    lines = [[line.rstrip() for line in part.splitlines() if line.strip()] for part in parts]
    return [found for found in lines if found]


def _names(listed: list[str]) -> list[str]:
    """The arguments of a list, by long names; below each, further to the right, stands what it means."""
    depths = [len(line) - len(line.lstrip()) for line in listed]
    return [line.split(", ")[-1].strip() for line, depth in zip(listed, depths, strict=True) if depth == min(depths)]
