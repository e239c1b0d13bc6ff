"""The small network of STEm-Seg's design: MobileNetV2 in place of a ResNet, one narrow decoder for everything.

Paper: Athar et al., "STEm-Seg: Spatio-temporal Embeddings for Instance Segmentation in Videos" (ECCV 2020).

Intended differences to the paper's networks, besides the encoder: embedding, seediness, classes and foreground come
from one decoder; at strides 8 and 4 its convolutions mix space and time for each channel alone, then channels, since
most of the places are there; all objects are of one class, or of a few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.fpn import FeaturePyramid
from rotoscope.backbones.mobilenet2 import MobileNet2
from rotoscope.models.stem_seg.decoders import DecoderOptions, EmbeddingHead
from rotoscope.models.stem_seg.embedding import mode_of
from rotoscope.models.stem_seg.maps import Maps
from rotoscope.models.stem_seg.network import MULTIPLE, StemSeg

_GREY = 128  # what the encoder takes for zero


class MobileEncoder(nn.Module):
    """MobileNetV2 and feature pyramid of single frames.

    Args:
        channels: of the pyramid.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.body = MobileNet2()
        self.pyramid = FeaturePyramid(self.body.channels, channels, enlarge="bilinear")

    def forward(self, frames: Tensor) -> list[Tensor]:
        """See `StemSeg.features`."""
        bottom, right = (-side % MULTIPLE for side in frames.shape[-2:])
        grey = _GREY if frames.dtype == torch.uint8 else _GREY / 255
        return self.pyramid(self.body(functional.pad(frames, (0, right, 0, bottom), value=grey)))  # type: ignore[no-any-return]

    def first_parts(self) -> list[nn.Module]:
        """What may stay as it is in training: the stem and the blocks up to stride 4."""
        return [self.body.stem, *self.body.blocks[:3]]


class MobileStemSeg(StemSeg):
    """See the module; used as `StemSeg` is.

    Args:
        channels: of the pyramid.
        widths: of the decoder at strides 32, 16, 8 and 4.
        mode: of the embedding.
        length: frames of a clip.
        categories: names, by number from 1; () where all objects are alike.
    """

    encoder: MobileEncoder
    embedding: EmbeddingHead
    semantic: nn.Conv3d  # type: ignore[assignment]

    def __init__(
        self,
        channels: int = 64,
        widths: Sequence[int] = (192, 160, 96, 64),
        mode: str = "xyff",
        length: int = 8,
        categories: tuple[str, ...] = (),
    ) -> None:
        nn.Module.__init__(self)
        chosen = mode_of(mode)
        self.length, self.mode = length, mode
        self.dimensions, self.free = chosen.dimensions, chosen.free
        self.categories, self.classes = categories, max(1, len(categories)) + 1
        options = DecoderOptions(in_channels=channels, groups=8, separable=(8, 4))
        self.encoder = MobileEncoder(channels)
        self.embedding = EmbeddingHead(widths, mode, options, seediness=True)
        self.semantic = nn.Conv3d(widths[-1], self.classes + 1, 1)

    def load_picture_weights(self, weights: Mapping[str, Any]) -> list[str]:
        """Start the encoder from public picture weights.

        Args:
            weights: arrays of MobileNetV2, or of DeepLabv3 on it; see `MobileNet2.picture_state`.

        Returns:
            The names in `weights` that the encoder has no place for.

        Raises:
            WeightsError: a weight is missing or of another shape.
        """
        state = self.encoder.body.picture_state(weights)
        self.encoder.body.load_state_dict(state, strict=False)
        return sorted(set(weights) - set(state))

    def heads(self, features: Sequence[Tensor]) -> Maps:
        """Look at a clip as a whole; see `StemSeg.heads`."""
        x = self.embedding.trunk(features)
        embeddings, bandwidths, seediness = self.embedding.outputs(x)
        assert seediness is not None
        logits = self.semantic(x)
        return Maps(embeddings, bandwidths, seediness, logits[:, : self.classes], logits[:, self.classes :])
