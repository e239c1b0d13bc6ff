"""What the categories of a network are called."""

from __future__ import annotations

from rotoscope.errors import OptionError
from rotoscope.masks.category_names import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021

_NAMES = {"ytvis2019": YOUTUBE_VIS_2019, "ytvis2021": YOUTUBE_VIS_2021}


def names_of(which: str, count: int) -> tuple[str | None, ...]:
    """The names of a network's categories.

    Args:
        which: "ytvis2019", "ytvis2021", or "auto": those of YouTube-VIS 2019 for 40 of them, none for one, else numbers
            from 1.
        count: categories of the network.

    Raises:
        OptionError: the names are not as many as the categories.
    """
    if which == "auto":
        if count == 1:
            return (None,)
        numbers = tuple(str(number + 1) for number in range(count))
        return YOUTUBE_VIS_2019 if count == len(YOUTUBE_VIS_2019) else numbers
    names = _NAMES[which]
    if len(names) != count:
        raise OptionError(f"{which} has {len(names)} categories, the network has {count}; choose others")
    return names
