"""What the supplement looks at: where kernel points read, how much they count, how far kernels are stretched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from rotoscope.ops.conv_geometry import Triple, sampling_positions
from rotoscope.ops.deform_layers import DeformableConv3d


@dataclass(frozen=True)
class LayerLook:
    """One deformable layer on one clip.

    Attributes:
        percent_outside: share of sampling positions with a coordinate below 0 or above size - 1.
        percent_without_contribution: share with a coordinate at most -1 or at least size.
        plain_percent: both shares of the plain convolution that the layer stands for.
        modulation: (N, K, T, H, W) float, or None where the layer has none.
        sizes: (N, 3, T, H, W), how far the kernel is stretched along time, rows, columns; None for free offsets.
    """

    percent_outside: float
    percent_without_contribution: float
    plain_percent: tuple[float, float]
    modulation: Tensor | None
    sizes: Tensor | None


def deformable_layers(network: nn.Module) -> list[str]:
    """The names of a network's deformable layers, in the order of its modules."""
    return [name for name, layer in network.named_modules() if isinstance(layer, DeformableConv3d)]


def look(network: nn.Module, clip: Tensor) -> dict[str, LayerLook]:
    """Run a clip through a network and look at every deformable layer, by name (supplement, Figures 1 and 2).

    Args:
        network: with `DeformableConv3d` layers.
        clip: (B, 3, T, H, W), as the network takes it.
    """
    return looked(network, clip)[0]


@torch.no_grad()
def looked(network: nn.Module, clip: Tensor) -> tuple[dict[str, LayerLook], Tensor]:
    """As `look`, with what the network answered beside it."""
    found: dict[str, LayerLook] = {}
    with _watched(network, found):
        answer = network(clip)
    return found, answer


@contextmanager
def _watched(network: nn.Module, found: dict[str, LayerLook]) -> Iterator[None]:
    handles = []
    for name, layer in network.named_modules():
        if isinstance(layer, DeformableConv3d):

            def note(layer: nn.Module, inputs: tuple[Any, ...], name: str = name) -> None:
                found[name] = _look_at(cast(DeformableConv3d, layer), inputs[0])

            handles.append(layer.register_forward_pre_hook(note))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _look_at(layer: DeformableConv3d, x: Tensor) -> LayerLook:
    offset, modulation = layer.sampling(x)
    conv = layer.deform_conv
    kernel, stride, padding, dilation = (
        cast(Triple, value) for value in (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
    )
    shares = [
        _shares(sampling_positions(moves, kernel, stride, padding, dilation), x.shape[2:])
        for moves in (offset, torch.zeros_like(offset[:1]))
    ]
    return LayerLook(*shares[0], shares[1], modulation, layer.sizes(x) if layer.version.axes else None)


def _shares(position: Tensor, size: torch.Size) -> tuple[float, float]:
    """(N, G, K, 3, D', H', W') positions in a volume of (D, H, W) -> per cent outside, per cent that read nothing."""
    ends = position.new_tensor(size).view(3, 1, 1, 1)
    outside = ((position < 0) | (position > ends - 1)).any(dim=3)
    nothing = ((position <= -1) | (position >= ends)).any(dim=3)
    return 100 * float(outside.double().mean()), 100 * float(nothing.double().mean())
