"""Other convolutions in a network's place of plain ones, on the same parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import nn

Conv = TypeVar("Conv", nn.Conv2d, nn.Conv3d)
Kind = TypeVar("Kind", bound="nn.Conv2d | nn.Conv3d")


def on_the_same(conv: nn.Conv2d | nn.Conv3d, kind: type[Kind]) -> Kind:
    """A convolution of another class with the kernel, stride, padding, dilation, groups and parameters of this one."""
    module = kind(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        conv.groups,
        conv.bias is not None,
        conv.padding_mode,
        device="meta",
    )
    module.weight, module.bias = conv.weight, conv.bias
    module.train(conv.training)
    return module


def swap(network: nn.Module, plain: type[Conv], wanted: Callable[[Conv], bool], swapped: Callable[[Conv], Conv]) -> int:
    """Replace convolutions below `network`, in place.

    Args:
        network: itself is not replaced.
        plain: class of those that may be; classes derived from it stay.
        wanted: which of them.
        swapped: what takes their place.

    Returns:
        How many were replaced.
    """
    count = 0
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is plain and wanted(child):
                setattr(parent, name, swapped(child))
                count += 1
    return count
