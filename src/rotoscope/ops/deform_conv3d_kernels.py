"""Triton kernels of the deformable 3D convolution; `deform_conv3d_triton` launches them.

The convolution is a product of two matrices, columns (output places by channels of one kernel point) and weights, of
which the columns are never written to memory: a program owns a tile of the result, and for each kernel point reads the
eight voxels about each position, 16 or more channels side by side (volumes are channels-last), weighs them in float32
and hands the tile to the tensor cores, whose sums are float32 too (D2Conv3D, WACV 2022, section 3, for the arithmetic;
the tiling is that of any implicit matrix product).

Names: a row is an output place of a batch entry, entry * places + place. A segment is a run of channels of one group of
the convolution that moves together. CHANNELS, INPUTS and OUTPUTS are the channels of x, those of a group and the
result's of a group; POINTS those of the kernel. NARROW is the type that factors of a product are rounded to, WIDE the
type in which they are multiplied: the same on a GPU; Triton's interpreter cannot multiply bfloat16.

Numbers that are not finite come out as on the plain path: a position that is NaN weighs zeros with NaN; corners inside
the volume are read even if their weight is 0, corners outside are zeros. Rows and places are 64-bit, so no size
overflows.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _low(position, size):
    """The voxel at or below a position along one axis, and the position above it in [0, 1), NaN if it is."""
    known = position == position
    held = tl.minimum(tl.maximum(tl.where(known, position, -2.0), -2.0), size + 1.0)  # beyond, there is nothing either
    floor = tl.floor(held)
    return floor.to(tl.int32), tl.where(known, held - floor, position)


@triton.jit
def _side(low, fraction, size, NEXT: tl.constexpr):
    """One of the two voxels about a position along one axis: where, whether inside, its weight, the weight's slope."""
    if NEXT:
        at = low + 1
        weight = fraction
    else:
        at = low
        weight = 1.0 - fraction
    return at, (at >= 0) & (at < size), weight


@triton.jit
def _positions(offset, base, point, entry, place, live, places, k, moved, POINTS: tl.constexpr, PARTS: tl.constexpr):
    """Where kernel point k of the offset group `moved` reads for each row: (BLOCK_M,) along time, rows, columns."""
    moves = offset + ((entry * PARTS + moved) * POINTS + k) * 3 * places + place
    z = tl.load(moves, mask=live, other=0.0).to(tl.float32)
    y = tl.load(moves + places, mask=live, other=0.0).to(tl.float32)
    x = tl.load(moves + 2 * places, mask=live, other=0.0).to(tl.float32)
    z += tl.load(base + place, mask=live, other=0.0) + tl.load(point + k)
    y += tl.load(base + places + place, mask=live, other=0.0) + tl.load(point + POINTS + k)
    x += tl.load(base + 2 * places + place, mask=live, other=0.0) + tl.load(point + 2 * POINTS + k)
    return z, y, x


@triton.jit
def _factors(modulation, entry, place, live, places, k, moved, POINTS: tl.constexpr, PARTS: tl.constexpr):
    """What kernel point k of the offset group `moved` counts for each row: (BLOCK_M,)."""
    at = modulation + ((entry * PARTS + moved) * POINTS + k) * places + place
    return tl.load(at, mask=live, other=0.0).to(tl.float32)


@triton.jit
def _column(
    volume, entry, live, z, y, x, factor, channel, inside_channels, depth, height, width,
    CHANNELS: tl.constexpr, EVEN: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """The values at the positions (z, y, x) times a factor: (BLOCK_M, BLOCK_C), the plain path's sum in its order."""
    low_z, part_z = _low(z, depth)
    low_y, part_y = _low(y, height)
    low_x, part_x = _low(x, width)
    total = tl.zeros([BLOCK_M, BLOCK_C], tl.float32)
    for corner in tl.static_range(8):
        at_z, in_z, of_z = _side(low_z, part_z, depth, corner // 4)
        at_y, in_y, of_y = _side(low_y, part_y, height, corner // 2 % 2)
        at_x, in_x, of_x = _side(low_x, part_x, width, corner % 2)
        voxel = ((entry * depth + at_z) * height + at_y) * width + at_x
        inside = (in_z & in_y & in_x & live)[:, None]
        if not EVEN:
            inside = inside & inside_channels[None, :]
        value = tl.load(volume + voxel[:, None] * CHANNELS + channel[None, :], mask=inside, other=0.0).to(tl.float32)
        total += value * (of_z * (of_y * of_x) * factor)[:, None]
    return total


@triton.jit(do_not_specialize=["rows", "places", "depth", "height", "width"])
def convolve(
    volume, offset, modulation, weight, bias, base, point, out,
    rows, places, depth, height, width,
    CHANNELS: tl.constexpr, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, POINTS: tl.constexpr,
    GROUPS: tl.constexpr, PARTS: tl.constexpr, SEGMENT: tl.constexpr, MODULATED: tl.constexpr, BIASED: tl.constexpr,
    NARROW: tl.constexpr, WIDE: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_O: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """The result: a tile of rows and output channels a program; grid (tiles of rows, groups x tiles of channels).

    Tensors, in contiguous memory, and sizes:
        volume: x, (N, D, H, W, C).
        offset: (N, G K 3, P).
        modulation: (N, G K, P); not read without MODULATED.
        weight: (g, K, C / g, O / g).
        bias: (O,); not read without BIASED.
        base: (3, P) float32, where the kernel's first point lies.
        point: (3, K) float32, each point's distance from it.
        out: (N P, O).
        rows: N P.
        places: P.
        depth: of the volume.
        height: of the volume.
        width: of the volume.
    """
    tiles: tl.constexpr = (OUTPUTS + BLOCK_O - 1) // BLOCK_O
    group = tl.program_id(1) // tiles
    output = tl.program_id(1) % tiles * BLOCK_O + tl.arange(0, BLOCK_O)
    row = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    live = row < rows
    entry = row // places
    place = row % places
    total = tl.zeros([BLOCK_M, BLOCK_O], tl.float32)
    for segment in range(INPUTS // SEGMENT):
        first = group * INPUTS + segment * SEGMENT
        moved = first // (CHANNELS // PARTS)
        for k in range(POINTS):
            z, y, x = _positions(offset, base, point, entry, place, live, places, k, moved, POINTS, PARTS)
            factor = tl.full([BLOCK_M], 1.0, tl.float32)
            if MODULATED:
                factor = _factors(modulation, entry, place, live, places, k, moved, POINTS, PARTS)
            for start in range(0, SEGMENT, BLOCK_C):
                channel = start + tl.arange(0, BLOCK_C)
                known = channel < SEGMENT
                column = _column(
                    volume, entry, live, z, y, x, factor, first + channel, known, depth, height, width,
                    CHANNELS, SEGMENT % BLOCK_C == 0, BLOCK_M, BLOCK_C,
                )  # fmt: skip
                at = ((group * POINTS + k) * INPUTS + segment * SEGMENT + channel)[:, None] * OUTPUTS + output[None, :]
                factors = tl.load(weight + at, mask=known[:, None] & (output < OUTPUTS)[None, :], other=0.0)
                total = tl.dot(column.to(NARROW).to(WIDE), factors.to(WIDE), total, input_precision=PRECISION)
    if BIASED:
        total += tl.load(bias + group * OUTPUTS + output, mask=output < OUTPUTS, other=0.0).to(tl.float32)[None, :]
    to = out + row[:, None] * (GROUPS * OUTPUTS) + (group * OUTPUTS + output)[None, :]
    tl.store(to, total.to(out.dtype.element_ty), mask=live[:, None] & (output < OUTPUTS)[None, :])


@triton.jit
def _column_gradient(
    grad, weight, row, live, group, k, within, known,
    INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, POINTS: tl.constexpr, GROUPS: tl.constexpr,
    NARROW: tl.constexpr, WIDE: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_O: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """The gradient of a tile of columns, (BLOCK_M, BLOCK_C): that of the result times the weights of kernel point k."""
    total = tl.zeros([BLOCK_M, BLOCK_C], tl.float32)
    for start in range(0, OUTPUTS, BLOCK_O):
        output = start + tl.arange(0, BLOCK_O)
        used = output < OUTPUTS
        of_row = grad + row[:, None] * (GROUPS * OUTPUTS) + (group * OUTPUTS + output)[None, :]
        ahead = tl.load(of_row, mask=live[:, None] & used[None, :], other=0.0)
        at = ((group * POINTS + k) * INPUTS + within)[None, :] * OUTPUTS + output[:, None]
        factors = tl.load(weight + at, mask=used[:, None] & known[None, :], other=0.0)
        total = tl.dot(ahead.to(NARROW).to(WIDE), factors.to(WIDE), total, input_precision=PRECISION)
    return total


@triton.jit(do_not_specialize=["rows", "places", "depth", "height", "width"])
def scatter(
    grad, volume, offset, modulation, weight, base, point, grad_x, grad_offset, grad_modulation,
    rows, places, depth, height, width,
    CHANNELS: tl.constexpr, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, POINTS: tl.constexpr,
    GROUPS: tl.constexpr, PARTS: tl.constexpr, SEGMENT: tl.constexpr, MODULATED: tl.constexpr,
    NEED_X: tl.constexpr, NEED_OFFSET: tl.constexpr, NEED_MODULATION: tl.constexpr,
    NARROW: tl.constexpr, WIDE: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_O: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Gradients of x, offsets and modulation: some rows and one kernel point of one offset group a program.

    Grid (tiles of rows, POINTS x PARTS). A program goes through all channels that move together, so that it alone
    writes its offsets and modulation; what it gives to x it adds with float32 atomics, whose order is not fixed.

    Tensors, in contiguous memory, and sizes:
        grad: (N P, O).
        volume: and the next six as in `convolve`.
        offset: likewise.
        modulation: likewise.
        weight: likewise.
        base: likewise.
        point: likewise.
        grad_x: (N, D, H, W, C) float32, zeros at first; added to with NEED_X.
        grad_offset: (N, G K 3, P), written with NEED_OFFSET.
        grad_modulation: (N, G K, P), written with NEED_MODULATION.
        rows: and the rest as in `convolve`.
        places: likewise.
        depth: likewise.
        height: likewise.
        width: likewise.
    """
    k = tl.program_id(1) % POINTS
    moved = tl.program_id(1) // POINTS
    row = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    live = row < rows
    entry = row // places
    place = row % places
    z, y, x = _positions(offset, base, point, entry, place, live, places, k, moved, POINTS, PARTS)
    low_z, part_z = _low(z, depth)
    low_y, part_y = _low(y, height)
    low_x, part_x = _low(x, width)
    factor = tl.full([BLOCK_M], 1.0, tl.float32)
    if MODULATED:
        factor = _factors(modulation, entry, place, live, places, k, moved, POINTS, PARTS)
    value = tl.zeros([BLOCK_M], tl.float32)
    slope_z = tl.zeros([BLOCK_M], tl.float32)
    slope_y = tl.zeros([BLOCK_M], tl.float32)
    slope_x = tl.zeros([BLOCK_M], tl.float32)
    for segment in range(CHANNELS // PARTS // SEGMENT):
        first = moved * (CHANNELS // PARTS) + segment * SEGMENT
        group = first // INPUTS
        for start in range(0, SEGMENT, BLOCK_C):
            channel = start + tl.arange(0, BLOCK_C)
            known = channel < SEGMENT
            column = _column_gradient(
                grad, weight, row, live, group, k, first - group * INPUTS + channel, known,
                INPUTS, OUTPUTS, POINTS, GROUPS, NARROW, WIDE, PRECISION, BLOCK_M, BLOCK_O, BLOCK_C,
            )  # fmt: skip
            for corner in tl.static_range(8):
                at_z, in_z, of_z = _side(low_z, part_z, depth, corner // 4)
                at_y, in_y, of_y = _side(low_y, part_y, height, corner // 2 % 2)
                at_x, in_x, of_x = _side(low_x, part_x, width, corner % 2)
                voxel = ((entry * depth + at_z) * height + at_y) * width + at_x
                inside = (in_z & in_y & in_x & live)[:, None]
                if SEGMENT % BLOCK_C != 0:
                    inside = inside & known[None, :]
                at = voxel[:, None] * CHANNELS + (first + channel)[None, :]
                if NEED_X:
                    given = column * (of_z * (of_y * of_x) * factor)[:, None]
                    tl.atomic_add(grad_x + at, given, mask=inside, sem="relaxed")
                if NEED_OFFSET or NEED_MODULATION:
                    read = tl.load(volume + at, mask=inside, other=0.0).to(tl.float32)
                    product = tl.sum(read * column, axis=1)
                    value += product * (of_z * (of_y * of_x))
                    slope_z += product * (of_y * of_x) * (1.0 if corner // 4 else -1.0)
                    slope_y += product * (of_z * of_x) * (1.0 if corner // 2 % 2 else -1.0)
                    slope_x += product * (of_z * of_y) * (1.0 if corner % 2 else -1.0)
    to = (entry * PARTS + moved) * POINTS + k
    if NEED_MODULATION:
        kind = grad_modulation.dtype.element_ty
        tl.store(grad_modulation + to * places + place, value.to(kind), mask=live)
    if NEED_OFFSET:
        kind = grad_offset.dtype.element_ty
        moves = grad_offset + to * 3 * places + place
        tl.store(moves, (slope_z * factor).to(kind), mask=live)
        tl.store(moves + places, (slope_y * factor).to(kind), mask=live)
        tl.store(moves + 2 * places, (slope_x * factor).to(kind), mask=live)


@triton.jit(do_not_specialize=["rows", "places", "depth", "height", "width", "share"])
def weigh(
    grad, volume, offset, modulation, base, point, partial,
    rows, places, depth, height, width, share,
    CHANNELS: tl.constexpr, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr, POINTS: tl.constexpr,
    GROUPS: tl.constexpr, PARTS: tl.constexpr, SEGMENT: tl.constexpr, MODULATED: tl.constexpr,
    NARROW: tl.constexpr, WIDE: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_O: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Partial gradients of the weights: a tile of channels by output channels, over a share of the rows, a program.

    Grid (segments x tiles of channels x tiles of output channels, POINTS, shares). The shares are added by the caller,
    so the same sums come out each time.

    Tensors, in contiguous memory, and sizes:
        grad: (N P, O).
        volume: and the next four as in `convolve`.
        offset: likewise.
        modulation: likewise.
        base: likewise.
        point: likewise.
        partial: (shares, g, K, C / g, O / g) float32, all of it written.
        rows: and the next four as in `convolve`.
        places: likewise.
        depth: likewise.
        height: likewise.
        width: likewise.
        share: rows of one program, a multiple of BLOCK_M.
    """
    wide: tl.constexpr = (OUTPUTS + BLOCK_O - 1) // BLOCK_O
    tall: tl.constexpr = (SEGMENT + BLOCK_C - 1) // BLOCK_C
    k = tl.program_id(1)
    output = tl.program_id(0) % wide * BLOCK_O + tl.arange(0, BLOCK_O)
    channel = tl.program_id(0) // wide % tall * BLOCK_C + tl.arange(0, BLOCK_C)
    first = tl.program_id(0) // (wide * tall) * SEGMENT
    group = first // INPUTS
    moved = first // (CHANNELS // PARTS)
    known, used = channel < SEGMENT, output < OUTPUTS
    begin = tl.program_id(2).to(tl.int64) * share
    total = tl.zeros([BLOCK_C, BLOCK_O], tl.float32)
    for step in range(0, share, BLOCK_M):
        row = begin + step + tl.arange(0, BLOCK_M)
        live = row < rows
        entry = row // places
        place = row % places
        z, y, x = _positions(offset, base, point, entry, place, live, places, k, moved, POINTS, PARTS)
        factor = tl.full([BLOCK_M], 1.0, tl.float32)
        if MODULATED:
            factor = _factors(modulation, entry, place, live, places, k, moved, POINTS, PARTS)
        column = _column(
            volume, entry, live, z, y, x, factor, first + channel, known, depth, height, width,
            CHANNELS, SEGMENT % BLOCK_C == 0, BLOCK_M, BLOCK_C,
        )  # fmt: skip
        of_row = grad + row[:, None] * (GROUPS * OUTPUTS) + (group * OUTPUTS + output)[None, :]
        ahead = tl.load(of_row, mask=live[:, None] & used[None, :], other=0.0)
        left = tl.trans(column.to(NARROW).to(WIDE))
        total = tl.dot(left, ahead.to(NARROW).to(WIDE), total, input_precision=PRECISION)
    at = (tl.program_id(2) * GROUPS + group).to(tl.int64) * POINTS + k
    at = (at * INPUTS + (first - group * INPUTS) + channel)[:, None] * OUTPUTS + output[None, :]
    tl.store(partial + at, total, mask=known[:, None] & used[None, :])
