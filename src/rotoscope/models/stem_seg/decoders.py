"""STEm-Seg's decoders: time is squeezed on the way to the coarsest map, and expanded on the way back.

Paper: Athar et al., STEm-Seg (ECCV 2020), section 3.2.

Intended differences to the authors' code: the layout follows the clip that comes in, not a length that the network was
built for; a 1x1x1 convolution of an enlarged map beside a finer one is the sum of two, the first before the
enlargement, which is the same number by less work and without the concatenation; maps smaller than a pooling kernel
are pooled too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.errors import OptionError
from rotoscope.models.stem_seg.embedding import Mode, coordinates, mode_of
from rotoscope.ops.depthwise import DepthwiseConv3d

Pool = Literal["average", "max", "none"]
_TANH = 0.25
_POOLED: Mapping[int, int] = MappingProxyType({2: 0, 4: 1, 8: 2, 16: 3, 24: 3, 32: 3})  # length to halvings of time
LENGTHS = tuple(_POOLED)
SITES = ("stride32.0", "stride32.1", "stride32.2", "stride16.0", "stride16.1", "stride8.0", "stride4.0")


@dataclass(frozen=True)
class DecoderOptions:
    """How the decoders of a network are built.

    Attributes:
        in_channels: of the pyramid's maps.
        groups: of the group norms; 0 for no norms.
        pool: how time is squeezed; "none" keeps its length, as in the paper's ablation.
        dilated: pyramids of dilated convolutions at strides 32 and 16.
        separable: strides at which each 3x3x3 convolution is one for every channel alone and one between channels; not
            the paper's.
    """

    in_channels: int = 256
    groups: int = 32
    pool: Pool = "average"
    dilated: bool = False
    separable: tuple[int, ...] = ()


class DilatedPyramid(nn.Module):
    """Three 3x3x3 convolutions of different dilation and one of a point, side by side, then joined.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        rates: dilations in space.
        width: of each branch.
    """

    def __init__(self, in_channels: int, out_channels: int, rates: Sequence[int], width: int = 64) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv3d(in_channels, width, 3, padding=(1, rate, rate), dilation=(1, rate, rate), bias=False)
            for rate in rates
        )
        self.branches.append(nn.Conv3d(in_channels, width, 1, bias=False))
        self.project = nn.Conv3d(len(self.branches) * width, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, h, w) -> (B, out_channels, T, h, w)."""
        joined = torch.cat([branch(x) for branch in self.branches], dim=1)
        return self.project(functional.relu(joined))  # type: ignore[no-any-return]


class Unit(nn.Module):
    """Convolution, group norm, ReLU.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        options: of the decoder.
        rates: dilations of a pyramid; a 3x3x3 convolution without.
        separable: see `DecoderOptions`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        options: DecoderOptions,
        rates: Sequence[int] | None = None,
        separable: bool = False,
    ) -> None:
        super().__init__()
        self.conv: nn.Module
        if rates is not None:
            self.conv = DilatedPyramid(in_channels, out_channels, rates)
        elif separable:
            self.conv = nn.Sequential(
                DepthwiseConv3d(in_channels, (3, 3, 3), bias=False), nn.Conv3d(in_channels, out_channels, 1)
            )
        else:
            self.conv = nn.Conv3d(in_channels, out_channels, 3, padding=1)
        self.norm = nn.GroupNorm(options.groups, out_channels) if options.groups else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, h, w) -> (B, out_channels, T, h, w)."""
        x = self.conv(x)
        return functional.relu(x if self.norm is None else self.norm(x), inplace=True)


class Branch(nn.ModuleList):
    """Units of one stride, each followed by a halving of time as long as there are any to be made.

    Args:
        units: in order.
        pool: see `DecoderOptions`.
        in_space: whether pooling also smooths in space.
    """

    def __init__(self, units: Sequence[Unit], pool: Pool, in_space: bool = True) -> None:
        super().__init__(units)
        self.pool, self.in_space = pool, in_space

    def forward(self, x: Tensor, halvings: int) -> Tensor:
        """(B, C, T, h, w) -> (B, C', T / 2 ** min(halvings, units), h, w)."""
        for place, unit in enumerate(self):
            x = unit(x)
            if place < halvings:
                x = self._halved(x)
        return x

    def _halved(self, x: Tensor) -> Tensor:
        """(B, C, T, h, w) -> (B, C, T / 2, h, w). Zeros beyond the border count in the mean, which darkens it."""
        side = 3 if self.in_space else 1
        margin = side // 2
        if self.pool == "max":
            return functional.max_pool3d(x, (3, side, side), (2, 1, 1), (1, margin, margin))
        if min(x.shape[-2:]) < side:  # the operator refuses maps smaller than its kernel unless they are padded
            x = functional.pad(x, (margin, margin, margin, margin))
            margin = 0
        # In float32: a CPU has no such operator for bfloat16.
        return functional.avg_pool3d(x.float(), (3, side, side), (2, 1, 1), (1, margin, margin)).to(x.dtype)


class Join(nn.Module):
    """A 1x1x1 convolution over an enlarged coarse map and a finer one.

    Args:
        coarse: channels of the coarse map.
        fine: channels of the finer one.
        out_channels: of the output.
    """

    def __init__(self, coarse: int, fine: int, out_channels: int) -> None:
        super().__init__()
        self.coarse = coarse
        self.weight = nn.Parameter(torch.empty(out_channels, coarse + fine, 1, 1, 1))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(B, C, t, h, w), (B, F, T, 2h, 2w) -> (B, out_channels, T, 2h, 2w)."""
        x = functional.conv3d(coarse, self.weight[:, : self.coarse])
        factors = tuple(float(a // b) for a, b in zip(fine.shape[-3:], x.shape[-3:], strict=True))
        x = functional.interpolate(x, scale_factor=factors, mode="trilinear", align_corners=False)
        return functional.conv3d(fine, self.weight[:, self.coarse :]).add_(x)


class SqueezeExpand(nn.Module):
    """From the pyramid of a clip to one map at stride 4.

    Args:
        widths: channels at strides 32, 16, 8 and 4.
        options: see `DecoderOptions`.
    """

    def __init__(self, widths: Sequence[int], options: DecoderOptions) -> None:
        super().__init__()
        pool, dilated = options.pool, options.dilated
        rates = {32: (3, 6, 9), 16: (4, 8, 12)} if dilated else {}

        def branch(stride: int, units: int, width: int) -> Branch:
            widths = (options.in_channels, *[width] * units)
            chain = [Unit(a, b, options, rates.get(stride), stride in options.separable) for a, b in pairwise(widths)]
            return Branch(chain, pool, in_space=stride not in rates)

        first, second, third, last = widths
        self.pool = pool
        self.stride32 = branch(32, 3, first)
        self.stride16 = branch(16, 2, second)
        self.stride8 = branch(8, 1, third)
        self.stride4 = branch(4, 1, last)
        self.join16 = Join(first, second, second)
        self.join8 = Join(second, third, third)
        self.join4 = Join(third, last, last)
        self.channels = last

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Decode clips.

        Args:
            maps: (B, C, T, h, w) of strides 4, 8, 16 and 32, finest first.

        Returns:
            (B, channels, T, h, w) at stride 4.

        Raises:
            OptionError: clips of a length that cannot be squeezed and expanded.
        """
        s4, s8, s16, s32 = maps
        halvings = self._halvings(s4.shape[2])
        x = self.join16(self.stride32(s32, halvings), self.stride16(s16, halvings))
        x = self.join8(x, self.stride8(s8, halvings))
        return self.join4(x, self.stride4(s4, 0))  # type: ignore[no-any-return]

    def _halvings(self, length: int) -> int:
        if length not in _POOLED:
            known = ", ".join(map(str, LENGTHS))
            raise OptionError(f"stem-seg works on clips of {known} frames, not {length}; choose one of these")
        return 0 if self.pool == "none" else _POOLED[length]


class EmbeddingHead(nn.Module):
    """Embeddings, bandwidths, and the seediness where there is no head for it (section 3.3).

    Args:
        widths: see `SqueezeExpand`.
        mode: a name in `embedding.MODES`.
        options: of the decoder.
        seediness: whether the last channel is the seediness.
        bounded: whether embeddings go through a hyperbolic tangent before coordinates are added.
    """

    def __init__(
        self, widths: Sequence[int], mode: str, options: DecoderOptions, seediness: bool, bounded: bool = True
    ) -> None:
        super().__init__()
        self.mode: Mode = mode_of(mode)
        self.trunk = SqueezeExpand(widths, options)
        self.embedding = nn.Conv3d(self.trunk.channels, self.mode.dimensions, 1, bias=False)
        self.bandwidth = nn.Conv3d(self.trunk.channels, self.mode.learnt, 1)
        self.seediness = nn.Conv3d(self.trunk.channels, 1, 1, bias=False) if seediness else None
        self.bounded = bounded

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Maps as in `SqueezeExpand` -> embeddings (B, E, ...), raw bandwidths (B, E - F, ...), seediness (B, 1, ...).

        All of (T, h, w) at stride 4; the seediness is in [0, 1], None where the head has none.
        """
        return self.outputs(self.trunk(maps))

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """The same from what the trunk gave."""
        embeddings: Tensor = self.embedding(x)
        if self.bounded:
            embeddings = (_TANH * embeddings).tanh()
        size = (x.shape[2], x.shape[3], x.shape[4])
        embeddings = embeddings + coordinates(self.mode, size, embeddings)
        return embeddings, self.bandwidth(x), None if self.seediness is None else self.seediness(x).sigmoid()


class MapHead(nn.Module):
    """A decoder of its own for the seediness, or for classes and the foreground (sections 3.3 and 3.4).

    Args:
        widths: see `SqueezeExpand`.
        out_channels: of the output.
        options: of the decoder.
    """

    def __init__(self, widths: Sequence[int], out_channels: int, options: DecoderOptions) -> None:
        super().__init__()
        self.trunk = SqueezeExpand(widths, options)
        self.predict = nn.Conv3d(self.trunk.channels, out_channels, 1, bias=False)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps as in `SqueezeExpand` -> logits (B, out_channels, T, h, w) at stride 4."""
        return self.predict(self.trunk(maps))  # type: ignore[no-any-return]
