"""Files are written whole or not at all: under a temporary name first, then renamed."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rotoscope.errors import OutputError

_LONGEST_NAME = 255  # bytes, of nearly every file system
_LEFT_OVER = re.compile(r"\.(?P<stem>.+)\.(?P<process>\d+)\.part(?P<suffix>\.[^.]*)?", re.DOTALL)
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

    The temporary name keeps the suffix, so that encoders which choose by suffix work.

    Raises:
        OutputError: the folder cannot be made or written to, the disk is full, or a device has that name.
    """
    temporary = path.with_name(f".{_stem(path)}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file() and not path.is_dir():
            raise OutputError(f"{path} is a device or pipe, not a file; choose another name")
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise explained(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all.

    Raises:
        OutputError: see `writing`.
    """
    with writing(path) as temporary:
        temporary.write_bytes(data)


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
    """Remove what `writing` left of these files, or of files in these folders, in processes that were killed."""
    own = {(_stem(place), place.suffix) for place in places}
    folders = {folder for place in places for folder in (place, place.parent)}
    for folder in folders:
        with suppress(OSError):
            for path in folder.iterdir():
                match = _LEFT_OVER.fullmatch(path.name)
                if match is None or _runs(int(match["process"])):
                    continue
                if folder in places or (match["stem"], match["suffix"] or "") in own:
                    path.unlink(missing_ok=True)


def explained(error: OSError, path: Path) -> OutputError:
    """Put the cause of a failed write into words."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return OutputError(f"cannot write {path}: {reason}")


def stops_all(error: OutputError) -> bool:
    """Whether writing anything else would fail alike: the disk is full or read-only."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _GENERAL


def _stem(path: Path) -> str:
    """The stem, or a short stand-in where the temporary name would be too long for the file system."""
    room = _LONGEST_NAME - len(os.fsencode(path.suffix)) - 20
    name = os.fsencode(path.stem)
    return path.stem if len(name) <= room else hashlib.sha256(name).hexdigest()[:32]


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
