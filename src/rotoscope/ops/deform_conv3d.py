"""Deformable 3D convolution: every kernel point of every output place reads where an offset sends it.

Papers: Dai et al., "Deformable Convolutional Networks" (ICCV 2017) and its second version with modulation (CVPR 2019);
in three dimensions as in Schmidt et al., "D2Conv3D" (WACV 2022), section 3.

y[n, o, p] = bias[o] + sum over c, q of weight[o, c, q] * modulation[n, g(c), q, p] * value(c, position(q, p))

Three ways to the same result: torch's own operations on any device ("plain") or quickened for a CPU ("fast"), both in
`deform_conv3d_chunks`, and Triton kernels for CUDA in `deform_conv3d_triton`. The plain one is the measure of both.

Intended differences to the authors' CUDA operator: any device; the columns (27 times the input) exist for a chunk of
output places at a time and are computed again in backward, so memory is bounded; the output channels need not be
divisible by the offset groups; a result is of the type of the arguments where all are of half precision (theirs is
float32); offsets that are NaN give NaN (theirs read as zero, which hides them).
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Literal, TypeVar, cast

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from rotoscope.ops import deform_conv3d_chunks as chunks
from rotoscope.ops.conv_geometry import Geometry, output_size, triple

Path = Literal["auto", "plain", "fast", "triton"]
_Result = TypeVar("_Result")
_OLDEST = (8, 0)  # compute capability that Triton's compiler still serves
_failures: list[str] = []  # why Triton is no longer tried in this process


def deform_conv3d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    modulation: Tensor | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    offset_groups: int = 1,
    path: Path = "auto",
    chunk: int = 0,
) -> Tensor:
    """Deformable convolution of a volume.

    Positions are in voxels of the input; values between voxels are trilinear, outside the volume they fade to zero over
    one voxel. The gradient of an offset at a whole position is the right-hand one. Positions any distance away, and
    infinite ones, read zero; a position that is NaN gives NaN in its output place and in the gradients it takes part
    in (but those of x). An empty batch gives an empty result. What passes the range of a float16 result is infinite.
    It can be differentiated once.

    Args:
        x: (N, C, D, H, W), float of any width; the sums are taken in float32, or in float64 if any argument is.
        offset: (N, 3 * offset_groups * K, D', H', W'); channel 3 (g K + q) + a moves kernel point q of group g along
            axis a: 0 time, 1 rows, 2 columns. K is the number of kernel points, q counts columns fastest.
        weight: (O, C / groups, kd, kh, kw).
        bias: (O,).
        modulation: (N, offset_groups * K, D', H', W'), a factor for each kernel point; None for ones.
        stride: of the convolution, (time, rows, columns) or one for all.
        padding: likewise.
        dilation: likewise.
        groups: of the convolution.
        offset_groups: input channel c is read at the offsets of group c // (C / offset_groups).
        path: "plain" gathers corner by corner; "fast" is for a CPU; "triton" for CUDA, sums in float32. "auto" takes
            the fast one on a CPU and Triton on CUDA where it is installed, no argument is float64 and the kernels
            compile (else it warns once); for deterministic gradients of x, the plain one.
        chunk: output places at a time; 0 chooses. Triton keeps no columns and goes by its own tiles.

    Returns:
        (N, O, D', H', W'), channels-last in memory, of the wider type of x and weight.

    Raises:
        ValueError: sizes that do not fit together.
    """
    geometry = Geometry(triple(stride), triple(padding), triple(dilation), groups, offset_groups)
    _check(x, offset, weight, bias, modulation, geometry)
    _check_path(path, chunk, x, chunks.sum_type(x, offset, weight, modulation))
    return cast(Tensor, _forward(x, offset, weight, bias, modulation, geometry.flat(), path, chunk))


def _check(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    modulation: Tensor | None,
    geometry: Geometry,
) -> None:
    if x.dim() != 5 or weight.dim() != 5:
        raise ValueError(f"x is {tuple(x.shape)}, weight {tuple(weight.shape)}; expected five dimensions each")
    (batch, channels, *size), (out, per_group, *kernel) = x.shape, weight.shape
    stride, padding, dilation, groups, offset_groups = geometry
    if min(stride) < 1 or min(padding) < 0 or min(dilation) < 1:
        raise ValueError(f"stride, padding, dilation are {geometry[:3]}; expected at least 1, 0, 1")
    if channels < 1 or out < 1:
        raise ValueError(f"found {channels} channels to {out}; expected at least one each")
    if groups < 1 or offset_groups < 1 or channels % groups or out % groups or channels % offset_groups:
        raise ValueError(
            f"{channels} channels to {out} do not divide by groups {groups} and offset groups {offset_groups}"
        )
    if per_group != channels // groups:
        raise ValueError(f"weight takes {per_group} channels a group; x has {channels} in {groups} groups")
    points = kernel[0] * kernel[1] * kernel[2]
    target = output_size(size, kernel, stride, padding, dilation)
    if min(target) < 1 or points < 1:
        raise ValueError(f"a kernel of {tuple(kernel)} does not fit a volume of {tuple(size)} with padding {padding}")
    _expect("offset", offset, (batch, 3 * offset_groups * points, *target))
    if modulation is not None:
        _expect("modulation", modulation, (batch, offset_groups * points, *target))
    if bias is not None:
        _expect("bias", bias, (out,))
    for name, given in (("x", x), ("offset", offset), ("weight", weight), ("bias", bias), ("modulation", modulation)):
        if given is not None and (not given.is_floating_point() or given.device != x.device):
            raise ValueError(f"{name} is {given.dtype} on {given.device}; expected floats on {x.device}")


def _expect(name: str, found: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(found.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(found.shape)}; expected {shape}")


def _check_path(path: str, chunk: int, x: Tensor, kind: torch.dtype) -> None:
    if path not in ("auto", "plain", "fast", "triton") or chunk < 0:
        raise ValueError(f"path {path!r} with chunk {chunk}; expected auto, plain, fast or triton, and 0 or more")
    if path == "fast" and x.device.type != "cpu":
        raise ValueError(f"the fast path is for a CPU, x is on {x.device}; use auto")
    if path == "triton" and (kind != torch.float32 or importlib.util.find_spec("triton") is None):
        raise ValueError("the triton path needs Triton installed and no argument of float64; use auto")


def _serves(path: str, x: Tensor, kind: torch.dtype) -> bool:
    """Whether Triton's kernels are to be used."""
    if x.numel() == 0 or path not in ("auto", "triton"):
        return False
    if path == "triton":
        return True
    return (
        x.device.type == "cuda"
        and torch.version.hip is None
        and kind == torch.float32
        and not _failures
        and importlib.util.find_spec("triton") is not None
        and torch.cuda.get_device_capability(x.device) >= _OLDEST
    )


def _by_triton(path: str, kernels: Callable[[ModuleType], _Result], plain: Callable[[], _Result]) -> _Result:
    """The kernels' result; where they were not asked for by name and do not compile here, a warning and the plain one.

    Compilers fail for many reasons that are not the kernels' (no C compiler for the launcher, a card newer than
    Triton), so any error counts but want of memory.
    """
    try:
        from rotoscope.ops import deform_conv3d_triton

        return kernels(deform_conv3d_triton)
    except torch.cuda.OutOfMemoryError:
        raise
    except Exception as error:
        if path == "triton":
            raise
        _failures.append(f"{type(error).__name__}: {error}")
        warnings.warn(
            f"Triton's kernels of the deformable convolution do not run here ({_failures[-1]}); the plain path takes "
            "over, which is slower",
            RuntimeWarning,
            stacklevel=2,
        )
        return plain()


@torch.library.custom_op("rotoscope::deform_conv3d", mutates_args=())
def _forward(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    modulation: Tensor | None,
    geometry: list[int],
    path: str,
    chunk: int,
) -> Tensor:
    given = (x, offset, weight, bias, modulation, Geometry.of(geometry))

    def plain() -> Tensor:
        return chunks.convolved(*given, fast=_fast(path, x), chunk=chunk)

    if not _serves(path, x, chunks.sum_type(x, offset, weight, modulation)):
        return plain()
    return _by_triton(path, lambda kernels: cast(Tensor, kernels.convolved(*given)), plain)


def _fast(path: str, x: Tensor) -> bool:
    return path == "fast" or (path == "auto" and x.device.type == "cpu")


@_forward.register_fake
def _(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    modulation: Tensor | None,
    geometry: list[int],
    path: str,
    chunk: int,
) -> Tensor:
    shape = (x.shape[0], weight.shape[0], *offset.shape[2:])
    return chunks.channels_last(shape, x, torch.promote_types(x.dtype, weight.dtype))


@register_flop_formula(torch.ops.rotoscope.deform_conv3d)
def _flops(
    x: torch.Size, offset: torch.Size, weight: torch.Size, *_: object, out_shape: torch.Size, **__: object
) -> int:
    """Twice the multiply-adds of the products and of the eight corners of every value read."""
    places = out_shape[0] * out_shape[2:].numel()
    return 2 * places * weight[2:].numel() * (weight[0] * weight[1] + 8 * x[1])


@torch.library.custom_op("rotoscope::deform_conv3d_backward", mutates_args=())
def _backward(
    grad: Tensor,
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    modulation: Tensor | None,
    geometry: list[int],
    path: str,
    chunk: int,
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, offset, weight, modulation; empty where `needs`, in that order, says no."""
    given = (grad, x, offset, weight, modulation, Geometry.of(geometry), needs)

    def plain() -> chunks.Gradients:
        return chunks.gradients(*given, fast=_fast(path, x), chunk=chunk)

    ordered = path == "auto" and needs[0] and torch.are_deterministic_algorithms_enabled()
    if ordered or not _serves(path, x, chunks.sum_type(x, offset, weight, modulation)):
        return plain()
    return _by_triton(path, lambda kernels: cast(chunks.Gradients, kernels.gradients(*given)), plain)


@_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    modulation: Tensor | None,
    geometry: list[int],
    path: str,
    chunk: int,
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        chunks.channels_last(x.shape, x, x.dtype) if needs[0] else x.new_empty(0),
        offset.new_empty(offset.shape) if needs[1] else x.new_empty(0),
        weight.new_empty(weight.shape) if needs[2] else x.new_empty(0),
        x.new_empty(0) if modulation is None or not needs[3] else modulation.new_empty(modulation.shape),
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, offset, weight, bias, modulation, *ctx.settings = inputs
    ctx.save_for_backward(x, offset, weight, modulation)
    ctx.bias = None if bias is None else bias.dtype


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, offset, weight, modulation = ctx.saved_tensors
    wanted = ctx.needs_input_grad
    needs = [wanted[0], wanted[1], wanted[2], wanted[4] and modulation is not None]
    found: Sequence[Tensor] = _backward(grad, x, offset, weight, modulation, *ctx.settings, needs)
    of_x, of_offset, of_weight, of_modulation = (g if need else None for g, need in zip(found, needs, strict=True))
    of_bias = grad.sum((0, 2, 3, 4)).to(ctx.bias) if wanted[3] and ctx.bias is not None else None
    return (of_x, of_offset, of_weight, of_bias, of_modulation, *(None for _ in ctx.settings))


_forward.register_autograd(_differentiate, setup_context=_keep)
