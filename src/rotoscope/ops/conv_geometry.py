"""Where the kernel of a 3D convolution lies: sizes and places in voxels of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

Triple = tuple[int, int, int]


class Geometry(NamedTuple):
    """How a deformable convolution is laid out.

    Attributes:
        stride: (time, rows, columns).
        padding: likewise.
        dilation: likewise.
        groups: of the convolution.
        offset_groups: parts of the channels that move apart.
    """

    stride: Triple
    padding: Triple
    dilation: Triple
    groups: int
    offset_groups: int

    def flat(self) -> list[int]:
        """The eleven numbers, as an operator of torch takes them."""
        return [*self.stride, *self.padding, *self.dilation, self.groups, self.offset_groups]

    @classmethod
    def of(cls, flat: Sequence[int]) -> Geometry:
        """The inverse of `flat`."""
        return cls(triple(flat[:3]), triple(flat[3:6]), triple(flat[6:9]), *flat[9:])


def output_size(
    size: Sequence[int], kernel: Sequence[int], stride: Triple, padding: Triple, dilation: Triple
) -> Triple:
    """(D', H', W') of a convolution of a (D, H, W) volume."""
    found = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    ]
    return cast(Triple, tuple(found))


def sampling_positions(offset: Tensor, kernel: Triple, stride: Triple, padding: Triple, dilation: Triple) -> Tensor:
    """Where every kernel point reads, in voxels of the input.

    Args:
        offset: (N, 3 G K, D', H', W'), as `deform_conv3d` takes it.
        kernel: (time, rows, columns).
        stride: likewise, of the convolution.
        padding: likewise.
        dilation: likewise.

    Returns:
        (N, G, K, 3, D', H', W').
    """
    places = offset.shape[2:]
    base, point = grids(places, kernel, stride, padding, dilation, offset.device)
    moved = offset.reshape(offset.shape[0], -1, point.shape[1], 3, *places)
    return moved + base.view(3, *places) + point.t()[:, :, None, None, None]


def grids(
    places: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """(3, P) where the kernel's first point lies at each output place; (3, K) each point's distance from it; whole."""
    at = [torch.arange(n, device=device) * s - p for n, s, p in zip(places, stride, padding, strict=True)]
    by = [torch.arange(n, device=device) * d for n, d in zip(kernel, dilation, strict=True)]
    base, point = (torch.stack(torch.meshgrid(*axes, indexing="ij")).reshape(3, -1) for axes in (at, by))
    return base, point


def triple(value: int | Sequence[int]) -> Triple:
    """One number or three -> three."""
    found = (value,) * 3 if isinstance(value, int) else tuple(value)
    if len(found) != 3:
        raise ValueError(f"found {value!r}; expected one number or three (time, rows, columns)")
    return found
