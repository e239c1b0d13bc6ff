"""The small network of VISOLO's design: MobileNetV2 in place of ResNet-50, narrow branches and decoder.

Paper: Han et al., "VISOLO: Grid-Based Space-Time Aggregation for Efficient Online Video Instance Segmentation"
(CVPR 2022).

Intended differences to the paper's network, besides the encoder and the widths: what DeepLab's head says and the map of
stride 16 below it stand for the last map of the encoder; categories start at a probability of 0.01, so that the first
steps are not spent on unlearning that every cell is everything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.mobilenet2 import MobileNet2
from rotoscope.models.visolo.network import VISOLO, Widths, padding_of

_FIRST_LOGIT = -math.log(99)  # of every category: a probability of 0.01
_MEAN_GREY = 128  # what MobileNetV2 subtracts


class MobileVISOLO(VISOLO):
    """See the module; used as `VISOLO` is.

    Args:
        classes: categories.
        widths: of the branches.
    """

    encoder: MobileNet2
    frozen = ()

    def __init__(self, classes: int = 40, widths: Widths | None = None) -> None:
        nn.Module.__init__(self)
        self.encoder = MobileNet2(dilated=True, head=True)
        fine, middle, coarse, head = self.encoder.channels
        self._add_branches((fine, middle, coarse + head), classes, widths or Widths(128, 64, 64, 64))
        if self.category.predict.bias is not None:
            nn.init.constant_(self.category.predict.bias, _FIRST_LOGIT)

    def load_picture_weights(self, weights: Mapping[str, Any]) -> list[str]:
        """Start the encoder from DeepLabv3 on MobileNetV2.

        Args:
            weights: arrays, see `MobileNet2.picture_state`.

        Returns:
            The names in `weights` that the encoder has no place for.

        Raises:
            WeightsError: a weight is missing or of another shape.
        """
        self.encoder.load_state_dict(self.encoder.picture_state(weights), strict=False)
        return sorted(name for name in weights if name.startswith(("classifier.", "head.")))

    def picture_maps(self, frames: Tensor) -> list[Tensor]:
        """See `VISOLO.picture_maps`."""
        grey = _MEAN_GREY if frames.dtype == torch.uint8 else _MEAN_GREY / 255
        fine, middle, coarse, head = self.encoder(functional.pad(frames, padding_of(frames), value=grey))
        return [fine, middle, torch.cat([coarse, head], dim=1)]
