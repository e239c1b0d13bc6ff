"""3D convolutions that do not mix time, trained as 2D ones over frames: the same sums, several times as fast on a CPU.

A kernel of one tap in time sees each frame by itself, and so does any kernel on a clip of one frame, of which only the
middle tap meets something that is not padding. In channels-last memory the frames of a clip are channels-last pictures
already, so that nothing is copied. Forward, bias and activation are part of the convolution; backward, 1x1 kernels are
matrix products, and dilated depth-wise ones go by the four phases of the grid. torch would take its plain 3D code for
many of these on one thread (benchmarks/bench_training_step.py).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.ops.conv_swap import on_the_same, swap

Activation = Literal["none", "relu", "relu6"]
Pair = tuple[int, ...]
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # the phases of a grid taken two by two
_FUSED: dict[str, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}


class Geometry(NamedTuple):
    """Of a 2D convolution.

    Attributes:
        stride, padding, dilation: (rows, columns).
        groups: of channels.
    """

    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int


class FrameConv3d(nn.Conv3d):
    """`nn.Conv3d` that trains frame by frame where it may; parameters, their names and the result are the same."""

    fusible = True  # by `fused.convolve`

    @classmethod
    def replace_in(cls, network: nn.Module) -> int:
        """Replace every plain `nn.Conv3d` inside `network` whose frames may be apart, in place.

        Returns:
            How many were replaced.
        """
        return swap(network, nn.Conv3d, keeps_frames, lambda conv: on_the_same(conv, cls))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, K, T, H', W')."""
        return convolve_frames(x, self) if frames_apart(x, self) else super().forward(x)


def keeps_frames(conv: nn.Conv3d) -> bool:
    """Whether a convolution keeps the number of frames and reads as many before a frame as after it."""
    taps = conv.kernel_size[0]
    return (
        taps % 2 == 1
        and conv.stride[0] == 1
        and conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and conv.padding[0] == conv.dilation[0] * (taps // 2)
    )


def frames_apart(x: Tensor, conv: nn.Conv3d) -> bool:
    """Whether `convolve_frames` may take a clip: its frames do not meet in `conv`, and a CPU trains in float32."""
    return (
        (x.shape[2] == 1 or conv.kernel_size[0] == 1)
        and torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype == conv.weight.dtype == torch.float32
        and x.is_contiguous(memory_format=torch.channels_last_3d)
        and x.numel() > 0
        and keeps_frames(conv)
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )


def convolve_frames(x: Tensor, conv: nn.Conv3d, activation: Activation = "none") -> Tensor:
    """Convolve and activate: (B, C, T, H, W) -> (B, K, T, H', W'), channels-last.

    Args:
        x: one that `frames_apart` takes.
        conv: its weight, bias and geometry are used.
        activation: max(0, y), or that and at most 6, or neither.
    """
    tap = conv.weight[:, :, conv.kernel_size[0] // 2]  # (K, C / groups, kh, kw)
    padding = cast(tuple[int, ...], conv.padding)[1:]
    geometry = Geometry(conv.stride[1:], padding, conv.dilation[1:], conv.groups)
    return cast(Tensor, _FrameConvolution.apply(x, tap, conv.bias, geometry, activation))  # type: ignore[no-untyped-call]


class _FrameConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, tap: Tensor, bias: Tensor | None, geometry: Geometry, activation: Activation
    ) -> Tensor:
        stride, padding, dilation, groups = geometry
        name, bounds = _FUSED[activation]
        y = torch.ops.mkldnn._convolution_pointwise(
            _frames(x), tap, bias, padding, stride, dilation, groups, name, bounds, ""
        )
        # On the same memory, but no view: whoever adds to it in place need not know of the frames.
        clip = _clips(y, x.shape[0])
        out = y.new_empty(0).set_(y.untyped_storage(), 0, clip.shape, clip.stride())
        ctx.save_for_backward(x, tap, None if activation == "none" else out)
        ctx.geometry, ctx.activation, ctx.biased = geometry, activation, bias is not None
        return cast(Tensor, out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None, None]:
        x, tap, out = ctx.saved_tensors
        grads = _frames(grad.contiguous(memory_format=torch.channels_last_3d))  # (B T, K, H', W')
        if out is not None:
            highest = 6.0 if ctx.activation == "relu6" else float("inf")
            grads = torch.ops.aten.hardtanh_backward(grads, _frames(out), 0.0, highest)
        grad_x, grad_tap = picture_gradients(grads, _frames(x), tap, ctx.geometry, ctx.needs_input_grad[0])
        grad_bias = grads.sum(dim=(0, 2, 3)) if ctx.biased else None
        return None if grad_x is None else _clips(grad_x, x.shape[0]), grad_tap, grad_bias, None, None


def _frames(x: Tensor) -> Tensor:
    """(B, C, T, H, W) -> (B T, C, H, W), a view of channels-last memory."""
    return x.transpose(1, 2).flatten(0, 1)


def _clips(frames: Tensor, batch: int) -> Tensor:
    """(B T, C, H, W) -> (B, C, T, H, W), a view: the way back of `_frames`."""
    return frames.view(batch, -1, *frames.shape[1:]).transpose(1, 2)


def picture_gradients(
    grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry, wants_x: bool = True
) -> tuple[Tensor | None, Tensor]:
    """Gradients of a 2D convolution of channels-last pictures.

    Args:
        grad: (N, K, H', W') of the output.
        x: (N, C, H, W), the input.
        weight: (K, C / groups, kh, kw).
        geometry: of the convolution.
        wants_x: whether the input's gradient is needed.

    Returns:
        Gradients of the input, or None, and of the weight.
    """
    stride, padding, dilation, groups = geometry
    if weight.shape[2:] == (1, 1) and groups == 1 and stride == (1, 1) and padding == (0, 0):
        rows, given = _rows(grad), _rows(x)  # (N H W, K), (N H W, C)
        matrix = weight.flatten(1)  # (K, C)
        grad_weight = torch.mm(rows.t(), given)[:, :, None, None]
        if not wants_x:
            return None, grad_weight
        grad_x = torch.mm(rows, matrix).view(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2)
        return grad_x, grad_weight
    if dilation == (2, 2) and stride == (1, 1) and padding == (2, 2) and weight.shape[2:] == (3, 3):
        return _phase_gradients(grad, x, weight, groups)
    grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, dilation, False, [0, 0], groups, [wants_x, True, False]
    )
    return grad_x, grad_weight


def _rows(pictures: Tensor) -> Tensor:
    """(N, C, H, W) -> (N H W, C), a view of channels-last memory."""
    return pictures.permute(0, 2, 3, 1).flatten(0, 2)


def _phase_gradients(grad: Tensor, x: Tensor, weight: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Those of a 3x3 kernel of dilation 2: one plain convolution over the four phases of the grid."""
    number, _, height, width = x.shape

    def phases(t: Tensor) -> Tensor:
        even = functional.pad(t, (0, width % 2, 0, height % 2))
        parts = torch.cat([even[:, :, i::2, j::2] for i, j in CORNERS])
        return parts.contiguous(memory_format=torch.channels_last)

    part_x, grad_weight = picture_gradients(phases(grad), phases(x), weight, Geometry((1, 1), (1, 1), (1, 1), groups))
    assert part_x is not None
    grad_x = torch.empty_like(functional.pad(x, (0, width % 2, 0, height % 2)))
    for corner, (i, j) in enumerate(CORNERS):
        grad_x[:, :, i::2, j::2] = part_x[corner * number : (corner + 1) * number]
    return grad_x[:, :, :height, :width], grad_weight
