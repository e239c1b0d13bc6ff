"""A memory of frames with masks, read at every position of a new frame: STM's network, which later systems build on.

Paper: Oh, Lee, Xu, Kim, "Video Object Segmentation using Space-Time Memory Networks" (ICCV 2019).

Intended differences to the authors' code: the three stems of the memory encoder are one convolution over five channels
(frame, mask, other objects), the same sum; pixels are normalised once, with constants that are not read from files; all
objects of a frame go through encoder and decoder as one batch, and the finer maps of a frame are refined once for all
of them; a memory position is a row, so that frames are added without copying; as many channels are aggregated as there
are objects, not always 11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rotoscope.backbones.mask_decoder import MaskDecoder
from rotoscope.backbones.pixels import PixelNorm
from rotoscope.backbones.resnet import ResNet
from rotoscope.ops.memory_read import memory_read
from rotoscope.ops.soft_aggregation import soft_aggregation

STRIDE = 16
_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)


class KeyValue(nn.Module):
    """Two 3x3 convolutions: what a position is found by, and what it tells.

    Args:
        in_channels: of the encoder's last map.
        key: channels of the key.
        value: channels of the value.
    """

    def __init__(self, in_channels: int, key: int, value: int) -> None:
        super().__init__()
        self.key = nn.Conv2d(in_channels, key, 3, padding=1)
        self.value = nn.Conv2d(in_channels, value, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> (B, key, h, w), (B, value, h, w)."""
        return self.key(x), self.value(x)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A frame that is to be segmented, encoded.

    Attributes:
        key: (h * w, key) rows of positions.
        value: (1, value, h, w).
        r3: (1, S3, 2h, 2w).
        r2: (1, S2, 4h, 4w).
    """

    key: Tensor
    value: Tensor
    r3: Tensor
    r2: Tensor


Memory = tuple[Tensor, Tensor]  # keys (M, key) and values (M, value) of one object, all frames one after the other


class SpaceTimeMemory(nn.Module):
    """Two encoders, their heads, the memory read and the decoder.

    Args:
        layers: bottlenecks a stage of both encoders, up to stride 16.
        width: of both encoders' stems; 64 as published.
        key: channels of a key.
        value: channels of a value.
        decoder: width of the decoder.
    """

    def __init__(
        self, layers: Sequence[int] = (3, 4, 6), width: int = 64, key: int = 128, value: int = 512, decoder: int = 256
    ) -> None:
        super().__init__()
        self.pixels = PixelNorm(_MEAN, _STD, scale=1.0, dimensions=2)
        self.memory_encoder = ResNet(layers, 5, width)
        self.query_encoder = ResNet(layers, 3, width)
        r2, r3, r4 = self.query_encoder.channels
        self.memory_head = KeyValue(r4, key, value)
        self.query_head = KeyValue(r4, key, value)
        self.decoder = MaskDecoder(2 * value, (r2, r3), decoder)

    def load_encoder(self, state: Mapping[str, Tensor]) -> None:
        """Start both encoders from a classifier's weights; what its stem sees of masks stays random.

        Args:
            state: names as in the classifier file, stages up to stride 16.

        Raises:
            RuntimeError: a tensor is missing or of another shape.
        """
        self.query_encoder.load_state_dict(state)
        stem = self.memory_encoder.conv1.weight.detach().clone()
        stem[:, :3] = state["conv1.weight"]
        self.memory_encoder.load_state_dict({**state, "conv1.weight": stem})

    def memorise(self, frame: Tensor, masks: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a frame and masks into memory (section 3.1).

        Args:
            frame: (1, 3, H, W) RGB, uint8 or float in [0, 1]; H and W multiples of 16.
            masks: (O, H, W) float in [0, 1], one an object.
            others: (O, H, W), for each object the masks of all others together; see `other_objects`.

        Returns:
            keys (O, h * w, key) and values (O, h * w, value) at stride 16.
        """
        pixels = self.pixels(frame)
        pixels = pixels.expand(len(masks), -1, -1, -1)  # (O, 3, H, W)
        x = torch.cat([pixels, masks[:, None].to(pixels.dtype), others[:, None].to(pixels.dtype)], dim=1)
        keys, values = self.memory_head(self.memory_encoder(x)[-1])
        return rows(keys), rows(values)

    def query(self, frame: Tensor) -> Query:
        """Encode a frame to segment, once for all objects (section 3.2).

        Args:
            frame: (1, 3, H, W) RGB, uint8 or float in [0, 1]; H and W multiples of 16.
        """
        r2, r3, r4 = self.query_encoder(self.pixels(frame))
        key, value = self.query_head(r4)
        return Query(rows(key)[0], value, r3, r2)

    def segment(self, query: Query, memories: Sequence[Memory], best: int = 0) -> Tensor:
        """Find objects in a frame (sections 3.3 and 3.4).

        Args:
            query: see `query`.
            memories: one an object; see `Memory`.
            best: see `memory_read`.

        Returns:
            (O, H, W) float32, each object's probability against everything else.
        """
        height, width = query.value.shape[-2:]
        reads = torch.stack([memory_read(query.key, keys, values, best) for keys, values in memories])
        maps = reads.transpose(1, 2).reshape(len(reads), -1, height, width)  # (O, value, h, w)
        x = torch.cat([maps, query.value.expand(len(maps), -1, -1, -1)], dim=1)
        return self.decoder(x, query.r3, query.r2).softmax(dim=1)[:, 1]  # type: ignore[no-any-return]

    def forward(self, clips: Tensor, masks: Tensor, counts: Sequence[int]) -> Tensor:
        """Follow objects through short clips with gradients, as in training (section 3.6).

        Every frame but the last becomes memory, the first with its true masks, later ones with the predicted
        distribution.

        Args:
            clips: (B, 3, T, H, W) RGB, float in [0, 1]; H and W multiples of 16.
            masks: (B, O, H, W) in [0, 1], those of each clip's first frame.
            counts: how many of the O masks each clip has, at least 1.

        Returns:
            Aggregated logits (B, T - 1, 1 + O, H, W) float32 for frames 1 to T - 1, background first.
        """
        channels = 1 + masks.shape[1]
        return torch.stack(
            [self._follow(clip, own[:count], channels) for clip, own, count in zip(clips, masks, counts, strict=True)]
        )

    def _follow(self, clip: Tensor, masks: Tensor, channels: int) -> Tensor:
        """(3, T, H, W), (O, H, W) -> (T - 1, channels, H, W)."""
        keys: list[Tensor] = []
        values: list[Tensor] = []
        logits = []
        for before, now in zip(clip.unbind(1)[:-1], clip.unbind(1)[1:], strict=True):
            key, value = self.memorise(before[None], masks, other_objects(masks))
            keys.append(key)
            values.append(value)
            memories = list(zip(torch.cat(keys, dim=1), torch.cat(values, dim=1), strict=True))
            logits.append(soft_aggregation(self.segment(self.query(now[None]), memories), channels))
            masks = logits[-1].softmax(dim=0)[1 : 1 + len(masks)]
        return torch.stack(logits)


def other_objects(masks: Tensor) -> Tensor:
    """(O, H, W) -> (O, H, W): for each object the sum of the others, at most 1."""
    return (masks.sum(dim=0, keepdim=True) - masks).clamp(0, 1)


def rows(maps: Tensor) -> Tensor:
    """Turn maps (B, C, h, w) into rows of positions (B, h * w, C)."""
    return maps.flatten(2).transpose(1, 2)
