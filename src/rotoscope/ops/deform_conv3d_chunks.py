"""Deformable 3D convolution in torch's own operations: the columns of some output places at a time.

The columns (every kernel point of every channel, 27 times the input) exist for a chunk of output places, are multiplied
by the weights and forgotten; backward forms them again. Two ways to read them, see `trilinear`: the plain one runs on
any device, the fast one on a CPU. `deform_conv3d` is what is called from elsewhere (D2Conv3D, WACV 2022, section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from rotoscope.ops.conv_geometry import Geometry, Triple, grids
from rotoscope.ops.products import times_transposed
from rotoscope.ops.threads import single_core_pool
from rotoscope.ops.trilinear import Corners, corners, dots, from_table, gather, scatter, slopes, voxel_table

Part = tuple[int, slice]  # a batch entry and some of its output places
Gradients = tuple[Tensor, Tensor, Tensor, Tensor]  # of x, offset, weight, modulation
_FORWARD_BYTES = 8 << 20  # of the columns of one chunk
_BACKWARD_BYTES = 24 << 20  # more, since each chunk adds to all gradients of the weights
_WIDER = 16  # times as much where it is not a cache that the columns should fit in


def convolved(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    modulation: Tensor | None,
    geometry: Geometry,
    fast: bool,
    chunk: int = 0,
) -> Tensor:
    """The deformable convolution; arguments, shapes and result as in `deform_conv3d`, which checks them.

    Args:
        x: (N, C, D, H, W).
        offset: (N, 3 G K, D', H', W').
        weight: (O, C / g, kd, kh, kw).
        bias: (O,) or None.
        modulation: (N, G K, D', H', W') or None.
        geometry: of the convolution.
        fast: whether to take the CPU's way.
        chunk: output places at a time; 0 chooses.
    """
    plan = _plan(x, offset, weight, modulation, geometry, fast, chunk or -_FORWARD_BYTES)
    result = channels_last((x.shape[0], weight.shape[0], *offset.shape[2:]), plan.table, plan.table.dtype)
    rows = result.permute(0, 2, 3, 4, 1).view(x.shape[0], -1 if x.shape[0] else 0, weight.shape[0])  # (N, P, O)

    def convolve(worker: int, part: Part) -> None:
        found, factors = plan.corners(*part)
        weights = found.weights if factors is None else found.weights * factors
        columns = plan.grouped(gather(plan.table, found.rows, weights, fast))  # (g, n, K C / g)
        if fast and plan.groups == 1:
            rows[part] = times_transposed(columns[0], plan.kernel[0])
        else:
            rows[part] = torch.bmm(columns, plan.kernel.transpose(1, 2)).transpose(0, 1).flatten(1)

    _shared_out(plan.chunks(), convolve, x.device)
    if bias is not None:
        rows += bias.to(rows.dtype)
    return result.to(torch.promote_types(x.dtype, weight.dtype))


def gradients(
    grad: Tensor,
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    modulation: Tensor | None,
    geometry: Geometry,
    needs: Sequence[bool],
    fast: bool,
    chunk: int = 0,
) -> Gradients:
    """Gradients of x, offset, weight, modulation; empty where `needs`, in that order, says no.

    Args:
        grad: (N, O, D', H', W'), the gradient of the result.
        x: and the next three as in `convolved`.
        offset: likewise.
        weight: likewise.
        modulation: likewise.
        geometry: of the convolution.
        needs: four.
        fast: whether to take the CPU's way.
        chunk: output places at a time; 0 chooses.
    """
    plan = _plan(x, offset, weight, modulation, geometry, fast, chunk or -_BACKWARD_BYTES)
    rows = (
        grad.to(plan.table.dtype)
        .permute(0, 2, 3, 4, 1)
        .reshape(grad.shape[0], plan.base.shape[1], *plan.kernel.shape[:2])
    )
    total = _Totals(plan, needs)
    _shared_out(plan.chunks(), lambda worker, part: total.add(worker, part, rows[part].transpose(0, 1)), x.device)
    return total.results(x, offset, weight, modulation)


def sum_type(x: Tensor, offset: Tensor, weight: Tensor, modulation: Tensor | None) -> torch.dtype:
    """The type that sums are taken in: float32, or float64 if any argument is."""
    given = (x, offset, weight, modulation)
    return torch.float64 if any(t is not None and t.dtype == torch.float64 for t in given) else torch.float32


def channels_last(shape: Sequence[int], like: Tensor, kind: torch.dtype) -> Tensor:
    """Memory for a (N, C, D, H, W) volume on the device of `like`, channels-last."""
    return torch.empty(shape, dtype=kind, device=like.device, memory_format=torch.channels_last_3d)


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
    geometry: Geometry,
    fast: bool,
    chunk: int,
) -> _Plan:
    kind, groups, offset_groups = sum_type(x, offset, weight, modulation), geometry.groups, geometry.offset_groups
    batch, points, places = x.shape[0], weight[0, 0].numel(), offset.shape[2:].numel()
    if chunk < 0:
        room = -chunk * (1 if x.device.type == "cpu" else _WIDER)
        chunk = max(16, room // (points * x.shape[1] * kind.itemsize))
    chunk = min(chunk, places)
    base, point = grids(offset.shape[2:], weight.shape[2:], *geometry[:3], x.device)
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

    def results(self, x: Tensor, offset: Tensor, weight: Tensor, modulation: Tensor | None) -> Gradients:
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
