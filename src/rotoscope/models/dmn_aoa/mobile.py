"""The small network of DMN-AOA: a small space-time memory with its templates, alignment, matching and refinement.

Paper: Liang, Shen, Huang, Hua, "Video Object Segmentation with Dynamic Memory Networks and Adaptive Object Alignment"
(ICCV 2021). Intended differences, besides those of `network` and of `backbones.mobile_memory`: what is compared of an
object and a proposal leaves out the position in a key and the masks in a value, since both tell where it was, not what
it looks like. It begins as the small network of STM: then it does exactly what that does.
"""

from __future__ import annotations

from rotoscope.backbones.mobile_memory import MobileSpaceTimeMemory
from rotoscope.models.dmn_aoa.network import DMNAOA, CoarseInput, Matcher


class MobileDMNAOA(MobileSpaceTimeMemory, DMNAOA):
    """See the module; used as `DMNAOA` is.

    Args:
        key, value, decoder: see `MobileSpaceTimeMemory`.
        tokens: width of a token.
    """

    start = "stm/mobile"

    def __init__(self, key: int = 64, value: int = 128, decoder: int = 64, tokens: int = 128) -> None:
        MobileSpaceTimeMemory.__init__(self, key, value, decoder)
        self.looks = (key, value)
        self.matcher = Matcher(key, value, tokens)
        self.coarse = CoarseInput(decoder)
