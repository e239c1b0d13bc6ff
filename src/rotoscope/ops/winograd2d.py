"""3x3 convolutions of pictures in Winograd's form: `ops.winograd` without taps in time."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from rotoscope.ops.conv_swap import on_the_same, swap
from rotoscope.ops.winograd import MIN_GAIN, POINTS, SIDE, convolved, cut

# Measured costs in units of one product of the 36 matrix products (one AVX-512 core): see `pays`.
_DIRECT = 0.73  # a product of direct convolution
_TRANSFORM = 103.0  # an entry of a tile, in or out
_WEIGHT = 2300.0  # a weight's channel pair
_BLOCK = 1.2e7  # start of a block


def winograd_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, workers: int | None = None) -> Tensor:
    """3x3 convolution, stride 1, zero padding 1, with Winograd's F(4x4, 3x3); not differentiable.

    Args:
        x: (B, C, H, W) float32 on the CPU, any size but none; fastest in channels-last memory.
        weight: (K, C, 3, 3) float32.
        bias: (K,) float32 or None.
        workers: threads to use; torch's number of threads where None.

    Returns:
        (B, K, H, W) in channels-last memory.

    Raises:
        ValueError: a weight that is not 3x3 or of another number of channels than `x`.
    """
    if weight.shape[1:] != (x.shape[1], 3, 3):
        raise ValueError(f"weight is {tuple(weight.shape)}; expected (K, {x.shape[1]}, 3, 3) for x {tuple(x.shape)}")
    return convolved(x[:, :, None], weight[:, :, None], bias, workers)[:, :, 0]


def pays(x: Tensor, outputs: int, workers: int) -> bool:
    """Whether Winograd's form of a convolution of (B, C, H, W) to `outputs` channels is expected to be faster."""
    batch, inputs, height, width = x.shape
    if x.numel() == 0:
        return False
    blocks = cut(1, height, width, max(inputs, outputs), workers)
    tiles = batch * blocks.tile_rows * blocks.tile_columns
    pairs = inputs * outputs
    direct = _DIRECT * batch * height * width * 9 * pairs
    ours = tiles * POINTS * (pairs + _TRANSFORM * (inputs + outputs)) + _WEIGHT * pairs + _BLOCK * batch * blocks.count
    return direct > MIN_GAIN * ours


class WinogradConv2d(nn.Conv2d):
    """`nn.Conv2d` for inference: 3x3, stride 1, padding 1, through `winograd_conv2d` where that pays.

    Parameters, their names and the result are those of `nn.Conv2d`. Gradients, autocast, devices and types other than
    CPU float32, small maps and narrow layers take the direct convolution.

    Measured with `python benchmarks/bench_visolo.py --layers` (torch 2.13, one AVX-512 core) against the direct
    convolution in channels-last memory: 256 channels at 88x156, 1.7 times as fast; at 44x78, 1.5 times. Largest error
    against float64, relative to the largest output: 2.3e-6 to 4.2e-6, where the direct form has 1.4e-6 to 2.5e-6.
    """

    @classmethod
    def from_conv(cls, conv: nn.Conv2d) -> Self:
        """The same convolution on the same parameters.

        Args:
            conv: one that `replaceable` accepts.

        Raises:
            ValueError: the convolution is of another kind.
        """
        if not replaceable(conv):
            raise ValueError(f"found {conv}; expected 3x3, stride 1, zero padding 1, dilation 1, one group")
        return on_the_same(conv, cls)

    @classmethod
    def replace_in(cls, network: nn.Module) -> int:
        """Replace every plain `nn.Conv2d` inside `network` that is wide enough and `replaceable`, in place.

        Returns:
            How many were replaced.
        """
        return swap(network, nn.Conv2d, lambda conv: replaceable(conv) and _wide_enough(conv), cls.from_conv)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K, H, W), in channels-last memory where Winograd's form was used."""
        if self._fits(x) and pays(x, self.out_channels, torch.get_num_threads()):
            return winograd_conv2d(x, self.weight, self.bias)
        return super().forward(x)

    def _fits(self, x: Tensor) -> bool:
        if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return False
        if x.dim() != 4 or x.shape[1] != self.in_channels or torch.is_autocast_enabled("cpu"):
            return False
        if any(t.dtype != torch.float32 or t.device.type != "cpu" for t in (x, self.weight)):
            return False
        return not torch.is_grad_enabled() or not any(t.requires_grad for t in (x, *self.parameters()))


def replaceable(conv: nn.Conv2d) -> bool:
    """Whether a convolution is 3x3 with stride 1, zero padding 1, dilation 1 and one group."""
    same = conv.padding in (1, (1, 1), "same") and conv.padding_mode == "zeros"
    return same and (conv.kernel_size, conv.stride, conv.dilation, conv.groups) == ((3, 3), (1, 1), (1, 1), 1)


def _wide_enough(conv: nn.Conv2d) -> bool:
    """Whether Winograd's form could pay on some map: the transforms of narrow layers cost more than they save."""
    inputs, outputs = conv.in_channels, conv.out_channels
    direct = _DIRECT * SIDE * SIDE * 9 * inputs * outputs
    return direct > MIN_GAIN * POINTS * (inputs * outputs + _TRANSFORM * (inputs + outputs))
