"""Which categories of one instance data set stand for which of another; their names are in `masks.category_names`."""

from __future__ import annotations

from collections.abc import Mapping

from rotoscope.errors import OptionError

_COCO_TO_YOUTUBE_VIS = {1: 1, 2: 21, 3: 6, 4: 21, 5: 28, 7: 17, 8: 29, 9: 34, 17: 14, 18: 8, 19: 18, 21: 15, 22: 32}
_COCO_TO_YOUTUBE_VIS |= {23: 20, 24: 30, 25: 22, 36: 33, 41: 5, 42: 27, 43: 40}
_VOC_TO_YOUTUBE_VIS = {1: 28, 4: 34, 7: 6, 8: 14, 10: 15, 12: 8, 13: 18, 14: 21, 15: 1, 19: 17}
_COCO_THINGS = (*range(1, 10), *range(16, 26), 27, *range(34, 40), 41, 42, 43)
_VOC_THINGS = (1, 2, 3, 4, 6, 7, 8, 10, 12, 13, 14, 15, 17, 19)
_COCO_TO_OVIS = {1: 1, 2: 21, 3: 25, 4: 22, 5: 23, 6: 25, 8: 25, 9: 24, 16: 2, 17: 3, 18: 4, 19: 5, 20: 6, 21: 7}
_COCO_TO_OVIS |= {22: 8, 23: 9, 24: 10, 25: 11}

CLASS_MAPS: Mapping[str, Mapping[int, int]] = {
    "coco-youtube-vis": _COCO_TO_YOUTUBE_VIS,
    "voc-youtube-vis": _VOC_TO_YOUTUBE_VIS,
    "coco-ovis": _COCO_TO_OVIS,
    "coco-things": dict.fromkeys(_COCO_THINGS, 1),
    "voc-things": dict.fromkeys(_VOC_THINGS, 1),
}


def class_map(name: str) -> Mapping[int, int] | None:
    """A map from the categories of a file to those wanted; others are left out. None for an empty name.

    `coco-youtube-vis`, `voc-youtube-vis` and `coco-ovis` give the numbers of YouTube-VIS 2019 and OVIS; `coco-things`
    and `voc-things` keep what moves by itself or is moved, all as category 1, as STEm-Seg trains for DAVIS.

    Raises:
        OptionError: there is none of that name.
    """
    if not name:
        return None
    if name not in CLASS_MAPS:
        raise OptionError(f"classes {name!r} is not known; choose one of {', '.join(CLASS_MAPS)}")
    return CLASS_MAPS[name]
