"""Deformable 3D convolution: every kernel point of every output place reads where an offset sends it.

Papers: Dai et al., "Deformable Convolutional Networks" (ICCV 2017) and its second version with modulation (CVPR 2019);
in three dimensions as in Schmidt et al., "D2Conv3D" (WACV 2022), section 3.

y[n, o, p] = bias[o] + sum over c, q of weight[o, c, q] * modulation[n, g(c), q, p] * value(c, position(q, p))

Intended differences to the authors' CUDA operator: any device; the columns (27 times the input) exist for a chunk of
output places at a time and are computed again in backward, so memory is bounded; the output channels need not be
divisible by the offset groups; a result is of the type of the arguments where all are of half precision (theirs is
float32); offsets that are NaN give NaN (theirs read as zero, which hides them).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from rotoscope.ops.conv_geometry import Triple, grids, output_size, triple
from rotoscope.ops.products import times_transposed
from rotoscope.ops.threads import single_core_pool
from rotoscope.ops.trilinear import Corners, corners, dots, from_table, gather, scatter, slopes, voxel_table

Path = Literal["auto", "plain", "fast"]
Part = tuple[int, slice]  # a batch entry and some of its output places
_FORWARD_BYTES = 8 << 20  # of the columns of one chunk
_BACKWARD_BYTES = 24 << 20  # more, since each chunk adds to all gradients of the weights
_WIDER = 16  # times as much where it is not a cache that the columns should fit in


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
    in (but those of x). An empty batch gives an empty result. It can be differentiated once.

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
        path: "plain" gathers corner by corner; "fast" is for a CPU; "auto" takes the fast one there.
        chunk: output places at a time; 0 chooses.

    Returns:
        (N, O, D', H', W'), channels-last in memory, of the wider type of x and weight.

    Raises:
        ValueError: sizes that do not fit together.
    """
    geometry = (triple(stride), triple(padding), triple(dilation))
    _check(x, offset, weight, bias, modulation, geometry, groups, offset_groups)
    if path not in ("auto", "plain", "fast") or chunk < 0:
        raise ValueError(f"path {path!r} with chunk {chunk}; expected auto, plain or fast, and 0 or more")
    if path == "fast" and x.device.type != "cpu":
        raise ValueError(f"the fast path is for a CPU, x is on {x.device}; use auto")
    fast = path == "fast" or (path == "auto" and x.device.type == "cpu")
    return cast(
        Tensor, _forward(x, offset, weight, bias, modulation, *map(list, geometry), groups, offset_groups, fast, chunk)
    )


def _check(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    modulation: Tensor | None,
    geometry: tuple[Triple, Triple, Triple],
    groups: int,
    offset_groups: int,
) -> None:
    if x.dim() != 5 or weight.dim() != 5:
        raise ValueError(f"x is {tuple(x.shape)}, weight {tuple(weight.shape)}; expected five dimensions each")
    (batch, channels, *size), (out, per_group, *kernel) = x.shape, weight.shape
    if min(geometry[0]) < 1 or min(geometry[1]) < 0 or min(geometry[2]) < 1:
        raise ValueError(f"stride, padding, dilation are {geometry}; expected at least 1, 0, 1")
    if groups < 1 or offset_groups < 1 or channels % groups or out % groups or channels % offset_groups:
        raise ValueError(
            f"{channels} channels to {out} do not divide by groups {groups} and offset groups {offset_groups}"
        )
    if per_group != channels // groups:
        raise ValueError(f"weight takes {per_group} channels a group; x has {channels} in {groups} groups")
    points = kernel[0] * kernel[1] * kernel[2]
    target = output_size(size, kernel, *geometry)
    if min(target) < 1 or points < 1:
        raise ValueError(
            f"a kernel of {tuple(kernel)} does not fit a volume of {tuple(size)} with padding {geometry[1]}"
        )
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


@dataclass(frozen=True)
class _Plan:
    """All that forward and backward share, in the type of the sums.

    Attributes:
        table: (N D H W G + 1, C / G); see `voxel_table`.
        offset: (N, G, K, 3, P).
        modulation: (N, G, K, P) or None.
        base: (3, P), the place of the kernel's first point.
        point: (3, K), each point's distance from it.
        group: (chunk K G,), the offset group of each position.
        kernel: (g, O / g, K C / g), the weights in the order of the columns.
        size: (D, H, W).
        groups: g.
        offset_groups: G.
        fast: whether the CPU's path is taken.
        chunk: output places at a time.
    """

    table: Tensor
    offset: Tensor
    modulation: Tensor | None
    base: Tensor
    point: Tensor
    group: Tensor
    kernel: Tensor
    size: Triple
    groups: int
    offset_groups: int
    fast: bool
    chunk: int

    def chunks(self) -> list[tuple[int, slice]]:
        """(batch entry, output places) of every chunk."""
        batch, places = self.offset.shape[0], self.offset.shape[4]
        starts = range(0, places, self.chunk)
        return [(entry, slice(start, min(start + self.chunk, places))) for entry in range(batch) for start in starts]

    def corners(self, entry: int, places: slice) -> tuple[Corners, Tensor | None]:
        """Those of n places times K points times G groups, in that order, and the modulation (n K G,)."""
        moved = self.offset[entry, :, :, :, places].permute(2, 3, 1, 0)  # (3, n, K, G)
        position = moved + (self.base[:, places, None] + self.point[:, None, :])[..., None]
        voxels = self.size[0] * self.size[1] * self.size[2] * self.offset_groups
        group = self.group[: position[0].numel()]
        zero = self.table.shape[0] - 1
        found = corners(position.reshape(3, -1), self.size, entry * voxels, group, self.offset_groups, zero)
        if self.modulation is None:
            return found, None
        return found, self.modulation[entry, :, :, places].permute(2, 1, 0).reshape(-1)

    def grouped(self, columns: Tensor) -> Tensor:
        """(n K G, C / G) -> (g, n, K C / g)."""
        points = self.point.shape[1]
        places = columns.shape[0] // (points * self.offset_groups)
        if self.groups == 1:
            return columns.view(1, places, -1)
        split = columns.view(places, points, self.groups, -1)
        return split.permute(2, 0, 1, 3).reshape(self.groups, places, -1)

    def ungrouped(self, columns: Tensor) -> Tensor:
        """(g, n, K C / g) -> (n K G, C / G)."""
        width = self.table.shape[1]
        if self.groups == 1:
            return columns.reshape(-1, width)
        split = columns.view(self.groups, columns.shape[1], self.point.shape[1], -1)
        return split.permute(1, 2, 0, 3).reshape(-1, width)


def _plan(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    modulation: Tensor | None,
    geometry: tuple[list[int], list[int], list[int]],
    groups: int,
    offset_groups: int,
    fast: bool,
    chunk: int,
) -> _Plan:
    given = [x, offset, weight] + ([] if modulation is None else [modulation])
    kind = torch.float64 if any(t.dtype == torch.float64 for t in given) else torch.float32
    batch, points, places = x.shape[0], weight[0, 0].numel(), offset.shape[2:].numel()
    if chunk < 0:
        room = -chunk * (1 if x.device.type == "cpu" else _WIDER)
        chunk = max(16, room // (points * x.shape[1] * kind.itemsize))
    chunk = min(chunk, places)
    base, point = grids(offset.shape[2:], weight.shape[2:], *geometry, x.device)
    kernel = weight.to(kind).reshape(groups, weight.shape[0] // groups, weight.shape[1], points)  # (g, O / g, C / g, K)
    return _Plan(
        table=voxel_table(x.to(kind), offset_groups),
        offset=offset.to(kind).reshape(batch, offset_groups, points, 3, places),
        modulation=None if modulation is None else modulation.to(kind).reshape(batch, offset_groups, points, places),
        base=base.to(kind),
        point=point.to(kind),
        group=torch.arange(offset_groups, device=x.device).repeat(chunk * points),
        kernel=kernel.transpose(2, 3).reshape(groups, weight.shape[0] // groups, -1),
        size=cast(Triple, tuple(x.shape[2:])),
        groups=groups,
        offset_groups=offset_groups,
        fast=fast,
        chunk=chunk,
    )


def _shared_out(work: Sequence[Part], todo: Callable[[int, Part], None], device: torch.device) -> None:
    """Do `todo(worker, part)` for every part; on a CPU, each worker is a thread with one core.

    Which worker does what depends on the number of threads alone, so the same sums come out each time.
    """
    workers = max(1, min(torch.get_num_threads(), len(work))) if device.type == "cpu" else 1
    inference = torch.is_inference_mode_enabled()

    def share(worker: int) -> None:
        with torch.inference_mode(inference), torch.no_grad(), torch.autocast(device.type, enabled=False):
            for part in work[worker::workers]:
                todo(worker, part)

    if workers == 1:
        share(0)
        return
    for future in [single_core_pool(workers).submit(share, worker) for worker in range(workers)]:
        future.result()


@torch.library.custom_op("rotoscope::deform_conv3d", mutates_args=())
def _forward(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    modulation: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    offset_groups: int,
    fast: bool,
    chunk: int,
) -> Tensor:
    geometry = (stride, padding, dilation)
    plan = _plan(x, offset, weight, modulation, geometry, groups, offset_groups, fast, chunk or -_FORWARD_BYTES)
    result = _empty((x.shape[0], weight.shape[0], *offset.shape[2:]), plan.table)
    rows = result.permute(0, 2, 3, 4, 1).view(x.shape[0], -1 if x.shape[0] else 0, weight.shape[0])  # (N, P, O)

    def convolve(worker: int, part: Part) -> None:
        found, factors = plan.corners(*part)
        weights = found.weights if factors is None else found.weights * factors
        columns = plan.grouped(gather(plan.table, found.rows, weights, fast))  # (g, n, K C / g)
        if fast and groups == 1:
            rows[part] = times_transposed(columns[0], plan.kernel[0])
        else:
            rows[part] = torch.bmm(columns, plan.kernel.transpose(1, 2)).transpose(0, 1).flatten(1)

    _shared_out(plan.chunks(), convolve, x.device)
    if bias is not None:
        rows += bias.to(rows.dtype)
    return result.to(torch.promote_types(x.dtype, weight.dtype))


def _empty(shape: Sequence[int], like: Tensor, kind: torch.dtype | None = None) -> Tensor:
    """Memory for a (N, C, D, H, W) volume, channels-last."""
    kind = kind or like.dtype
    return torch.empty(shape, dtype=kind, device=like.device, memory_format=torch.channels_last_3d)


@_forward.register_fake
def _(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    modulation: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    offset_groups: int,
    fast: bool,
    chunk: int,
) -> Tensor:
    shape = (x.shape[0], weight.shape[0], *offset.shape[2:])
    return _empty(shape, x, torch.promote_types(x.dtype, weight.dtype))


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
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    offset_groups: int,
    fast: bool,
    chunk: int,
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, offset, weight, modulation; empty where `needs`, in that order, says no."""
    geometry = (stride, padding, dilation)
    plan = _plan(x, offset, weight, modulation, geometry, groups, offset_groups, fast, chunk or -_BACKWARD_BYTES)
    rows = (
        grad.to(plan.table.dtype)
        .permute(0, 2, 3, 4, 1)
        .reshape(grad.shape[0], plan.base.shape[1], *plan.kernel.shape[:2])
    )
    total = _Totals(plan, needs)
    _shared_out(plan.chunks(), lambda worker, part: total.add(worker, part, rows[part].transpose(0, 1)), x.device)
    return total.results(x, offset, weight, modulation)


@_backward.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    modulation: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    offset_groups: int,
    fast: bool,
    chunk: int,
    needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        _empty(x.shape, x) if needs[0] else x.new_empty(0),
        offset.new_empty(offset.shape) if needs[1] else x.new_empty(0),
        weight.new_empty(weight.shape) if needs[2] else x.new_empty(0),
        x.new_empty(0) if modulation is None or not needs[3] else modulation.new_empty(modulation.shape),
    )


class _Totals:
    """Gradients that grow chunk by chunk; None where not needed. Each worker has sums of its own."""

    def __init__(self, plan: _Plan, needs: Sequence[bool]) -> None:
        self.plan = plan
        self.wants_table, self.wants_kernel = needs[0], needs[2]
        self.tables: dict[int, Tensor] = {}
        self.kernels: dict[int, Tensor] = {}
        self.offset = plan.offset.new_empty(plan.offset.shape) if needs[1] else None
        self.modulation = (
            plan.offset.new_empty(plan.modulation.shape) if needs[3] and plan.modulation is not None else None
        )

    def add(self, worker: int, part: Part, grad: Tensor) -> None:
        """Add one chunk; `grad` is (g, n, O / g)."""
        plan = self.plan
        found, factors = plan.corners(*part)
        weights = found.weights if factors is None else found.weights * factors  # (8, n K G)
        if self.wants_kernel:
            self._add_kernel(worker, plan.grouped(gather(plan.table, found.rows, weights, plan.fast)), grad)
        if not self.wants_table and self.offset is None and self.modulation is None:
            return
        if plan.fast and plan.groups == 1:
            columns = times_transposed(grad[0], plan.kernel[0].t())
        else:
            columns = torch.bmm(grad, plan.kernel)  # (g, n, K C / g)
        columns = plan.ungrouped(columns)  # (n K G, C / G)
        if self.wants_table:
            if worker not in self.tables:
                self.tables[worker] = torch.zeros_like(plan.table)
            scatter(self.tables[worker], found.rows, weights, columns, plan.fast)
        if self.offset is not None or self.modulation is not None:
            self._set_moves(part, dots(plan.table, found.rows, columns, plan.fast), found.fraction, factors)

    def _add_kernel(self, worker: int, columns: Tensor, grad: Tensor) -> None:
        """(g, n, K C / g), (g, n, O / g)."""
        if self.plan.fast and self.plan.groups == 1:
            part = times_transposed(grad[0].t(), columns[0].t())[None]
        else:
            part = torch.bmm(grad.transpose(1, 2), columns)
        self.kernels[worker] = self.kernels[worker].add_(part) if worker in self.kernels else part

    def _set_moves(self, part: Part, products: Tensor, fraction: Tensor, factors: Tensor | None) -> None:
        """(8, n K G), (3, n K G), (n K G,) -> the gradients of modulation and offsets."""
        entry, places = part
        value, slope = slopes(products, fraction)
        shape = (-1, self.plan.point.shape[1], self.plan.offset_groups)
        if self.modulation is not None:
            self.modulation[entry, :, :, places] = value.view(shape).permute(2, 1, 0)
        if self.offset is not None:
            slope = slope if factors is None else slope * factors
            self.offset[entry, :, :, :, places] = slope.view(3, *shape).permute(3, 2, 0, 1)

    def results(
        self, x: Tensor, offset: Tensor, weight: Tensor, modulation: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The gradients in the shapes and types of the arguments; empty where not wanted."""
        plan, found = self.plan, [x.new_empty(0) for _ in range(4)]
        if self.wants_table:
            found[0] = from_table(_sum(self.tables, plan.table), x.shape).to(x.dtype)
        if self.offset is not None:
            found[1] = self.offset.view(offset.shape).to(offset.dtype)
        if self.wants_kernel:
            split = _sum(self.kernels, plan.kernel).view(*plan.kernel.shape[:2], plan.point.shape[1], weight.shape[1])
            found[2] = split.transpose(2, 3).reshape(weight.shape).to(weight.dtype).contiguous()
        if self.modulation is not None and modulation is not None:
            found[3] = self.modulation.view(modulation.shape).to(modulation.dtype)
        return found[0], found[1], found[2], found[3]


def _sum(parts: dict[int, Tensor], like: Tensor) -> Tensor:
    """The workers' sums, added in the order of the workers."""
    total = torch.zeros_like(like)
    for worker in sorted(parts):
        total += parts[worker]
    return total


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
