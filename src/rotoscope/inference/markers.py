"""The marker of a finished video: what it was made of, as that was when it was opened, and every file that was written.

A marker of an earlier version, which knows its source only as it was after the work, never counts as finished: its
video is done again. What such a marker says of numbered frames is still used to remove those that are left over.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from rotoscope.errors import OutputError, VideoError
from rotoscope.files import explained, write_whole
from rotoscope.names import fault_of
from rotoscope.video.pictures import list_pictures

Files = Mapping[str, Mapping[str, int]]
"""Kind of result to the names of its files, and their sizes in bytes."""


def state_of(path: Path, name: str) -> dict[str, object]:
    """What changes when a file, or any picture of a folder, is replaced: a hash over names, sizes and times.

    Args:
        path: a file, or a folder of pictures; it is not read.
        name: of the entries.

    Returns:
        Entries for a marker; the hash is None where there is nothing that could be looked at.
    """
    state = None
    with suppress(OSError, VideoError):
        total = hashlib.sha256()
        for file in list_pictures(path) if path.is_dir() else [path]:
            found = file.stat()
            total.update(f"{found.st_size} {found.st_mtime_ns} ".encode() + os.fsencode(file.name) + b"\0")
        state = total.hexdigest()
    return {name: os.path.realpath(path), f"{name}_state": state}


def files_of(places: Mapping[str, Path], frames: Collection[str]) -> dict[str, dict[str, int]]:
    """The files of a video, by kind, with their sizes.

    Args:
        places: kind to a file, or to a folder with a PNG of each frame.
        frames: stems of these.

    Raises:
        OutputError: a file is not there.
    """
    files = {}
    for kind, place in places.items():
        sizes = _sizes(place)
        wanted = [f"{frame}.png" for frame in frames] if place.is_dir() else [place.name]
        lost = next((name for name in wanted if name not in sizes), None)
        if lost is not None:
            raise OutputError(f"{lost} of {place} has gone while its video was segmented; segment it again")
        files[kind] = {name: sizes[name] for name in wanted}
    return files


def write_marker(path: Path, made_of: Mapping[str, object], frames: int, files: Files, took: float) -> None:
    """Write the marker of a finished video.

    Args:
        path: of the marker.
        made_of: see `is_finished`.
        frames: how many.
        files: see `files_of`.
        took: seconds.

    Raises:
        OutputError: it cannot be written.
    """
    content = {**made_of, "frames": frames, "seconds": round(took, 3), "files": files}
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def read_marker(path: Path) -> dict[str, object]:
    """What a marker says; {} where there is none, or something else has its name."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def remove_marker(path: Path) -> None:
    """Remove a marker, or another file that is to be made anew.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise explained(error, path) from error


def is_finished(marker: Path, made_of: Mapping[str, object], places: Mapping[str, Path]) -> bool:
    """Whether a video was made of the same, and every file of it is there, whole as far as its size tells.

    Args:
        marker: of the video.
        made_of: the states of what it is made of, by `state_of`, and whatever else would change it.
        places: kind to file or folder.
    """
    content = read_marker(marker)
    same = json.loads(json.dumps(made_of))
    if None in (value for key, value in same.items() if key.endswith("_state")):
        return False
    if any(key not in content or content[key] != value for key, value in same.items()):
        return False
    files = content.get("files")
    return (
        isinstance(files, dict)
        and files.keys() == places.keys()
        and all(_are_there(place, files[kind]) for kind, place in places.items())
    )


def remove_stale(before: Mapping[str, object], places: Mapping[str, Path], frames: Collection[str]) -> None:
    """Remove frames of an earlier run that this one did not write anew; nothing that such a run did not write.

    Args:
        before: the marker of the earlier run; {} if there was none.
        places: kind to file or folder.
        frames: stems of the frames written now.
    """
    outputs, kept = before.get("outputs"), {f"{frame}.png" for frame in frames}
    for kind, place in places.items():
        if isinstance(outputs, dict) and outputs.get(kind) == os.path.realpath(place) and place.is_dir():
            for name in _frames_of(before, kind):
                if name not in kept and fault_of(name) is None:
                    (place / name).unlink(missing_ok=True)


def _frames_of(before: Mapping[str, object], kind: str) -> list[str]:
    """The names of the frames of one kind that a marker vouches for."""
    files, count = before.get("files"), before.get("frames")
    if isinstance(files, dict):
        own = files.get(kind)
        return [name for name in own if name.endswith(".png")] if isinstance(own, dict) else []
    if isinstance(count, int) and before.get("last") == f"{count - 1:05d}":  # of an earlier version
        return [f"{index:05d}.png" for index in range(count)]
    return []


def _are_there(place: Path, files: object) -> bool:
    return isinstance(files, dict) and bool(files) and files.items() <= _sizes(place).items()


def _sizes(place: Path) -> dict[str, int]:
    """Name to size in bytes of a file, or of the files in a folder."""
    try:
        if not place.is_dir():
            return {place.name: place.stat().st_size} if place.is_file() else {}
        with os.scandir(place) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    except OSError:
        return {}
