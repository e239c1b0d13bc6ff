"""Pictures whose labels are a teacher's maps: what it is sure of is object or background, the rest does not count.

    PICTURES/a/b.jpg      MAPS/a/b.jpg.png      8-bit grey, 0 surely background, 255 surely object
    MAPS/index.jsonl      a line for every map: its picture, how sure it is, how much of the picture is object

`rotoscope pseudo-label` writes them (`training.teacher`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rotoscope.data.tracks import VOID
from rotoscope.errors import DataError
from rotoscope.video.pictures import read_picture

INDEX = "index.jsonl"
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_LOW, _HIGH = 77, 178  # below and above, of 255, a teacher is sure


def find_pictures(folder: Path) -> list[Path]:
    """All pictures in a folder and below it, by name; files and folders that begin with a dot are passed over.

    Raises:
        DataError: there is none.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise DataError(f"{folder} holds no picture; expected files that end in {', '.join(PICTURES)}")
    return found


def map_of(folder: Path, name: str) -> Path:
    """Where the map of a picture lies, by the picture's path below its folder."""
    return folder / f"{name}.png"


def measures(found: NDArray[np.uint8]) -> dict[str, float]:
    """How sure a map is, and how much is object.

    Args:
        found: (H, W) uint8, a teacher's map.

    Returns:
        "sure": of what may be object the share that surely is, 0 where nothing may; "area": the share of the picture
        that surely is.
    """
    possible, surely = int((found >= _LOW).sum()), int((found > _HIGH).sum())
    return {"sure": round(surely / possible, 4) if possible else 0.0, "area": round(surely / found.size, 5)}


class TeacherMaps:
    """Single pictures labelled by a teacher; they are `Stills`.

    Args:
        pictures: folder of the pictures.
        maps: folder of their maps.
        least_sure: maps that are less sure are left out, see `measures`.
        area: smallest and largest share of the picture that is object; other maps are left out.

    Raises:
        DataError: there is no index, or no map is left.
    """

    def __init__(
        self, pictures: Path, maps: Path, least_sure: float = 0.7, area: tuple[float, float] = (0.01, 0.8)
    ) -> None:
        self._pictures, self._maps = pictures, maps
        try:
            lines = (maps / INDEX).read_text("utf-8", errors="replace").splitlines()
        except OSError as error:
            raise DataError(f"{maps} has no {INDEX}; make the maps with `rotoscope pseudo-label`") from error
        self._names = sorted(set(_names(lines, least_sure, area)))  # a map that was made again has two lines
        if not self._names:
            raise DataError(
                f"no map of {maps} is sure enough (least_sure {least_sure:g}, area {area[0]:g} to {area[1]:g})"
            )

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Give a picture (H, W, 3) uint8 RGB and its labels (H, W) uint8: 0, 1 and `tracks.VOID`.

        Raises:
            RotoscopeError: a file cannot be read, or sizes differ.
        """
        name = self._names[index]
        picture = read_picture(self._pictures / name)
        found = read_picture(map_of(self._maps, name))[..., 0]  # grey
        if found.shape != picture.shape[:2]:
            raise DataError(f"the map of {name} is {found.shape}, its picture {picture.shape[:2]} (height, width)")
        labels = np.full(found.shape, VOID, np.uint8)
        labels[found < _LOW] = 0
        labels[found > _HIGH] = 1
        return picture, labels


def _names(lines: Iterable[str], least_sure: float, area: tuple[float, float]) -> Iterator[str]:
    """The pictures whose maps are kept; the index's first line names the teacher, its last one may be half written."""
    for line in lines:
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if not isinstance(content, dict) or "name" not in content:
            continue
        name, sure, share = (content.get(key) for key in ("name", "sure", "area"))
        if not isinstance(name, str) or not isinstance(sure, int | float) or not isinstance(share, int | float):
            continue
        if sure >= least_sure and area[0] <= share <= area[1] and not _leads_out(name):
            yield name


def _leads_out(name: str) -> bool:
    return Path(name).is_absolute() or ".." in Path(name).parts
