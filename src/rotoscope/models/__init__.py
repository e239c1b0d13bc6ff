"""The systems, by name. A new one joins by a line in `_ROOMS`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from rotoscope.errors import OptionError

if TYPE_CHECKING:
    from rotoscope.models.contract import System, Trainable

_ROOMS = {
    "3dc-seg": "three_dc_seg",
    "d2conv3d": "d2conv3d",
    "stm": "stm",
    "dmn-aoa": "dmn_aoa",
    "stem-seg": "stem_seg",
    "visolo": "visolo",
    "propose-reduce": "propose_reduce",
}
SYSTEM_NAMES = tuple(_ROOMS)


def system(name: str) -> System[Any]:
    """The system called `name`; its code is imported now, not before.

    Raises:
        OptionError: there is none.
    """
    return cast("System[Any]", import_module(f"rotoscope.models.{_room(name)}.system").SYSTEM)


def trainable(name: str) -> Trainable[Any]:
    """How the system called `name` is trained; nothing that runs a network imports it.

    Raises:
        OptionError: there is none.
    """
    return cast("Trainable[Any]", import_module(f"rotoscope.models.{_room(name)}.training").TRAINABLE)


def _room(name: str) -> str:
    if name not in _ROOMS:
        raise OptionError(f"no system is called {name!r}; known are {', '.join(SYSTEM_NAMES)}")
    return _ROOMS[name]
