"""The small network of STM's design; it stands in `rotoscope.backbones.mobile_memory`, where DMN-AOA finds it too.

Paper: Oh, Lee, Xu, Kim, "Video Object Segmentation using Space-Time Memory Networks" (ICCV 2019); the intended
differences are told there.
"""

from __future__ import annotations

from rotoscope.backbones.mobile_memory import MobileSpaceTimeMemory
from rotoscope.models.stm.network import STM


class MobileSTM(MobileSpaceTimeMemory, STM):
    """See `MobileSpaceTimeMemory` for its arguments."""
