"""Which instances of a finished video are given, under which numbers: the rules of the published writers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from rotoscope.masks.run_length import box
from rotoscope.models.stem_seg.options import Tracks
from rotoscope.models.stem_seg.records import Record
from rotoscope.types import RunLength


def numbered(records: Sequence[Record], tracks: Tracks, most: int) -> dict[int, int]:
    """Choose instances.

    DAVIS and YouTube-VIS: those that live longest, the longest first. KITTI-MOTS: the largest ones, numbered from the
    shortest life to the longest.

    Args:
        records: in order of first appearance, within a frame by label; that order decides between equals.
        tracks: whose rule.
        most: how many at most.

    Returns:
        label to number from 1, in order of the numbers.
    """
    if tracks == "kitti-mots":
        largest = sorted(records, key=lambda record: -record.places)[:most]
        chosen = sorted(largest, key=lambda record: record.lifetime)
    else:
        chosen = sorted(records, key=lambda record: -record.lifetime)[:most]
    return {record.label: number for number, record in enumerate(chosen, 1)}


@dataclass(frozen=True)
class Floor:
    """What the published filter for KITTI-MOTS asks of a class.

    Attributes:
        area: pixels of a mask.
        fill: share of its box that a mask must exceed.
        gaps: of a track in time, against the number of its masks, at most.
        masks: of a track.
    """

    area: int
    fill: float
    gaps: float
    masks: int


CAR = Floor(150, 0.35, 0.3, 3)
FLOORS: Mapping[str, Floor] = MappingProxyType({"car": CAR, "pedestrian": Floor(250, 0.2, 0.5, 10)})


def worthy(masks: Mapping[int, RunLength], label: str | None) -> dict[int, RunLength]:
    """The masks of a track that the published filter for KITTI-MOTS leaves; none where the whole track goes.

    Args:
        masks: frame index to mask.
        label: category; anything but a pedestrian is held to be a car.
    """
    floor = FLOORS.get(label or "", CAR)
    kept = {index: mask for index, mask in sorted(masks.items()) if mask.area >= floor.area}
    kept = {index: mask for index, mask in kept.items() if mask.area / _box_area(mask) > floor.fill}
    indices = list(kept)
    gaps = sum(after - before > 1 for before, after in pairwise(indices))
    if len(kept) < floor.masks or gaps / len(kept) > floor.gaps:
        return {}
    return kept


def _box_area(mask: RunLength) -> int:
    _, _, width, height = box(mask)
    return width * height
