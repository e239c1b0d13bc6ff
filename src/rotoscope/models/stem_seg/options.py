"""How STEm-Seg is run on a video; frozen, from defaults, a weights file's card, the command line."""

from __future__ import annotations

from dataclasses import dataclass

from rotoscope.ops.resize import SizeRule


@dataclass(frozen=True)
class EmbeddingOptions:
    """Inference options.

    Attributes:
        size: what frames are resized to before the network: "480" short edge, "480x854" height x width, "unchanged".
    """

    size: str = "unchanged"

    def __post_init__(self) -> None:
        SizeRule.parse(self.size)
