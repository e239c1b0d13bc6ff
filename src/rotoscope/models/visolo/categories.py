"""What the categories of a network are called."""

from __future__ import annotations

from rotoscope.masks import category_names
from rotoscope.masks.category_names import COCO, MOVERS, OVIS, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021

_NAMES = {"coco": COCO, "ytvis2019": YOUTUBE_VIS_2019, "ytvis2021": YOUTUBE_VIS_2021, "ovis": OVIS, "movers": MOVERS}
_BY_COUNT = {80: COCO, 40: YOUTUBE_VIS_2019, 25: OVIS, 3: MOVERS}


def names_of(which: str, count: int) -> tuple[str, ...]:
    """The names of a network's categories.

    Args:
        which: "coco", "ytvis2019", "ytvis2021", "ovis", "movers", or "auto", which goes by `count`; where it knows
            none, numbers from 1 are given.
        count: categories of the network.

    Raises:
        OptionError: the names are not as many as the categories.
    """
    return category_names.names_of(which, count, _NAMES, _BY_COUNT)
