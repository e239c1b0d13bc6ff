"""The head that follows objects from frame to frame: Seq-Prop, a space-time memory on the detector's own maps.

Paper: Lin et al., "Video Instance Segmentation with a Propose-Reduce Paradigm" (ICCV 2021), section 3.2 and the
supplement; its decoder is STM's (Oh et al., ICCV 2019).

Intended differences to the authors' code: what a frame gives whatever the object and the key frame (the query, and what
the decoder takes of the finer maps) is computed once a frame; memory positions are rows, so that frames are added
without copying; the whole affinity is never in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.mask_decoder import MaskDecoder
from rotoscope.backbones.space_time_memory import rows
from rotoscope.ops.memory_read import memory_read

STRIDE = 16  # of memory and query


@dataclass(frozen=True)
class PropagationWidths:
    """Channels of the head.

    Attributes:
        inner: of the maps at stride 8.
        outer: of the maps at stride 16.
        key: what a position is found by.
        value: what it tells.
        decoder: of the decoder's maps.
    """

    inner: int = 256
    outer: int = 512
    key: int = 64
    value: int = 256
    decoder: int = 256


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What the head takes of a frame that is to be segmented.

    Attributes:
        key: (h * w, key) rows of positions at stride 16.
        value: (1, value, h, w).
        skips: (1, C, 2h, 2w) and (1, C, 4h, 4w), added in the decoder.
    """

    key: Tensor
    value: Tensor
    skips: tuple[Tensor, Tensor]


class Down(nn.Module):
    """A shortcut and two 3x3 convolutions, each after a ReLU, to half the size; no norm.

    Args:
        in_channels: of the input.
        out_channels: of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, 2, 1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out_channels, H/2, W/2)."""
        inner = self.conv2(functional.relu(self.conv1(functional.relu(x)), inplace=True))
        return self.shortcut(x) + inner  # type: ignore[no-any-return]


class PositionHead(nn.Module):
    """From a map of stride 4 to keys and values at stride 16.

    Args:
        channels: of the map.
        widths: see `PropagationWidths`.
    """

    def __init__(self, channels: int, widths: PropagationWidths) -> None:
        super().__init__()
        self.fuse = nn.Sequential(Down(channels, widths.inner), Down(widths.inner, widths.outer))
        self.key = nn.Conv2d(widths.outer, widths.key, 1)
        self.value = nn.Conv2d(widths.outer, widths.value, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, 4h, 4w) -> (B, key, h, w), (B, value, h, w)."""
        fused = self.fuse(x)
        return self.key(fused), self.value(fused)


class PropagationHead(nn.Module):
    """Memory, query, reading, decoder.

    Args:
        channels: of the pyramid's finest map.
        skip_channels: of the encoder's maps at strides 4 and 8.
        widths: see `PropagationWidths`.
    """

    def __init__(self, channels: int, skip_channels: tuple[int, int], widths: PropagationWidths) -> None:
        super().__init__()
        self.place = nn.Conv2d(1, channels, 7, padding=3)
        self.memory = PositionHead(channels, widths)
        self.query = PositionHead(channels, widths)
        self.decoder = MaskDecoder(2 * widths.value, skip_channels, widths.decoder)

    def memorise(self, level: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a frame and its objects into memory.

        Args:
            level: (1, C, H/4, W/4) the pyramid's finest map.
            masks: (O, H, W) in [0, 1]; smaller ones are filled up with zeros below and on the right.

        Returns:
            Keys (O, h * w, key) and values (O, h * w, value) at stride 16.
        """
        whole = self.filled(level, masks)
        small = functional.interpolate(whole, level.shape[-2:], mode="bilinear", align_corners=False)
        keys, values = self.memory(level + self.place(small))
        return rows(keys), rows(values)

    @staticmethod
    def filled(level: Tensor, masks: Tensor) -> Tensor:
        """Masks (O, h, w) of a frame, with zeros below and on the right up to the padded size: (O, 1, H, W)."""
        height, width = level.shape[-2:]
        below, right = 4 * height - masks.shape[1], 4 * width - masks.shape[2]
        return functional.pad(masks[:, None].to(level.dtype), (0, right, 0, below))

    def ask(self, level: Tensor, c2: Tensor, c3: Tensor) -> Asked:
        """What a frame gives whatever is looked for in it.

        Args:
            level: (1, C, 4h, 4w) the pyramid's finest map.
            c2: (1, S2, 4h, 4w) of the encoder.
            c3: (1, S3, 2h, 2w) of the encoder.
        """
        key, value = self.query(level)
        return Asked(rows(key)[0], value, self.decoder.skips(c3, c2))

    def segment(self, asked: Asked, memories: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Find objects in a frame.

        Args:
            asked: see `ask`.
            memories: keys (M, key) and values (M, value) of each object, all its frames one after the other.

        Returns:
            (O, 16h, 16w) float32, each object's probability against everything else.
        """
        height, width = asked.value.shape[-2:]
        reads = torch.stack([memory_read(asked.key, keys, values) for keys, values in memories])  # (O, h * w, value)
        maps = reads.transpose(1, 2).reshape(len(reads), -1, height, width)
        x = torch.cat([maps, asked.value.expand(len(maps), -1, -1, -1)], dim=1)
        return self.decoder.decoded(x, asked.skips).softmax(dim=1)[:, 1]
