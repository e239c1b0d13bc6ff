"""A small space-time memory: MobileNetV2 in place of ResNet-50, narrow heads and decoder.

Paper: Oh, Lee, Xu, Kim, "Video Object Segmentation using Space-Time Memory Networks" (ICCV 2019).

Intended differences to the paper's network, besides the encoders: keys and values are made from the maps of two depths,
what DeepLab's head says and the map of stride 16 below it; keys have one length, so that their angle alone counts (with
free lengths, one frame of the memory drew all attention); a key also holds the position in the frame, as sines and
cosines, so that what is near counts more by a learnt measure; a value also holds the masks themselves, so that what is
read begins with masks carried along by content; both key heads start equal, so that content is found by likeness from
the first step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.mask_decoder import MaskDecoder
from rotoscope.backbones.mobilenet2 import MobileNet2
from rotoscope.backbones.placed_keys import placed_keys
from rotoscope.backbones.space_time_memory import STRIDE, KeyValue, Query, SpaceTimeMemory, rows

_CARRIED = 2  # channels of a value that are masks: the object, all others


class MobileSpaceTimeMemory(SpaceTimeMemory):
    """See the module; used as `SpaceTimeMemory` is.

    Args:
        key: channels of a key, without those of the position.
        value: channels of a value, without the masks.
        decoder: width of the decoder.
    """

    memory_encoder: MobileNet2  # type: ignore[assignment]
    query_encoder: MobileNet2  # type: ignore[assignment]

    def __init__(self, key: int = 64, value: int = 128, decoder: int = 64) -> None:
        nn.Module.__init__(self)
        self.memory_encoder = MobileNet2(3 + _CARRIED, dilated=True, head=True)
        self.query_encoder = MobileNet2(dilated=True, head=True)
        r2, r3, r4, r5 = self.query_encoder.channels
        self.memory_head = KeyValue(r4 + r5, key, value)
        self.query_head = KeyValue(r4 + r5, key, value)
        self.memory_head.key.load_state_dict(self.query_head.key.state_dict())
        self.sharpness = nn.Parameter(torch.tensor(9.0))  # length of the keys
        self.nearness = nn.Parameter(torch.tensor(1.5))  # length of a position's waves
        self.decoder = MaskDecoder(2 * value + _CARRIED, (r2, r3), decoder)

    def load_picture_weights(self, weights: Mapping[str, Any]) -> list[str]:
        """Start both encoders from DeepLabv3 on MobileNetV2; what the memory's stem sees of masks stays random.

        Args:
            weights: arrays, see `MobileNet2.picture_state`.

        Returns:
            The names in `weights` that the encoders have no place for.

        Raises:
            WeightsError: a weight is missing or of another shape.
        """
        masks = self.memory_encoder.stem.weight.detach()[:, 3:].clone()
        for encoder in (self.memory_encoder, self.query_encoder):
            encoder.load_state_dict(encoder.picture_state(weights), strict=False)
        with torch.no_grad():
            self.memory_encoder.stem.weight[:, 3:] = masks
        return sorted(name for name in weights if name.startswith(("classifier.", "head.")))

    def memorise(self, frame: Tensor, masks: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a frame and masks into memory; see `SpaceTimeMemory.memorise`.

        Returns:
            keys (O, h * w, key + 12) and values (O, h * w, value + 2) at stride 16.
        """
        carried = torch.stack([masks, others], dim=1)  # (O, 2, H, W)
        maps = self.memory_encoder(frame.expand(len(masks), -1, -1, -1), carried)
        key, value = self.memory_head(torch.cat(maps[2:], dim=1))
        coarse = functional.avg_pool2d(carried.float(), STRIDE).to(value.dtype)
        return self._placed(key), rows(torch.cat([value, coarse], dim=1))

    def query(self, frame: Tensor) -> Query:
        """Encode a frame to segment, once for all objects; see `SpaceTimeMemory.query`."""
        r2, r3, r4, r5 = self.query_encoder(frame)
        key, value = self.query_head(torch.cat([r4, r5], dim=1))
        return Query(self._placed(key)[0], value, r3, r2)

    def _placed(self, key: Tensor) -> Tensor:
        return placed_keys(key, self.sharpness, self.nearness)
