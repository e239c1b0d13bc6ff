"""The propagation head of the small network: what is alike and near is found from the first step of a training.

Paper: Lin et al., "Video Instance Segmentation with a Propose-Reduce Paradigm" (ICCV 2021), section 3.2.

Intended differences to the paper's head: a frame is remembered under the keys that it is asked with, whatever its
objects; keys have one length and hold their position (`rotoscope.backbones.placed_keys`); a value also holds the mask
itself, so that what is read begins with masks carried along by content. The paper starts from a detector and a memory
that were trained for long; from random weights its head learnt nothing in 850 steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.mask_decoder import MaskDecoder
from rotoscope.backbones.placed_keys import placed_keys
from rotoscope.backbones.space_time_memory import rows
from rotoscope.models.propose_reduce.propagation import (
    STRIDE,
    Asked,
    Down,
    PositionHead,
    PropagationHead,
    PropagationWidths,
)


class MobilePropagationHead(PropagationHead):
    """See the module; used as `PropagationHead` is, whose arguments it has."""

    def __init__(self, channels: int, skip_channels: tuple[int, int], widths: PropagationWidths) -> None:
        nn.Module.__init__(self)
        self.place = nn.Conv2d(1, channels, 7, padding=3)
        self.memory_value = nn.Sequential(
            Down(channels, widths.inner), Down(widths.inner, widths.outer), nn.Conv2d(widths.outer, widths.value, 1)
        )
        self.query = PositionHead(channels, widths)
        self.sharpness = nn.Parameter(torch.tensor(9.0))  # length of the keys
        self.nearness = nn.Parameter(torch.tensor(1.5))  # length of a position's waves
        self.decoder = MaskDecoder(2 * widths.value + 1, skip_channels, widths.decoder)

    def memorise(self, level: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """See `PropagationHead.memorise`; keys (O, h * w, key + 12), values (O, h * w, value + 1)."""
        whole = self.filled(level, masks)  # (O, 1, H, W)
        small = functional.interpolate(whole, level.shape[-2:], mode="bilinear", align_corners=False)
        values = self.memory_value(level + self.place(small))
        coarse = functional.avg_pool2d(whole.float(), STRIDE).to(values.dtype)
        keys = placed_keys(self.query(level)[0], self.sharpness, self.nearness)
        return keys.expand(len(masks), -1, -1), rows(torch.cat([values, coarse], dim=1))

    def ask(self, level: Tensor, c2: Tensor, c3: Tensor) -> Asked:
        """See `PropagationHead.ask`; the key has 12 more channels."""
        key, value = self.query(level)
        return Asked(placed_keys(key, self.sharpness, self.nearness)[0], value, self.decoder.skips(c3, c2))
