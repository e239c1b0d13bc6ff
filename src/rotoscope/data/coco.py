"""COCO instances on disk, as pictures with labelled objects (the papers' rules for pre-training clips)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rotoscope.data.tracks import MOST, VOID
from rotoscope.errors import DataError, MaskError
from rotoscope.masks import run_length
from rotoscope.video.pictures import read_picture

LEAST_SIDE = 30.0  # pixels; smaller boxes are dropped, as the published code does


@dataclass(frozen=True, slots=True)
class _Picture:
    path: Path
    size: tuple[int, int]
    objects: tuple[Mapping[str, Any], ...]


class Coco:
    """Pictures and their instances.

    A picture with a crowd annotation is left out, and one without an instance whose box is at least `least_side` wide
    and high. Where objects overlap, the later one lies on top.

    Attributes:
        names: number to name of the file's categories; {} where it names none.

    Args:
        annotations: `instances_<split>.json`.
        images: folder of the pictures; beside the annotations without it (`images`, or the split's own folder).
        split: keep the pictures that say they belong to this split; for files that mix several.
        least_side: see above.
        classes: category of the file to that wanted; objects of others are left out, those of `tracks.VOID` become
            regions that do not count. Without it they stay as they are.

    Raises:
        DataError: a file is missing or is not COCO's.
    """

    def __init__(
        self,
        annotations: Path | str,
        images: Path | str | None = None,
        split: str | None = None,
        least_side: float = LEAST_SIDE,
        classes: Mapping[int, int] | None = None,
    ) -> None:
        self.annotations = Path(annotations)
        self._classes = classes
        content = read_instances(self.annotations)
        self.images = Path(images) if images is not None else images_beside(self.annotations)
        if not self.images.is_dir():
            raise DataError(f"there is no folder of pictures {self.images}")
        self.names = _category_names(content)
        kept = _by_picture(content, self.annotations)
        self._pictures = []
        for entry in content["images"]:
            if split is not None and entry.get("split") != split:
                continue
            objects = kept.get(entry["id"], [])
            if any(item.get("iscrowd") for item in objects):
                continue
            objects = [item for item in objects if min(item["bbox"][2:]) >= least_side and _is_of(item, classes)]
            if any(not self._is_void(item) for item in objects):
                size = (int(entry["height"]), int(entry["width"]))
                self._pictures.append(_Picture(self.images / entry["file_name"], size, tuple(objects)))
        if not self._pictures:
            raise DataError(f"{self.annotations} has no picture{f' of {split}' if split else ''} with an object to use")

    def __len__(self) -> int:
        return len(self._pictures)

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Give a picture (H, W, 3) uint8 RGB and its labels (H, W) uint8, objects numbered from 1 in the file's order.

        Raises:
            DataError: the picture is missing, damaged or of another size, or an outline cannot be read.
        """
        entry = self._pictures[index]
        picture = read_picture(entry.path)
        if picture.shape[:2] != entry.size:
            found, wanted = picture.shape[1::-1], entry.size[::-1]
            raise DataError(f"{entry.path} is {found[0]}x{found[1]}, {self.annotations} says {wanted[0]}x{wanted[1]}")
        labels = np.zeros(entry.size, np.uint8)
        for item in entry.objects:
            if self._is_void(item):
                labels[outline_mask(item, entry.size, self.annotations)] = VOID
        for number, item in enumerate(self._things(entry), 1):
            labels[outline_mask(item, entry.size, self.annotations)] = number
        return picture, labels

    def path(self, index: int) -> Path:
        """Of a picture's file."""
        return self._pictures[index].path

    def count(self, index: int) -> int:
        """Count the objects of a picture that are used."""
        return len(self._pictures[index].objects)

    def smallest_side(self, index: int) -> float:
        """The shorter side of the smallest box of a picture, in pixels."""
        return min(float(min(item["bbox"][2:])) for item in self._pictures[index].objects)

    def _is_void(self, item: Mapping[str, Any]) -> bool:
        return self._classes is not None and self._classes[item["category_id"]] == VOID

    def _things(self, entry: _Picture) -> list[Mapping[str, Any]]:
        return [item for item in entry.objects if not self._is_void(item)][:MOST]

    def categories(self, index: int) -> dict[int, int]:
        """Give the category number of each label of a picture."""
        numbers = [int(item.get("category_id", 0)) for item in self._things(self._pictures[index])]
        wanted = numbers if self._classes is None else [self._classes[number] for number in numbers]
        return {label: number for label, number in enumerate(wanted, 1) if number}


def _is_of(item: Mapping[str, Any], classes: Mapping[int, int] | None) -> bool:
    return classes is None or item.get("category_id") in classes


def _category_names(content: Mapping[str, Any]) -> dict[int, str]:
    entries = content.get("categories") or []
    return {int(entry["id"]): str(entry.get("name", entry["id"])) for entry in entries if "id" in entry}


def read_instances(path: Path) -> dict[str, Any]:
    """Read a file of instances.

    Returns:
        its object, with the lists `images` and `annotations`, whose entries are not checked.

    Raises:
        DataError: it cannot be read, or has no such lists.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; expected COCO's instances_<split>.json") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON ({error})") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in ("images", "annotations")):
        raise DataError(f"{path} is not COCO's: expected an object with the lists images and annotations")
    return content


def _by_picture(content: Mapping[str, Any], path: Path) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    try:
        for entry in content["images"]:
            found[entry["id"]] = []
            if not isinstance(entry["file_name"], str) or not is_size((entry["height"], entry["width"])):
                raise DataError(f"{path}: picture {entry['id']} needs a file_name, and a height and width above 0")
        for number, item in enumerate(content["annotations"]):
            if item["image_id"] not in found:
                raise DataError(f"{path}: annotation {number} belongs to no picture of the file")
            if not is_box(item["bbox"]) or "segmentation" not in item:
                raise DataError(f"{path}: annotation {number} has no box of four numbers or no outline")
            found[item["image_id"]].append(item)
    except (KeyError, TypeError) as error:
        raise DataError(f"{path} is not COCO's: an entry lacks {error}") from error
    return found


def is_size(sides: tuple[object, object]) -> bool:
    """Whether these are a height and a width: whole numbers above 0."""
    return all(isinstance(side, int) and side > 0 for side in sides)


def is_box(box: object) -> bool:
    """Whether this is a box: four numbers, left, top, width, height."""
    return isinstance(box, list) and len(box) == 4 and all(isinstance(value, int | float) for value in box)


def images_beside(annotations: Path) -> Path:
    """Find the folder of pictures: `annotations/instances_train2017.json` -> `train2017`, or `images` beside either."""
    split = annotations.stem.removeprefix("instances_")
    root = annotations.parent.parent if annotations.parent.name == "annotations" else annotations.parent
    places = [root / split, root / "images" / split, root / "images"]
    return next((place for place in places if place.is_dir()), places[0])


def outline_mask(item: Mapping[str, Any], size: tuple[int, int], path: Path) -> NDArray[np.bool_]:
    """Fill the outline of an annotation.

    Args:
        item: the annotation; its `segmentation` is a list of polygons or a run-length object.
        size: (height, width) of the picture.
        path: the file it comes from, for messages.

    Returns:
        (H, W) bool.

    Raises:
        DataError: the outline cannot be read, or is of another size.
    """
    outline = item["segmentation"]
    try:
        if isinstance(outline, Mapping):
            code = run_length.from_coco({"size": list(size), **outline})
            if code.size != size:
                raise MaskError(f"its size is {code.size}, the picture's is {size} (height, width)")
            return run_length.decode(code)
        canvas = Image.new("L", size[::-1])
        draw = ImageDraw.Draw(canvas)
        for polygon in outline:
            if len(polygon) >= 6:
                draw.polygon([float(value) for value in polygon], fill=1)
        filled: NDArray[np.bool_] = np.asarray(canvas) != 0
        return filled
    except (MaskError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: the outline of annotation {item.get('id')} cannot be read ({error})") from error
