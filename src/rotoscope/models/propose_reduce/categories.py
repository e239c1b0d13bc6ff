"""What the categories of a network are called."""

from __future__ import annotations

from rotoscope.errors import OptionError
from rotoscope.masks.category_names import KINDS, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021

_NAMES = {"ytvis2019": YOUTUBE_VIS_2019, "ytvis2021": YOUTUBE_VIS_2021, "kinds": KINDS}
_BY_COUNT: dict[int, tuple[str | None, ...]] = {1: (None,), len(KINDS): KINDS, len(YOUTUBE_VIS_2019): YOUTUBE_VIS_2019}


def names_of(which: str, count: int) -> tuple[str | None, ...]:
    """The names of a network's categories.

    Args:
        which: "ytvis2019", "ytvis2021", "kinds", or "auto": those of YouTube-VIS 2019 for 40 of them, person, vehicle,
            animal and thing for four, none for one, else numbers from 1.
        count: categories of the network.

    Raises:
        OptionError: the names are not as many as the categories.
    """
    if which == "auto":
        return _BY_COUNT.get(count) or tuple(str(number + 1) for number in range(count))
    names = _NAMES[which]
    if len(names) != count:
        raise OptionError(f"{which} has {len(names)} categories, the network has {count}; choose others")
    return names
