"""VISOLO: each cell of a grid gives categories and a kernel; the past is read through similarities of cells.

Paper: Han, Hwang, Oh, Park, Kim, Kim, Kim, "VISOLO: Grid-Based Space-Time Aggregation for Efficient Online Video
Instance Segmentation" (CVPR 2022).

Intended differences to the authors' code: pixels are normalised inside; frames whose sides are no multiples of 16 are
padded (theirs fail); what a frame is in memory (its reference embedding and its values) is made once and kept, not made
again for every later frame; category and mask features are read in one product; the features that masks are made of
are decoded apart from the rest, so that a frame without any candidate needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.pixels import PixelNorm
from rotoscope.backbones.resnet import ResNet
from rotoscope.models.visolo.branches import (
    COORDINATES,
    CategoryBranch,
    FeatureBranch,
    KernelBranch,
    NormedConv,
    SimilarityBranch,
    cells,
)

STRIDE = 16
GRID = (12, 21)
ENLARGED = 4  # masks are made at a quarter of the frame's size
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)

Grid = tuple[int, int]


class Encoded(NamedTuple):
    """A frame, or several as a batch, without the past.

    Attributes:
        key: (B, width, S1, S2).
        category: (B, width, S1, S2), of either sign.
        mask: (B, width, S1, S2), 0 or more.
        maps: at strides 4, 8 and 16 of the padded frame, the last one with coordinates; see `VISOLO.decode`.
    """

    key: Tensor
    category: Tensor
    mask: Tensor
    maps: tuple[Tensor, ...]


class Predicted(NamedTuple):
    """What a training compares with the truth.

    Attributes:
        features: (B, T, kernel, H/4, W/4) of the padded frames.
        kernels: (B, T, kernel, S1, S2).
        categories: (B, T, classes, S1, S2) logits.
        similarity: (B, P, S, S) logits, rows are cells of the earlier frame of a pair; see `pairs`. A clip of one frame
            has its similarity to itself.
    """

    features: Tensor
    kernels: Tensor
    categories: Tensor
    similarity: Tensor


@dataclass(frozen=True)
class Widths:
    """How wide the parts are.

    Attributes:
        grid: branches on the grid.
        decoder: the feature branch.
        kernel: a kernel, and the features that it is applied to.
        embedding: what similarities are products of.
    """

    grid: int = 256
    decoder: int = 256
    kernel: int = 256
    embedding: int = 128


class VISOLO(nn.Module):
    """Encoder, the branches on the grid, the feature branch, similarities and values of memory.

    Args:
        classes: categories: 40 for YouTube-VIS, 80 for COCO, 25 for OVIS.
        layers: bottlenecks a stage of the encoder.
        width: of the encoder's stem; 64 as published.
        widths: of the rest.
    """

    frozen: tuple[str, ...] = (
        "encoder.conv1.",
        "encoder.layer1.",
    )  # never trained, as published; norms of the encoder are not either
    fresh = ("category.predict.",)  # starts anew where a file has other categories

    def __init__(
        self, classes: int = 40, layers: Sequence[int] = (3, 4, 6), width: int = 64, widths: Widths | None = None
    ) -> None:
        super().__init__()
        self.pixels = PixelNorm(_MEAN, _STD, scale=1.0, dimensions=2)
        self.encoder: nn.Module = ResNet(layers, width=width)
        self._add_branches(self.encoder.channels, classes, widths or Widths())

    def _add_branches(self, channels: Sequence[int], classes: int, widths: Widths) -> None:
        self.classes = classes
        self.widths = widths
        self.category = CategoryBranch(channels[-1], widths.grid, classes)
        self.kernel = KernelBranch(channels[-1], widths.grid, widths.kernel)
        self.feature = FeatureBranch(channels, widths.decoder, widths.kernel)
        self.similarity = SimilarityBranch(widths.grid, widths.embedding)
        self.value = NormedConv(widths.grid, widths.grid)
        for part in (self.category, self.kernel, self.feature, self.similarity, self.value):
            part.apply(_initialised)

    def load_encoder(self, state: Mapping[str, Tensor]) -> None:
        """Start the encoder from a classifier's weights.

        Args:
            state: names as in the classifier file, stages up to stride 16.

        Raises:
            RuntimeError: a tensor is missing or of another shape.
        """
        self.encoder.load_state_dict(state)

    def picture_maps(self, frames: Tensor) -> list[Tensor]:
        """Run the encoder on frames (B, 3, H, W), uint8 or float in [0, 1], which it pads to multiples of 16.

        Returns:
            Maps at strides 4, 8 and 16.
        """
        return self.encoder(functional.pad(self.pixels(frames), padding_of(frames)))  # type: ignore[no-any-return]

    def encode(self, frames: Tensor, grid: Grid = GRID) -> Encoded:
        """Everything of frames that needs no other frame, but for the decoder.

        Args:
            frames: (B, 3, H, W) RGB, uint8 or float in [0, 1], any size; below and on the right they are padded with
                the mean colour to multiples of 16.
            grid: rows and columns of cells, over the padded frame.
        """
        fine, middle, coarse = self.picture_maps(frames)
        coarse = with_coordinates(coarse)
        x = functional.interpolate(coarse, grid, mode="bilinear", align_corners=False)  # (B, C + 2, S1, S2)
        key, category = self.category.before(x[:, :-COORDINATES])
        return Encoded(key, category, self.kernel.before(x), (fine, middle, coarse))

    def decode(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of `Encoded` -> features (B, kernel, H/4, W/4) of the padded frame."""
        return self.feature(maps)  # type: ignore[no-any-return]

    def embed(self, key: Tensor) -> tuple[Tensor, Tensor]:
        """Key feature (B, width, S1, S2) -> query and reference embeddings, (B, S, embedding) each."""
        return self.similarity(key)  # type: ignore[no-any-return]

    def values(self, category: Tensor, mask: Tensor) -> Tensor:
        """What a frame gives to others: both features (B, width, S1, S2) -> (B, S, 2 * width), category first."""
        both = self.value(torch.cat([category, mask]))  # one module serves both
        return torch.cat([cells(part) for part in both.chunk(2)], dim=2)

    def aggregate(self, encoded: Encoded, read: Tensor) -> tuple[Tensor, Tensor]:
        """Add what was read from memory (B, S, 2 * width) to the category and mask features of a frame."""
        size = encoded.category.shape[-2:]
        category, mask = read.transpose(1, 2).reshape(len(read), -1, *size).chunk(2, dim=1)
        return encoded.category + category, encoded.mask + mask

    def forward(self, clips: Tensor, grid: Grid = GRID) -> Predicted:
        """Run short clips as in training: the memory of each frame is all others.

        Args:
            clips: (B, 3, T, H, W) RGB, float in [0, 1], any size. A clip of one frame is its own memory.
            grid: rows and columns of cells.
        """
        length = clips.shape[2]
        encoded = self.encode(clips.transpose(1, 2).flatten(0, 1), grid)  # frames as one batch of B * T
        query, reference = (_by_clip(part, length) for part in self.embed(encoded.key))
        similarity = torch.einsum("bise,bjre->bisjr", query, reference)  # (B, T, S, T, S)
        values = _by_clip(self.values(encoded.category, encoded.mask), length)
        read = _read_others(similarity, values).flatten(0, 1)  # (B * T, S, 2 * width)
        category, mask = self.aggregate(encoded, read)
        outputs = self.decode(encoded.maps), self.kernel(mask), self.category(category)
        features, kernels, categories = (_by_clip(part, length) for part in outputs)
        supervised = [similarity[:, i, :, j] for i, j in pairs(length)] or [similarity[:, 0, :, 0]]
        return Predicted(features, kernels, categories, torch.stack(supervised, dim=1))


def pairs(length: int) -> list[tuple[int, int]]:
    """The pairs of frames whose similarity is supervised: (0, 1), (0, 2), (1, 2) of three."""
    return [(first, second) for first in range(length) for second in range(first + 1, length)]


def with_coordinates(x: Tensor) -> Tensor:
    """Two more channels, y and x, each from -1 to 1 over the map: (B, C, H, W) -> (B, C + 2, H, W)."""
    height, width = x.shape[-2:]
    y = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)[:, None].expand(height, width)
    across = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype).expand(height, width)
    places = torch.stack([y, across]).expand(len(x), -1, -1, -1)
    if x.is_contiguous(memory_format=torch.channels_last):  # the concatenation has the layout of all its parts
        places = places.contiguous(memory_format=torch.channels_last)
    return torch.cat([x, places], dim=1)


def _by_clip(frames: Tensor, length: int) -> Tensor:
    """(B * T, ...) -> (B, T, ...)."""
    return frames.view(-1, length, *frames.shape[1:])


def _read_others(similarity: Tensor, values: Tensor) -> Tensor:
    """Logits (B, T, S, T, S), values (B, T, S, D) -> (B, T, S, D), one softmax over all cells of the other frames."""
    length = similarity.shape[1]
    if length > 1:
        own = torch.eye(length, dtype=torch.bool, device=similarity.device)[None, :, None, :, None]
        similarity = similarity.masked_fill(own, float("-inf"))
    weights = similarity.flatten(3).softmax(dim=3)  # (B, T, S, T * S)
    return weights.to(values.dtype) @ values.flatten(1, 2)[:, None]


def padding_of(frames: Tensor) -> tuple[int, int, int, int]:
    """What (B, 3, H, W) frames need below and on the right to be whole cells of stride 16, in the order of torch."""
    height, width = frames.shape[-2:]
    return 0, -width % STRIDE, 0, -height % STRIDE


def _initialised(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


NETWORKS: dict[str, Callable[[], VISOLO]] = {"ytvis": VISOLO, "coco": partial(VISOLO, 80), "ovis": partial(VISOLO, 25)}
