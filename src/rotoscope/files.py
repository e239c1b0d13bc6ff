"""Files are written whole or not at all: under a temporary name first, then renamed."""

from __future__ import annotations

import atexit
import errno
import hashlib
import os
import platform
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from rotoscope.errors import OutputError

_LONGEST_NAME = 255  # bytes, of nearly every file system
_OWN_ROOM = 40  # of them, for what a temporary name has beside stem and suffix
_LEFT_OVER = re.compile(
    r"\.(?P<stem>.+)\.(?P<process>\d+)(-(?P<machine>[0-9a-f]{8}))?\.part(?P<suffix>\.[^.]*)?", re.DOTALL
)
_UNDER_WAY: set[Path] = set()
_REASONS = {
    errno.ENOSPC: "the disk is full; make room and run again",
    errno.EDQUOT: "the disk quota is used up; make room and run again",
    errno.EFBIG: "the file would be larger than the system allows; choose another output folder",
    errno.EROFS: "the file system is read-only; choose another output folder",
    errno.EACCES: "no permission to write there; choose another output folder",
    errno.EPERM: "no permission to write there; choose another output folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another output folder",
    errno.EEXIST: "a file stands where a folder is needed; choose another output folder",
    errno.EISDIR: "a folder of this name is there; choose another name",
    errno.ENOENT: "its folder cannot be made or has gone; choose another output folder",
    errno.ENAMETOOLONG: "the name is too long for the file system; shorten the source's name",
}
# What would stop every other file as well.
_GENERAL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well, remove it when not.

    The temporary name keeps the suffix, so that encoders which choose by suffix work. Those that killed processes left
    of the same file are removed.

    Raises:
        OutputError: the folder cannot be made or written to, the disk is full, or a device has that name.
    """
    temporary = path.with_name(f".{_stem(path)}.{os.getpid()}-{_machine()}.part{path.suffix}")
    _UNDER_WAY.add(temporary)
    try:
        with explaining(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not path.is_file() and not path.is_dir():
                raise OutputError(f"{path} is a device or pipe, not a file; choose another name")
            _remove(_left_over_in(path.parent.absolute()).pop((_stem(path), path.suffix), []))
            yield temporary
            temporary.replace(path)
    finally:
        _remove([temporary])
        _UNDER_WAY.discard(temporary)


@atexit.register
def remove_unfinished() -> None:
    """Remove what is still under way: a signal may end a process between any two instructions."""
    _remove(list(_UNDER_WAY))


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Put what the system says against writing `path` into words.

    Raises:
        OutputError: in place of an `OSError` of the block.
    """
    try:
        yield
    except OSError as error:
        raise explained(error, path) from error


def write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write `data` to `path`, whole or not at all.

    Raises:
        OutputError: see `writing`.
    """
    with writing(path) as temporary:
        temporary.write_bytes(data)


def append_whole(path: Path, data: bytes) -> None:
    """Append `data` to a file, whole or not at all.

    Raises:
        OutputError: see `writing`.
    """
    with explaining(path), path.open("ab", buffering=0) as file:
        before, done = file.tell(), 0
        try:
            while done < len(data):
                done += file.write(data[done:])
        except BaseException:
            file.truncate(before)
            raise


def refuse_overwriting(path: Path, source: str | os.PathLike[str] | None) -> None:
    """Refuse a file that would replace a source or join the pictures of a source folder.

    Args:
        path: the file to write.
        source: file or folder; anything that is not there is no source on disk.

    Raises:
        OutputError: they are the same, or `path` lies right inside the folder.
    """
    if source is None or not os.path.exists(source):  # noqa: PTH110 (may be words)
        return
    place, own = Path(os.path.realpath(path)), Path(os.path.realpath(source))
    if own in (place, place.parent):
        raise OutputError(f"{path} would be written over the source {os.fspath(source)}; choose another place")


def refuse_frames(folder: Path, source: str | os.PathLike[str] | None) -> None:
    """Refuse a folder of PNG frames that is the source, or in which the source lies and might be replaced.

    Raises:
        OutputError: it is.
    """
    refuse_overwriting(folder / "frame.png", source)
    if source is not None and os.path.splitext(source)[1].lower() == ".png":  # noqa: PTH122 (may be words)
        refuse_overwriting(folder / os.path.basename(os.path.realpath(source)), source)  # noqa: PTH119


def refuse_inside(path: Path, source: Path, what: str) -> None:
    """Refuse a result that would be written over an input, or into a folder of inputs.

    Raises:
        OutputError: `path` is `source`, or lies in it.
    """
    place, own = Path(os.path.realpath(path)), Path(os.path.realpath(source))
    if place == own or own in place.parents:
        raise OutputError(f"{path} would be written into the {what} {source}; choose a place outside")


def remove_left_over(places: Collection[Path]) -> None:
    """Remove what `writing` left of these files, or of files in these folders, in processes that were killed.

    What another machine left stays: whether its process runs cannot be told from here.
    """
    own = {(_stem(place), place.suffix) for place in places}
    for folder in {folder for place in places for folder in (place, place.parent)}:
        for file, paths in _find_left_over(folder).items():
            if folder in places or file in own:
                _remove(paths)


def _remove(paths: Collection[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@cache  # a folder may get a file for each frame
def _left_over_in(folder: Path) -> dict[tuple[str, str], list[Path]]:
    return _find_left_over(folder)


def _find_left_over(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """What killed processes of this machine left in a folder, by the stem and suffix of the file to be."""
    found: dict[tuple[str, str], list[Path]] = {}
    with suppress(OSError):
        for path in folder.iterdir():
            match = _LEFT_OVER.fullmatch(path.name)
            here = match is not None and match["machine"] in (None, _machine())
            if match is not None and here and not _runs(int(match["process"])):
                found.setdefault((match["stem"], match["suffix"] or ""), []).append(path)
    return found


def explained(error: OSError, path: Path) -> OutputError:
    """Put the cause of a failed write into words."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"cannot write {path}: {reason}")


def stops_all(error: OutputError) -> bool:
    """Whether writing anything else would fail alike: the disk is full or read-only."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _GENERAL


def _stem(path: Path) -> str:
    """The stem, or a short stand-in where the temporary name would be too long for the file system."""
    room = _LONGEST_NAME - len(os.fsencode(path.suffix)) - _OWN_ROOM
    name = os.fsencode(path.stem)
    return path.stem if len(name) <= room else hashlib.sha256(name).hexdigest()[:32]


@cache
def _machine() -> str:
    """Tell machines that share a folder apart, and containers: the number of a process counts in one of them only."""
    try:
        numbering = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 (names no file)
    except OSError:
        numbering = ""
    return hashlib.sha256(f"{platform.node()} {numbering}".encode()).hexdigest()[:8]


def _runs(process: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere asking would end the process
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # another user's
    return True
