"""Depth-wise 3D convolution whose gradients do not take an age on a CPU.

Measured on two AVX-512 cores with torch 2.13 (benchmarks/bench_depthwise.py): forward, the library's 3D path is fastest
once the layout is channels-last; backward, it is several times slower than one 2D convolution for each tap in time.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.ops.frame_conv import CORNERS, Geometry, Pair, convolve_frames, frames_apart, picture_gradients

Triple = tuple[int, int, int]


def backward_by_taps(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Triple, padding: Triple, dilation: Triple
) -> tuple[Tensor, Tensor]:
    """Gradients of a depth-wise 3D convolution as sums over batch entries and temporal taps of 2D ones.

    Args:
        grad: (B, C, T, H', W') of the output.
        x: (B, C, T, H, W), the input.
        weight: (C, 1, k, kh, kw), k odd; padding in time is (k - 1) / 2, stride and dilation in time are 1.
        stride: of the convolution.
        padding: of the convolution.
        dilation: of the convolution.

    Returns:
        Gradients of the input, channels-last, and of the weight.
    """
    batch, frames = x.shape[0], x.shape[2]
    grad_weight = torch.zeros_like(weight, dtype=torch.float32)
    grad = grad.contiguous(memory_format=torch.channels_last_3d)
    grad_x = torch.zeros_like(x, memory_format=torch.channels_last_3d)
    for entry in range(batch):
        # (T, C, H, W) views: in channels-last memory a frame is a channels-last picture
        given, out = grad[entry].transpose(0, 1), grad_x[entry].transpose(0, 1)
        pictures = x[entry].transpose(0, 1)
        for tap in range(weight.shape[2]):
            shift = tap - weight.shape[2] // 2  # output frame t reads input frame t + shift
            first, last = max(0, -shift), min(frames, frames - shift)
            if first >= last:
                continue
            part_x, part_weight = _picture_gradients(
                given[first:last],
                pictures[first + shift : last + shift],
                weight[:, :, tap],
                stride[1:],
                padding[1:],
                dilation[1:],
            )
            out[first + shift : last + shift] += part_x
            grad_weight[:, :, tap] += part_weight
    return grad_x, grad_weight.to(weight.dtype)


def _picture_gradients(
    grad: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair
) -> tuple[Tensor, Tensor]:
    """Gradients of one depth-wise 2D convolution: (N, C, H', W'), (N, C, H, W), (C, 1, kh, kw) -> those of x, weight.

    In bfloat16 only the plain kernel has a fast gradient, so a stride is turned into zeros between the gradients.
    """
    if x.dtype == torch.bfloat16 and stride == (2, 2) and dilation == (1, 1):
        spread = torch.zeros_like(x)
        spread[:, :, ::2, ::2] = grad
        grad, stride = spread, (1, 1)
    grad_x, grad_weight = picture_gradients(grad, x, weight, Geometry(stride, padding, dilation, x.shape[1]))
    return cast(Tensor, grad_x), grad_weight


def depthwise(x: Tensor, weight: Tensor, stride: Triple, padding: Triple, dilation: Triple) -> Tensor:
    """Depth-wise 3D convolution, forward: (B, C, T, H, W), (C, 1, kt, kh, kw) -> (B, C, T', H', W').

    In bfloat16 on a CPU the library's dilated kernel is ten times slower than its plain one, so a dilation of 2 in
    space is computed as one plain convolution over the four phases of the grid: the same sums.
    """
    slow = x.device.type == "cpu" and x.dtype == torch.bfloat16
    if not (slow and dilation == (1, 2, 2) and stride == (1, 1, 1) and padding[1:] == (2, 2) and weight.shape[3] == 3):
        return functional.conv3d(x, weight, None, stride, padding, dilation, weight.shape[0])
    batch, _, _, height, width = x.shape
    even = functional.pad(x, (0, width % 2, 0, height % 2))
    parts = torch.cat([even[..., i::2, j::2] for i, j in CORNERS])
    parts = parts.contiguous(memory_format=torch.channels_last_3d)
    parts = functional.conv3d(parts, weight, None, 1, (padding[0], 1, 1), 1, weight.shape[0])
    out = torch.empty_like(even)
    for corner, (i, j) in enumerate(CORNERS):
        out[..., i::2, j::2] = parts[corner * batch : (corner + 1) * batch]
    return out[..., :height, :width].contiguous(memory_format=torch.channels_last_3d)


class _DepthwiseByTaps(torch.autograd.Function):
    """The library's forward, the gradients of `backward_by_taps`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Triple, padding: Triple, dilation: Triple) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = (stride, padding, dilation)
        return depthwise(x, weight, stride, padding, dilation)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        x, weight = ctx.saved_tensors
        grad_x, grad_weight = backward_by_taps(grad, x, weight, *ctx.geometry)
        return grad_x, grad_weight, None, None, None


class DepthwiseConv3d(nn.Conv3d):
    """`nn.Conv3d` with one group a channel; the same parameters and result, faster gradients on a CPU.

    Args:
        channels: of input and output.
        kernel_size: (t, h, w), odd.
        stride: (t, h, w).
        dilation: (t, h, w); padding keeps the size at stride 1.
        bias: whether to add one.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Triple,
        stride: Triple = (1, 1, 1),
        dilation: Triple = (1, 1, 1),
        bias: bool = True,
    ) -> None:
        padding = tuple(d * (k // 2) for d, k in zip(dilation, kernel_size, strict=True))
        super().__init__(
            channels, channels, kernel_size, stride, cast(Triple, padding), dilation, groups=channels, bias=bias
        )

    @property
    def fusible(self) -> bool:
        """Whether an activation may be fused to it: not where `depthwise` has a path of its own."""
        return not (self.weight.dtype == torch.bfloat16 and max(self.dilation) > 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, C, T', H', W')."""
        stride, padding, dilation = cast(tuple[Triple, Triple, Triple], (self.stride, self.padding, self.dilation))
        if frames_apart(x, self):
            return convolve_frames(x, self)
        if x.device.type != "cpu" or not x.is_contiguous(memory_format=torch.channels_last_3d):
            return super().forward(x)
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, weight = x.to(dtype), weight.to(dtype)
        if torch.is_grad_enabled() and stride[0] == 1 and dilation[0] == 1:
            y = cast(Tensor, _DepthwiseByTaps.apply(x, weight, stride, padding, dilation))  # type: ignore[no-untyped-call]
            return y if bias is None else y + bias.to(y.dtype).view(-1, 1, 1, 1)
        if x.dtype == torch.bfloat16 and max(dilation) > 1:
            y = depthwise(x, weight, stride, padding, dilation)
            return y if bias is None else y.add_(bias.to(y.dtype).view(-1, 1, 1, 1))
        return super().forward(x)
