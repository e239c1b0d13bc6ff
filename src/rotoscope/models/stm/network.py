"""STM's networks.

Paper: Oh, Lee, Xu, Kim, "Video Object Segmentation using Space-Time Memory Networks" (ICCV 2019). The network itself
stands in `rotoscope.backbones.space_time_memory`, with its intended differences to the authors' code: other systems are
built on it.
"""

from __future__ import annotations

from collections.abc import Callable

from rotoscope.backbones.space_time_memory import SpaceTimeMemory


class STM(SpaceTimeMemory):
    """The published network; see `SpaceTimeMemory` for its arguments."""


NETWORKS: dict[str, Callable[[], STM]] = {"stm": STM}
