"""Which categories of one instance data set stand for which of another; their names are in `masks.category_names`."""

from __future__ import annotations

from collections.abc import Mapping

from rotoscope.data.tracks import VOID
from rotoscope.errors import OptionError

_COCO_TO_YOUTUBE_VIS = {1: 1, 2: 21, 3: 6, 4: 21, 5: 28, 7: 17, 8: 29, 9: 34, 17: 14, 18: 8, 19: 18, 21: 15, 22: 32}
_COCO_TO_YOUTUBE_VIS |= {23: 20, 24: 30, 25: 22, 36: 33, 41: 5, 42: 27, 43: 40}
_VOC_TO_YOUTUBE_VIS = {1: 28, 4: 34, 7: 6, 8: 14, 10: 15, 12: 8, 13: 18, 14: 21, 15: 1, 19: 17}
_COCO_THINGS = (*range(1, 10), *range(16, 26), 27, *range(34, 40), 41, 42, 43)
_VOC_THINGS = (1, 2, 3, 4, 6, 7, 8, 10, 12, 13, 14, 15, 17, 19)
_VOID_OF_MAPILLARY = (21, 22, 23, 53, 55, *range(57, 64))  # riders and vehicles that are no car
_COCO_TO_OVIS = {1: 1, 2: 21, 3: 25, 4: 22, 5: 23, 6: 25, 8: 25, 9: 24, 16: 2, 17: 3, 18: 4, 19: 5, 20: 6, 21: 7}
_COCO_TO_OVIS |= {22: 8, 23: 9, 24: 10, 25: 11}

_COCO = (*range(1, 12), *range(13, 26), 27, 28, *range(31, 45), *range(46, 66), 67, 70, *range(72, 83), *range(84, 91))
_COCO_MOVERS = {1: 1, **dict.fromkeys(range(2, 10), 2), **dict.fromkeys(range(16, 26), 3)}
_VISOLO_2021 = {1: 26, 2: 23, 3: 5, 4: 23, 5: 1, 7: 36, 8: 37, 9: 4, 16: 3, 17: 6, 18: 9, 19: 19, 21: 7, 22: 12, 23: 2}
_VISOLO_2021 |= {24: 40, 25: 18, 34: 14, 35: 31, 36: 31, 41: 29, 42: 33, 43: 34}

CLASS_MAPS: Mapping[str, Mapping[int, int]] = {
    "coco-youtube-vis": _COCO_TO_YOUTUBE_VIS,
    "voc-youtube-vis": _VOC_TO_YOUTUBE_VIS,
    "coco-ovis": _COCO_TO_OVIS,
    "coco-80": {number: place for place, number in enumerate(_COCO, start=1)},
    "visolo-2019": _COCO_TO_YOUTUBE_VIS | {35: 33},
    "visolo-2021": _VISOLO_2021,
    "coco-things": dict.fromkeys(_COCO_THINGS, 1),
    "coco-objects": dict.fromkeys(_COCO, 1),
    "voc-things": dict.fromkeys(_VOC_THINGS, 1),
    "coco-movers": _COCO_MOVERS,
    "coco-kinds": dict.fromkeys(_COCO, 4) | _COCO_MOVERS,
    "mapillary-kitti": {56: 1, 20: 2, **dict.fromkeys(_VOID_OF_MAPILLARY, VOID)},
}


def class_map(name: str) -> Mapping[int, int] | None:
    """A map from the categories of a file to those wanted; others are left out. None for an empty name.

    `coco-youtube-vis`, `voc-youtube-vis` and `coco-ovis` give the numbers of YouTube-VIS 2019 and OVIS; `visolo-2019`
    and `visolo-2021` those that VISOLO is trained with on YouTube-VIS; `coco-80` numbers COCO's without gaps,
    `coco-objects` keeps all of them as category 1;
    `coco-things` and `voc-things` keep what moves by itself or is moved, all as category 1, as STEm-Seg does for DAVIS;
    `coco-movers` groups COCO's persons, vehicles and animals, what moves by itself, as 1, 2 and 3,
    and `coco-kinds` keeps all else as 4;
    `mapillary-kitti` keeps cars as 1 and persons as 2, and what might be taken for either as regions that do not count.

    Raises:
        OptionError: there is none of that name.
    """
    if not name:
        return None
    if name not in CLASS_MAPS:
        raise OptionError(f"classes {name!r} is not known; choose one of {', '.join(CLASS_MAPS)}")
    return CLASS_MAPS[name]
