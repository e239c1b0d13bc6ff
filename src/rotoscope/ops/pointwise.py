"""1x1 convolutions of pictures by oneDNN, where torch takes another library.

On one thread torch hands a 1x1 convolution to the matrix product of MKL, and adds the bias in a pass of its own; that
of oneDNN is twice as fast on processors that MKL does not favour. torch reaches it through an operator that its own
compiler uses.
"""

from __future__ import annotations

from typing import Self, cast

import torch
from torch import Tensor, nn

from rotoscope.ops.conv_swap import on_the_same, swap


class PointwiseConv2d(nn.Conv2d):
    """`nn.Conv2d` for inference: 1x1, by oneDNN on the CPU.

    Parameters, their names and the result, to rounding, are those of `nn.Conv2d`. Gradients, autocast, other devices,
    and memory that is not channels-last take the usual way.
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
            raise ValueError(f"found {conv}; expected 1x1, no padding, one group")
        return on_the_same(conv, cls)

    @classmethod
    def replace_in(cls, network: nn.Module) -> int:
        """Replace every plain `nn.Conv2d` inside `network` that is `replaceable`, in place.

        Returns:
            How many were replaced.
        """
        return swap(network, nn.Conv2d, replaceable, cls.from_conv)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K, H', W')."""
        if not self._fits(x):
            return super().forward(x)
        y = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, self.padding, self.stride, self.dilation, 1, "none", [], ""
        )
        return cast(Tensor, y)

    def _fits(self, x: Tensor) -> bool:
        return (
            x.device.type == "cpu"
            and not torch.is_grad_enabled()
            and not torch.compiler.is_compiling()
            and not torch.is_autocast_enabled("cpu")
            and x.dim() == 4
            and x.dtype == self.weight.dtype
            and x.dtype in (torch.float32, torch.bfloat16)
            and x.is_contiguous(memory_format=torch.channels_last)
            and x.numel() > 0
            and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
            and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        )


def replaceable(conv: nn.Conv2d) -> bool:
    """Whether a convolution is 1x1 without padding, in one group."""
    return conv.kernel_size == (1, 1) and conv.padding in (0, (0, 0)) and conv.groups == 1
