"""Names that come from outside and decide where we write: made safe where results are called by them, else refused."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from itertools import count
from pathlib import Path

LONGEST = 255  # bytes, of nearly every file system
_ROOM = 55  # bytes that are left for what is put behind a name, such as ".timeline.png"
_SEPARATORS = "/\\"


def safe_name(text: str, instead: str = "video") -> str:
    """Make a name that results can be called by, on every system, in the folder that they are meant for.

    Separators and control characters become "_"; dots in front, which would hide the results or lead elsewhere, and
    dots and spaces at the end go; what is too long is cut and marked by a hash of the whole. Names that are safe stay
    as they are.

    Args:
        text: any text, such as the stem of a file or a sequence's name.
        instead: the name where nothing is left.

    Returns:
        A name of at most 200 bytes, so that suffixes can follow.
    """
    plain = "".join("_" if letter in _SEPARATORS or _unfit(letter) else letter for letter in text)
    plain = plain.strip().lstrip(". ").rstrip(". ") or instead
    encoded = os.fsencode(plain)
    if len(encoded) <= LONGEST - _ROOM:
        return plain
    mark = "-" + hashlib.sha256(encoded).hexdigest()[:8]
    whole = encoded[: LONGEST - _ROOM - len(mark)].decode("utf-8", "ignore")  # no half of a letter at the cut
    return whole.rstrip(". ") + mark


def name_of(source: Path) -> str:
    """What the results of a source are called: by a file's stem, or a folder's name; see `safe_name`."""
    if not source.is_dir():
        return safe_name(source.stem)
    own = source.name if source.name != ".." else ""
    return safe_name(own or os.path.basename(os.path.realpath(source)))  # noqa: PTH119 (links may lead in a circle)


class UniqueNames:
    """Gives safe names, each once: a name that is taken, by case too, gets a number."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, text: str) -> str:
        """The safe name of `text`, with "-2", "-3", ... behind it where it is taken."""
        own = safe_name(text)
        names = (own if number == 1 else f"{own}-{number}" for number in count(1))
        name = next(name for name in names if alike(name) not in self._taken)
        self._taken.add(alike(name))
        return name


def fault_of(name: str) -> str | None:
    """What is wrong with a name that must stay as it is, in words; None if it names a file right inside a folder."""
    if name in ("", ".", ".."):
        return "it names no file"
    if "\0" in name or any(letter in name for letter in _SEPARATORS):
        return "it leads to another folder"
    if name.startswith("."):
        return "a dot in front hides it"
    return None


def alike(path: str | Path) -> str:
    """A key that is equal for two paths where some file system takes them for one: by case or composed letters."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _unfit(letter: str) -> bool:
    """Whether it is a control character, an end of a line, or half of a letter; a byte that is no UTF-8 may stay."""
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs") and not "\udc80" <= letter <= "\udcff"
