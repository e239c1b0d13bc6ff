"""What the categories of a network are called."""

from __future__ import annotations

from rotoscope.masks import category_names
from rotoscope.masks.category_names import KINDS, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021

_NAMES = {"ytvis2019": YOUTUBE_VIS_2019, "ytvis2021": YOUTUBE_VIS_2021, "kinds": KINDS}
_BY_COUNT = {len(KINDS): KINDS, len(YOUTUBE_VIS_2019): YOUTUBE_VIS_2019}


def names_of(which: str, count: int) -> tuple[str | None, ...]:
    """The names of a network's categories.

    Args:
        which: "ytvis2019", "ytvis2021", "kinds", or "auto": those of YouTube-VIS 2019 for 40 of them, person, vehicle,
            animal and thing for four, none for one, else numbers from 1.
        count: categories of the network.

    Raises:
        OptionError: the names are not as many as the categories.
    """
    if which == "auto" and count == 1:
        return (None,)
    return category_names.names_of(which, count, _NAMES, _BY_COUNT)
