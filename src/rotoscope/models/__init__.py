"""The systems, by name. A new one joins by a line in `SYSTEM_NAMES` and a case in `system`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rotoscope.errors import OptionError

if TYPE_CHECKING:
    from rotoscope.models.contract import System, Trainable

SYSTEM_NAMES = ("3dc-seg", "d2conv3d", "stm", "dmn-aoa", "visolo", "stem-seg", "propose-reduce")


def system(name: str) -> System[Any]:
    """The system called `name`; its code is imported now, not before.

    Raises:
        OptionError: there is none.
    """
    if name == "3dc-seg":
        from rotoscope.models.three_dc_seg.system import SYSTEM

        return SYSTEM
    if name == "d2conv3d":
        from rotoscope.models.d2conv3d.system import SYSTEM as D2CONV3D

        return D2CONV3D
    if name == "stm":
        from rotoscope.models.stm.system import SYSTEM as STM

        return STM
    if name == "dmn-aoa":
        from rotoscope.models.dmn_aoa.system import SYSTEM as DMN_AOA

        return DMN_AOA
    if name == "stem-seg":
        from rotoscope.models.stem_seg.system import SYSTEM as STEM_SEG

        return STEM_SEG
    if name == "visolo":
        from rotoscope.models.visolo.system import SYSTEM as VISOLO

        return VISOLO
    if name == "propose-reduce":
        from rotoscope.models.propose_reduce.system import SYSTEM as PROPOSE_REDUCE

        return PROPOSE_REDUCE
    raise OptionError(f"no system is called {name!r}; known are {', '.join(SYSTEM_NAMES)}")


def trainable(name: str) -> Trainable[Any]:
    """How the system called `name` is trained; nothing that runs a network imports it.

    Raises:
        OptionError: there is none.
    """
    if name == "3dc-seg":
        from rotoscope.models.three_dc_seg.training import TRAINABLE

        return TRAINABLE
    if name == "d2conv3d":
        from rotoscope.models.d2conv3d.training import TRAINABLE as D2CONV3D

        return D2CONV3D
    if name == "stm":
        from rotoscope.models.stm.training import TRAINABLE as STM

        return STM
    if name == "dmn-aoa":
        from rotoscope.models.dmn_aoa.training import TRAINABLE as DMN_AOA

        return DMN_AOA
    if name == "stem-seg":
        from rotoscope.models.stem_seg.training import TRAINABLE as STEM_SEG

        return STEM_SEG
    if name == "visolo":
        from rotoscope.models.visolo.training import TRAINABLE as VISOLO

        return VISOLO
    if name == "propose-reduce":
        from rotoscope.models.propose_reduce.training import TRAINABLE as PROPOSE_REDUCE

        return PROPOSE_REDUCE
    raise OptionError(f"no system is called {name!r}; known are {', '.join(SYSTEM_NAMES)}")
