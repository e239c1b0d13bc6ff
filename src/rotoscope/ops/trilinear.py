"""Reading a volume between its voxels, and the adjoint: the eight corners of a position as rows of a table.

The table holds one row of channels for each voxel (and offset group) and a last row of zeros; corners outside the
volume point to that row, so the volume is extended by zeros and a value that is not finite never leaks in from
elsewhere.

Two ways to the same sums. The plain one gathers corner by corner and runs on any device. The fast one, for a CPU, lets
the library's `embedding_bag` fetch, weigh and sum the eight rows while they are in registers; the adjoint, which adds
to rows, is turned into the same operation by sorting the corners by row (D2Conv3D, WACV 2022, section 3: the arithmetic
of a deformable convolution).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.ops.conv_geometry import Triple

_SMALL = 1 << 28  # tables up to this many rows are indexed with 32 bits


@dataclass(frozen=True)
class Corners:
    """Where M positions lie in a table of R + 1 rows.

    Attributes:
        rows: (8, M) int32 or int64, corner (z, y, x) at 4 z + 2 y + x, each 0 the floor and 1 the next; R is the row
            of zeros.
        weights: (8, M), the trilinear weights; NaN where the position is.
        fraction: (3, M), the position above its floor, in [0, 1).
    """

    rows: Tensor
    weights: Tensor
    fraction: Tensor


def voxel_table(x: Tensor, groups: int) -> Tensor:
    """(B, C, D, H, W) -> (B D H W groups + 1, C / groups): row ((b D + z) H + y) W + x) groups + group, then zeros."""
    voxels = x.shape[0] * x.shape[2:].numel() * groups
    table = x.new_empty(voxels + 1, x.shape[1] // groups)
    table[:voxels].view(x.shape[0], *x.shape[2:], x.shape[1]).copy_(x.permute(0, 2, 3, 4, 1))
    table[voxels] = 0
    return table


def from_table(table: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `voxel_table`: -> (B, C, D, H, W), channels-last in memory."""
    batch, channels, *size = shape
    x = torch.empty(shape, dtype=table.dtype, device=table.device, memory_format=torch.channels_last_3d)
    return x.copy_(table[:-1].view(batch, *size, channels).permute(0, 4, 1, 2, 3))


def corners(position: Tensor, size: Triple, first: int, group: Tensor, groups: int, zero: int) -> Corners:
    """The eight corners of each position.

    Args:
        position: (3, M) in voxels along time, rows, columns; any value, NaN and infinities too.
        size: (D, H, W) of the volume.
        first: the table's row of the volume's first voxel.
        group: (M,) int, the offset group of each position.
        groups: how many there are.
        zero: the table's row of zeros.
    """
    kind = torch.int32 if zero < _SMALL else torch.int64
    far = -(1 << 29) if kind == torch.int32 else -(1 << 60)  # three of them and a row are still negative
    strides = (size[1] * size[2] * groups, size[2] * groups, groups)
    low, fractions, sides = [], [], []
    for axis in range(3):
        held = position[axis].clamp(-2, size[axis] + 1)  # beyond, there is nothing either
        floor = held.floor()
        fraction = held - floor
        low.append(floor.nan_to_num(-2.0).to(kind))
        fractions.append(fraction)
        sides.append(torch.stack((1 - fraction, fraction)))  # (2, M)
    places = []
    for axis in range(3):
        both = torch.stack((low[axis], low[axis] + 1))  # (2, M)
        inside = (both >= 0) & (both < size[axis])
        places.append((both * strides[axis]).masked_fill_(~inside, far))
    places[2] = places[2] + (group.to(kind) + first)
    rows = places[0][:, None, None] + places[1][None, :, None] + places[2][None, None]  # (2, 2, 2, M)
    rows.masked_fill_(rows < 0, zero)
    weights = sides[0][:, None, None] * (sides[1][:, None] * sides[2][None])[None]  # (2, 2, 2, M)
    return Corners(rows.view(8, -1), weights.view(8, -1), torch.stack(fractions))


def gather(table: Tensor, rows: Tensor, weights: Tensor, fast: bool) -> Tensor:
    """Weighted sums of rows: (R + 1, C), (8, M), (8, M) -> (M, C)."""
    if fast:
        bags, scales = rows.t().contiguous(), weights.t().contiguous()  # (M, 8)
        return functional.embedding_bag(bags, table, mode="sum", per_sample_weights=scales)
    total = table.new_zeros(rows.shape[1], table.shape[1])
    for corner in range(8):
        total.addcmul_(table.index_select(0, rows[corner]), weights[corner, :, None])
    return total


def dots(table: Tensor, rows: Tensor, grad: Tensor, fast: bool) -> Tensor:
    """Products of each gradient with its eight rows: (R + 1, C), (8, M), (M, C) -> (8, M)."""
    if fast:
        count = rows.shape[1]
        flat = rows.t().reshape(-1)  # (8 M,)
        bag = torch.arange(count, dtype=rows.dtype, device=rows.device)
        found: Tensor = torch.ops.aten._embedding_bag_per_sample_weights_backward(
            grad, table, flat, bag * 8, bag.repeat_interleave(8), 0, -1
        )
        return found.view(count, 8).t().contiguous()
    return torch.stack([torch.einsum("mc,mc->m", table.index_select(0, rows[corner]), grad) for corner in range(8)])


def scatter(total: Tensor, rows: Tensor, weights: Tensor, grad: Tensor, fast: bool) -> None:
    """The adjoint of `gather`, added to `total`: (R + 1, C), (8, M), (8, M), (M, C); the last row is void."""
    if not fast:
        for corner in range(8):
            total.index_add_(0, rows[corner], grad * weights[corner, :, None])
        return
    count = rows.shape[1]
    ordered, source = rows.reshape(-1).sort()  # (8 M,)
    # what lies outside comes last and is left out
    used = int(torch.searchsorted(ordered, total.shape[0] - 1))
    ordered, source = ordered[:used], source[:used]
    if not used:
        return
    touched, counts = torch.unique_consecutive(ordered, return_counts=True)  # (U,)
    scales = weights.reshape(-1).index_select(0, source)
    parts = functional.embedding_bag(
        source.remainder(count), grad, counts.cumsum(0) - counts, mode="sum", per_sample_weights=scales
    )  # (U, C)
    total.index_copy_(0, touched.long(), parts.add_(total.index_select(0, touched)))


def slopes(products: Tensor, fraction: Tensor) -> tuple[Tensor, Tensor]:
    """What the eight products say of the value and of its slope, the right-hand one at whole positions.

    Args:
        products: (8, M), of `dots`.
        fraction: (3, M).

    Returns:
        (M,) gradient times value; (3, M) gradient times the derivative along time, rows, columns.
    """
    p = products.view(2, 2, 2, -1)
    z, y, x = fraction
    along_x, along_x_slope = torch.lerp(p[:, :, 0], p[:, :, 1], x), p[:, :, 1] - p[:, :, 0]  # (2, 2, M)
    along_y, slope_y = torch.lerp(along_x[:, 0], along_x[:, 1], y), along_x[:, 1] - along_x[:, 0]  # (2, M)
    slope_x = torch.lerp(along_x_slope[:, 0], along_x_slope[:, 1], y)  # (2, M)
    value = torch.lerp(along_y[0], along_y[1], z)
    of_y, of_x = torch.lerp(slope_y[0], slope_y[1], z), torch.lerp(slope_x[0], slope_x[1], z)
    return value, torch.stack((along_y[1] - along_y[0], of_y, of_x))
