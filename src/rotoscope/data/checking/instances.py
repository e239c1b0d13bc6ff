"""COCO's files of instances: every entry is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rotoscope.data.checking.listing import Unit
from rotoscope.data.checking.problems import Problem, error, size_words, warning
from rotoscope.data.coco import images_beside, is_box, is_size, outline_mask, read_instances
from rotoscope.errors import DataError

_SLACK = 1.0  # pixels that an outline may reach beyond the picture


def list_instances(path: Path) -> Unit:
    """List the pictures of a file of instances, and what is wrong with its entries.

    Args:
        path: `instances_<split>.json`.
    """
    images = images_beside(path)
    try:
        content = read_instances(path)
    except DataError as fault:
        return Unit(path.name, path, [], False, [error(path, str(fault))])
    problems: list[Problem] = []
    pictures = _pictures(content["images"], path, problems)
    files = {images / entry["file_name"]: (entry["height"], entry["width"]) for entry in pictures.values()}
    if not images.is_dir():
        problems.append(error(images, f"there is no such folder of pictures; {path.name} names {len(files)} in it"))
    else:
        absent = sorted(file for file in files if not file.is_file())
        problems += [error(file, f"is not there, and {path.name} names it") for file in absent]
    annotations = content["annotations"]
    problems += _annotations(annotations, pictures, path)
    used = {item.get("image_id") for item in annotations if isinstance(item, dict)}
    return Unit(
        name=path.name,
        folder=path,
        pairs=[(file, None) for file in files if file.is_file()],
        video=False,
        problems=problems,
        sizes=files,
        annotated=sum(number in used for number in pictures),
        objects=len(annotations),
    )


def _pictures(entries: list[Any], path: Path, problems: list[Problem]) -> dict[object, Mapping[str, Any]]:
    """Give the entries that can be used, by id."""
    found: dict[object, Mapping[str, Any]] = {}
    names: dict[str, object] = {}
    for place, entry in enumerate(entries):
        fault = _fault_of_picture(entry)
        if fault:
            problems.append(error(path, f"images[{place}] {fault}"))
            continue
        name, number = entry["file_name"], entry["id"]
        if number in found:
            problems.append(error(path, f"the pictures {found[number]['file_name']} and {name} have one id, {number}"))
            continue
        if name in names:
            problems.append(error(path, f"the picture {name} stands there twice, as {names[name]} and as {number}"))
        found[number] = entry
        names[name] = number
    return found


def _fault_of_picture(entry: object) -> str:
    if not isinstance(entry, dict):
        return "is not an object"
    for key in ("id", "file_name", "height", "width"):
        if key not in entry:
            return f"has no {key}"
    if not isinstance(entry["id"], int | str) or not isinstance(entry["file_name"], str) or not entry["file_name"]:
        return f"has the id {entry['id']!r} and the file_name {entry['file_name']!r}; expected a number and a name"
    if not is_size((entry["height"], entry["width"])):
        return f"has the height {entry['height']!r} and the width {entry['width']!r}; expected whole numbers above 0"
    return ""


def _annotations(items: list[Any], pictures: Mapping[object, Mapping[str, Any]], path: Path) -> Iterator[Problem]:
    seen = set()
    for place, item in enumerate(items):
        if not isinstance(item, dict):
            yield error(path, f"annotations[{place}] is not an object")
            continue
        number = item.get("id")
        label = f"annotations[{place}]" if number is None else f"annotation {number}"
        if isinstance(number, int | str):
            if number in seen:
                yield error(path, f"{label} stands there twice, the second time as annotations[{place}]")
            seen.add(number)
        owner = item.get("image_id")
        picture = pictures.get(owner) if isinstance(owner, int | str) else None
        if picture is None:
            yield error(path, f"{label} belongs to the picture {owner!r}, which is not in the list or not usable")
            continue
        yield from _shape(item, picture, f"{label} of {picture['file_name']}", path)


def _shape(item: Mapping[str, Any], picture: Mapping[str, Any], label: str, path: Path) -> Iterator[Problem]:
    """Box and outline of one annotation."""
    size = (picture["height"], picture["width"])
    box, outline = item.get("bbox"), item.get("segmentation")
    if not is_box(box):
        yield error(path, f"{label} has the box {box!r}; expected four numbers: left, top, width, height")
    elif box is not None and _reach([box[0], box[1], box[0] + box[2], box[1] + box[3]], size) > _SLACK:
        yield warning(path, f"{label}: its box {box} reaches out of the picture of {size_words(size)}")
    if not isinstance(outline, dict | list):
        yield error(path, f"{label} has no outline: expected polygons or a run-length object as segmentation")
        return
    try:
        filled = bool(outline_mask(item, size, path).any())
    except DataError as fault:
        yield error(path, f"{label}: {str(fault).removeprefix(f'{path}: ')}")
        return
    if isinstance(outline, dict):
        if not filled:
            yield warning(path, f"{label} has an empty outline")
        return
    if any(len(polygon) < 6 or len(polygon) % 2 for polygon in outline):
        yield warning(path, f"{label} has a polygon of other than three or more pairs of numbers, which is not drawn")
    reach = max((_reach(polygon, size) for polygon in outline), default=0.0)
    if not filled:
        words = f"lies outside of the picture of {size_words(size)}" if reach > _SLACK else "is empty"
        yield error(path, f"{label}: its outline {words}")
    elif reach > _SLACK:
        yield warning(path, f"{label}: its outline reaches {reach:.0f} pixels out of the picture of {size_words(size)}")


def _reach(points: list[float], size: tuple[int, int]) -> float:
    """How many pixels points, x and y in turn, lie outside of a picture; 0 for none."""
    across, down = points[0::2], points[1::2]
    return max(
        0.0,
        *(max(-value, value - size[1]) for value in across),
        *(max(-value, value - size[0]) for value in down),
    )
