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
        modulation: (N, K, T, H, W) float, or None where the layer has none.
        sizes: (N, 3, T, H, W), how far the kernel is stretched along time, rows, columns; None for free offsets.
    """

    percent_outside: float
    percent_without_contribution: float
    modulation: Tensor | None
    sizes: Tensor | None


@torch.no_grad()
def look(network: nn.Module, clip: Tensor) -> dict[str, LayerLook]:
    """Run a clip through a network and look at every deformable layer, by name (supplement, Figures 1 and 2).

    Args:
        network: with `DeformableConv3d` layers.
        clip: (B, 3, T, H, W), as the network takes it.
    """
    found: dict[str, LayerLook] = {}
    with _watched(network, found):
        network(clip)
    return found


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
    position = sampling_positions(offset, kernel, stride, padding, dilation)  # (N, G, K, 3, D', H', W')
    size = position.new_tensor(x.shape[2:]).view(3, 1, 1, 1)
    outside = ((position < 0) | (position > size - 1)).any(dim=3)
    nothing = ((position <= -1) | (position >= size)).any(dim=3)
    return LayerLook(
        100 * float(outside.double().mean()),
        100 * float(nothing.double().mean()),
        modulation,
        layer.sizes(x) if layer.version.axes else None,
    )
