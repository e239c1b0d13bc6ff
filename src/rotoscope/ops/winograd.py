"""Full 3x3x3 convolutions with a quarter of the multiplications: Winograd's minimal filtering in plain torch.

Theory: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016). A 4x4 tile of outputs of a 3x3
filter hangs on 6x6 inputs and comes from 36 products instead of 144: Y = A' [(G w G') * (B' d B)] A. Summed over
channels these are 36 matrix products, one for each entry of the 6x6 tile. The three taps in time stay as they are: the
transformed tiles of a frame are multiplied with three matrices, so that the transforms, which cost about a seventh of
the whole, are paid once a frame.

The matrices belong to the interpolation points 0, +-5/8, +-3/2 and infinity. Products of these are exact in binary, and
their balance around 1 keeps rounding down (see `WinogradConv3d` for figures).

Blocks of tiles, small enough for the caches, are shared out to threads that each work alone: a hundred small parallel
regions, each with its barrier, would stand still whenever another program holds one of the cores.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self, TypeVar

import torch
from torch import Tensor, nn

from rotoscope.ops.conv_swap import on_the_same, swap
from rotoscope.ops.products import times_transposed
from rotoscope.ops.threads import single_core_pool

Item = TypeVar("Item")

NEAR, FAR = 5 / 8, 3 / 2  # the interpolation points are 0, +-NEAR, +-FAR and infinity
SIDE = 4  # outputs of a tile along height and along width
REACH = SIDE + 2  # inputs it hangs on
POINTS = REACH * REACH

MIN_CHANNELS = 64  # below, the transforms cost more than they save
MAX_MATRICES = 64 << 20  # bytes of transformed weights; a coarse map with more channels is not worth them
TILES_IN_CACHE = 512  # tiles of 256 channels that all threads together hold at a time
FEWEST_TILES = 32  # a block may always have as many, or the matrix products get slow
WEIGHT_SLICE = 32  # output channels whose weights are transformed at a time

# Measured costs in units of one tile's share of the matrix products (two AVX-512 cores, 256 channels).
DIRECT_COST = 2.5  # sixteen outputs by direct convolution
BLOCK_COST = 43.0  # start of a block
WEIGHT_COST = 28.0  # transform of the weights
MIN_GAIN = 1.2  # smaller expected gains are left alone


# A call takes one flat buffer out and puts it back, so that calls at the same time never share one and the next call
# does not pay for fresh pages.
_idle: deque[Tensor] = deque()


@dataclass(frozen=True)
class Blocks:
    """How a map is cut into blocks of tiles, each over all frames of one batch entry.

    Attributes:
        frames: T.
        tile_rows: tiles along the height of the map.
        tile_columns: tiles along its width.
        rows: tiles along the height of a block.
        columns: tiles along the width of a block.
        workers: threads to share the blocks.
    """

    frames: int
    tile_rows: int
    tile_columns: int
    rows: int
    columns: int
    workers: int

    @property
    def count(self) -> int:
        """Blocks of one batch entry."""
        return -(-self.tile_rows // self.rows) * -(-self.tile_columns // self.columns)

    @property
    def cost(self) -> float:
        """Time of one batch entry in tiles, when the blocks are shared out."""
        return -(-self.count // self.workers) * (self.frames * self.rows * self.columns + BLOCK_COST)

    def corners(self) -> list[tuple[int, int]]:
        """(first tile row, first tile column) of every block."""
        down, across = range(0, self.tile_rows, self.rows), range(0, self.tile_columns, self.columns)
        return [(row, column) for row in down for column in across]

    def buffer_length(self, inputs: int, outputs: int) -> tuple[int, int]:
        """Floats of the two scratch regions a worker needs: transformed tiles; everything else."""
        tiles = self.frames * self.rows * self.columns
        height, width = SIDE * self.rows + 2, SIDE * self.columns + 2
        padded = self.frames * width * (height + REACH * self.rows)
        region = max(POINTS * tiles * inputs, (SIDE + 1) * REACH * tiles * outputs)
        other = max((padded + REACH * tiles) * inputs, POINTS * tiles * outputs, 9 * REACH * WEIGHT_SLICE * inputs)
        return region, other


@lru_cache(maxsize=256)
def cut(frames: int, height: int, width: int, channels: int, workers: int) -> Blocks:
    """The cut of a (frames, height, width) map that takes the least time, with every block inside the caches.

    Args:
        frames: T.
        height: H.
        width: W.
        channels: the larger of channels in and out.
        workers: threads.
    """
    down, across = -(-height // SIDE), -(-width // SIDE)
    limit = max(FEWEST_TILES, TILES_IN_CACHE * 256 // (max(channels, 256) * workers))
    cuts = [
        Blocks(frames, down, across, rows, columns, workers)
        for rows in {-(-down // parts) for parts in range(1, down + 1)}
        for columns in {-(-across // parts) for parts in range(1, across + 1)}
        if frames * rows * columns <= limit or rows == columns == 1
    ]
    return min(cuts, key=lambda blocks: (blocks.cost, -blocks.columns))


def winograd_conv3d(x: Tensor, weight: Tensor, bias: Tensor | None = None, workers: int | None = None) -> Tensor:
    """3x3x3 convolution, stride 1, zero padding 1, with Winograd's F(4x4, 3x3) in space; not differentiable.

    Args:
        x: (B, C, T, H, W) float32 on the CPU, any size but none; fastest in channels-last memory.
        weight: (K, C, 3, 3, 3) float32; fastest in channels-last memory.
        bias: (K,) float32 or None.
        workers: threads to use; torch's number of threads where None.

    Returns:
        (B, K, T, H, W) in channels-last memory.

    Raises:
        ValueError: a weight that is not 3x3x3 or of another number of channels than `x`.
    """
    if weight.shape[1:] != (x.shape[1], 3, 3, 3):
        raise ValueError(f"weight is {tuple(weight.shape)}; expected (K, {x.shape[1]}, 3, 3, 3) for x {tuple(x.shape)}")
    return convolved(x, weight, bias, workers)


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None, workers: int | None) -> Tensor:
    """The same for a weight (K, C, 3, 3, 3), or (K, C, 1, 3, 3), which takes each frame by itself."""
    batch, inputs, frames, height, width = x.shape
    outputs, taps = weight.shape[0], weight.shape[2]
    workers = workers or torch.get_num_threads()
    y = torch.empty((batch, outputs, frames, height, width), memory_format=torch.channels_last_3d)
    blocks = cut(frames, height, width, max(inputs, outputs), workers)
    lengths = blocks.buffer_length(inputs, outputs)
    matrices_length = POINTS * taps * outputs * inputs
    buffer = _take(matrices_length + workers * sum(lengths))
    matrices = buffer[:matrices_length].view(REACH, REACH, taps, outputs, inputs)
    scratch = [
        Scratch(*_carve(buffer[matrices_length + worker * sum(lengths) :], (lengths[0],), (lengths[1],)))
        for worker in range(workers)
    ]

    def slice_of_weights(own: Scratch, first: int) -> None:
        part = slice(first, first + WEIGHT_SLICE)
        _transform_weight(weight[part], matrices[..., part, :], own.other)

    def block_of_tiles(own: Scratch, place: tuple[int, int, int]) -> None:
        entry, row, column = place
        source, target = x[entry].permute(1, 2, 3, 0), y[entry].permute(1, 2, 3, 0)  # (T, H, W, C), (T, H, W, K)
        rows, columns = min(blocks.rows, blocks.tile_rows - row), min(blocks.columns, blocks.tile_columns - column)
        tiles = (frames, rows, columns)
        transformed = _read_block(source, SIDE * row - 1, SIDE * column - 1, tiles, own)
        products = _multiply(transformed, matrices.view(POINTS, taps, outputs, inputs), rows * columns, own.other)
        window = target[:, SIDE * row :, SIDE * column :][:, : SIDE * rows, : SIDE * columns]
        _write_block(products, tiles, window, bias, own.tiles)

    _share_out(slice_of_weights, range(0, outputs, WEIGHT_SLICE), scratch)
    _share_out(block_of_tiles, [(b, *corner) for b in range(batch) for corner in blocks.corners()], scratch)
    _idle.append(buffer)
    return y


@dataclass(frozen=True)
class Scratch:
    """One worker's flat float32 regions: `tiles` and `other` hand their contents to each other step by step."""

    tiles: Tensor
    other: Tensor


def _take(length: int) -> Tensor:
    """A flat float32 buffer of at least `length`, an idle one where it is large enough."""
    try:
        buffer = _idle.pop()
    except IndexError:
        buffer = torch.empty(0)
    if buffer.numel() < length:
        del buffer
        with torch.inference_mode(False):  # tensors born in inference mode cannot be written to outside it
            buffer = torch.empty(length)
    return buffer


def _share_out(work: Callable[[Scratch, Item], None], items: Sequence[Item], scratch: Sequence[Scratch]) -> None:
    """Call `work` for every item, one thread for each scratch space, each taking the next item when it is free."""
    waiting = deque(items)

    def drain(own: Scratch) -> None:
        with torch.inference_mode():
            while waiting:
                try:
                    item = waiting.popleft()
                except IndexError:  # another thread took the last one
                    return
                work(own, item)

    if len(scratch) == 1:
        drain(scratch[0])
        return
    for future in [single_core_pool(len(scratch)).submit(drain, own) for own in scratch]:
        future.result()


def _carve(region: Tensor, *shapes: tuple[int, ...]) -> list[Tensor]:
    """Views of the given shapes, one behind the other in a flat region."""
    views, start = [], 0
    for shape in shapes:
        stop = start + math.prod(shape)
        views.append(region[start:stop].view(shape))
        start = stop
    return views


def _read_block(x: Tensor, top: int, left: int, tiles: tuple[int, int, int], own: Scratch) -> Tensor:
    """Copy a block with its border, zero outside the map, and transform its tiles.

    Args:
        x: (T, H, W, C).
        top: first row of the block's border; may be -1.
        left: first column of the block's border; may be -1.
        tiles: (T, rows, columns) of tiles.
        own: scratch; the result lies in `tiles`.

    Returns:
        (6 * 6, T * rows * columns, C): B' d B.
    """
    (frames, rows, columns), channels = tiles, x.shape[3]
    high, wide = SIDE * rows + 2, SIDE * columns + 2
    padded, half, spare = _carve(
        own.other,
        (frames, high, wide, channels),
        (REACH, frames, rows, wide, channels),
        (REACH, frames, rows, columns, channels),
    )
    y0, y1 = max(0, -top), min(high, x.shape[1] - top)  # the part of the block that lies inside the map
    x0, x1 = max(0, -left), min(wide, x.shape[2] - left)
    for outside in (padded[:, :y0], padded[:, y1:], padded[:, y0:y1, :x0], padded[:, y0:y1, x1:]):
        outside.zero_()
    padded[:, y0:y1, x0:x1].copy_(x[:, top + y0 : top + y1, left + x0 : left + x1])
    (first,) = _carve(own.tiles, (frames, rows, wide, channels))
    _transform_input(padded, 1, half, first)
    (done,) = _carve(own.tiles, (REACH, REACH, frames, rows, columns, channels))
    _transform_input(half, 3, done, spare)
    return done.view(POINTS, -1, channels)


def _multiply(transformed: Tensor, matrices: Tensor, tiles: int, region: Tensor) -> Tensor:
    """Matrix products of all 36 points, summed over the taps in time.

    Args:
        transformed: (36, T * tiles, C).
        matrices: (36, 3, K, C), or (36, 1, K, C) where there are no taps in time.
        tiles: of one frame of the block.
        region: where the result lies.

    Returns:
        (36, T * tiles, K).
    """
    (products,) = _carve(region, (POINTS, transformed.shape[1], matrices.shape[2]))
    others = matrices.shape[1] > 1 and transformed.shape[1] > tiles
    for product, tile, matrix in zip(products, transformed, matrices, strict=True):
        product.copy_(times_transposed(tile, matrix[len(matrix) // 2]))
        if others:
            product[tiles:].add_(times_transposed(tile[:-tiles], matrix[0]))
            product[:-tiles].add_(times_transposed(tile[tiles:], matrix[2]))
    return products


def _write_block(products: Tensor, tiles: tuple[int, int, int], y: Tensor, bias: Tensor | None, region: Tensor) -> None:
    """Transform products to outputs; overwrites them.

    Args:
        products: (36, T * rows * columns, K).
        tiles: (T, rows, columns).
        y: (T, H', W', K), the block's window of the output, cut off where the map ends.
        bias: (K,) or None.
        region: scratch.
    """
    (frames, rows, columns), channels = tiles, products.shape[2]
    across, spare = _carve(
        region, (REACH, frames, rows, columns, SIDE, channels), (REACH * frames * rows * columns * channels,)
    )
    (first,) = _carve(spare, (REACH, frames, rows, columns, channels))
    _transform_output(products.view(REACH, *first.shape), across.unbind(4), first)
    (second,) = _carve(spare, (frames, rows, SIDE * columns, channels))
    _transform_output(across.view(REACH, *second.shape), [y[:, k::SIDE] for k in range(SIDE)], second)
    if bias is not None:
        y.add_(bias)


def _transform_input(d: Tensor, axis: int, out: Tensor, spare: Tensor) -> None:
    """B' d along one axis.

    A finite point p stands for the polynomial whose zeros are the other four: at +-NEAR, x (x +- NEAR) (x^2 - FAR^2).
    So two differences, d[k+2] - FAR^2 d[k] and d[k+2] - NEAR^2 d[k], are all that has to be combined.

    Args:
        d: 4 n + 2 long along `axis`.
        axis: the axis.
        out: 6 entries, each as `d` but n long along `axis`.
        spare: one more such entry.
    """
    n = out.shape[1 + axis]
    before = (slice(None),) * axis
    d0, d1, d2, d3, d4, d5 = (d[(*before, slice(k, k + SIDE * (n - 1) + 1, SIDE))] for k in range(REACH))
    zero, near, minus_near, far, minus_far, infinity = out.unbind(0)
    torch.sub(d4, d2, alpha=NEAR**2, out=near)
    torch.sub(d3, d1, alpha=NEAR**2, out=minus_near)
    torch.add(near, minus_near, alpha=FAR, out=far)
    torch.sub(near, minus_near, alpha=FAR, out=minus_far)
    torch.sub(d2, d0, alpha=FAR**2, out=zero)
    torch.sub(d3, d1, alpha=FAR**2, out=near)
    torch.sub(d4, d2, alpha=FAR**2, out=spare)
    torch.sub(d5, d3, alpha=FAR**2, out=infinity)
    torch.sub(spare, zero, alpha=NEAR**2, out=zero)
    torch.sub(infinity, near, alpha=NEAR**2, out=infinity)
    torch.sub(spare, near, alpha=NEAR, out=minus_near)
    torch.add(spare, near, alpha=NEAR, out=near)


def _transform_output(m: Tensor, ys: Sequence[Tensor], spare: Tensor) -> None:
    """A' m along one axis: y[k] = the sum over points p of p^k m[p]; overwrites m.

    The entries of +-NEAR and +-FAR arrive multiplied with NEAR and FAR, which saves a pass.

    Args:
        m: 6 entries.
        ys: 4 outputs, each as an entry of m, or with fewer rows and columns: (any, rows, columns, ...).
        spare: one more such entry.
    """
    zero, near, minus_near, far, minus_far, infinity = m.unbind(0)
    torch.add(near, minus_near, out=spare)
    near_sum, near_difference = spare, torch.sub(near, minus_near, out=minus_near)
    far_sum, far_difference = torch.add(far, minus_far, out=near), torch.sub(far, minus_far, out=minus_far)

    def add(first: Tensor, second: Tensor, alpha: float, y: Tensor) -> None:
        _, rows, columns = y.shape[:3]
        torch.add(first[:, :rows, :columns], second[:, :rows, :columns], alpha=alpha, out=y)

    add(near_difference, far_difference, 1.0, ys[1])
    add(infinity.add_(near_difference, alpha=NEAR**2), far_difference, FAR**2, ys[3])
    add(zero.add_(near_sum, alpha=1 / NEAR), far_sum, 1 / FAR, ys[0])
    add(far_sum.mul_(FAR), near_sum, NEAR, ys[2])


def _transform_weight(weight: Tensor, out: Tensor, region: Tensor) -> None:
    """G w G' for some output channels.

    Args:
        weight: (K, C, taps, 3, 3).
        out: (6, 6, taps, K, C), along width, height, and the taps in time.
        region: scratch.
    """
    outputs, inputs, taps = weight.shape[:3]
    (half,) = _carve(region, (REACH, taps, 3, outputs, inputs))
    _filter_at_points(weight.permute(3, 2, 4, 0, 1), half)
    _filter_at_points(half.permute(2, 0, 1, 3, 4), out)


def _filter_at_points(w: Tensor, out: Tensor) -> None:
    """(3, ...) taps -> (6, ...): the polynomial w0 + w1 p + w2 p^2 at each point, over its product of distances.

    Times p at the four points that `_transform_output` wants so.
    """
    torch.mul(w[0], 1 / (NEAR * FAR) ** 2, out=out[0])
    for k, p, other in ((1, NEAR, FAR), (3, FAR, NEAR)):
        scale = p / (2 * p**2 * (p**2 - other**2))
        torch.mul(w[0], scale, out=out[k])
        out[k].add_(w[2], alpha=p**2 * scale)
        torch.sub(out[k], w[1], alpha=p * scale, out=out[k + 1])
        out[k].add_(w[1], alpha=p * scale)
    out[5].copy_(w[2])


def pays(x: Tensor, outputs: int, workers: int) -> bool:
    """Whether Winograd's form of a convolution of (B, C, T, H, W) to `outputs` channels is expected to be faster."""
    batch, inputs, frames, height, width = x.shape
    if x.numel() == 0 or min(inputs, outputs) < MIN_CHANNELS or POINTS * 12 * inputs * outputs > MAX_MATRICES:
        return False
    blocks = cut(frames, height, width, max(inputs, outputs), workers)
    direct = DIRECT_COST * batch * frames * height * width / SIDE**2 / workers
    return direct > MIN_GAIN * (batch * blocks.cost + WEIGHT_COST / workers)


class WinogradConv3d(nn.Conv3d):
    """`nn.Conv3d` for inference: full 3x3x3, stride 1, padding 1, through `winograd_conv3d` where that pays.

    Parameters, their names and the result are those of `nn.Conv3d`. Gradients, autocast, devices and types other than
    CPU float32, small maps and narrow layers take the direct convolution. Weights are transformed anew in each call, in
    about 1 % of its time on a large map, so they may change at any time and no second copy is kept. One network may
    serve several threads.

    Measured with `python benchmarks/bench_conv3d.py` (torch 2.13, two AVX-512 cores, which another program shared),
    against the direct convolution in channels-last memory: 256 channels at 8x60x108, 2.1 times as fast; at 4x30x54, 1.7
    times; the whole published 3DC-Seg at 8x240x432 against itself unprepared, 1.9 times. Largest error against float64,
    relative to the largest output: 1.3e-6 to 1.7e-6, where the direct form has 2e-7 to 1.6e-6 and the customary points
    0, +-1, +-2 would give 5e-6. The logits of that network differ by 2.4e-6 of the largest.

    Memory beside the output: 66 MiB at 256 channels and 8x120x216, less than 110 MB for any layer with up to 8 threads.
    One such buffer per simultaneous call is kept for the next call.
    """

    @classmethod
    def from_conv(cls, conv: nn.Conv3d) -> Self:
        """The same convolution on the same parameters.

        Args:
            conv: one that `replaceable` accepts.

        Raises:
            ValueError: the convolution is of another kind.
        """
        if not replaceable(conv):
            raise ValueError(f"found {conv}; expected 3x3x3, stride 1, zero padding 1, dilation 1, one group")
        return on_the_same(conv, cls)

    @classmethod
    def replace_in(cls, network: nn.Module) -> int:
        """Replace every plain `nn.Conv3d` inside `network` that is wide enough and `replaceable`, in place.

        Returns:
            How many were replaced.
        """

        def wanted(conv: nn.Conv3d) -> bool:
            return replaceable(conv) and min(conv.in_channels, conv.out_channels) >= MIN_CHANNELS

        return swap(network, nn.Conv3d, wanted, cls.from_conv)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, K, T, H, W), in channels-last memory where Winograd's form was used."""
        if self._fits(x) and pays(x, self.out_channels, torch.get_num_threads()):
            return winograd_conv3d(x, self.weight, self.bias)
        return super().forward(x)

    def _fits(self, x: Tensor) -> bool:
        if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return False
        if x.dim() != 5 or x.shape[1] != self.in_channels or torch.is_autocast_enabled("cpu"):
            return False
        if any(t.dtype != torch.float32 or t.device.type != "cpu" for t in (x, self.weight)):
            return False
        return not torch.is_grad_enabled() or not any(t.requires_grad for t in (x, *self.parameters()))


def replaceable(conv: nn.Conv3d) -> bool:
    """Whether a convolution is full 3x3x3 with stride 1, zero padding 1, dilation 1 and one group."""
    same = conv.padding in (1, (1, 1, 1), "same") and conv.padding_mode == "zeros"
    geometry = (conv.kernel_size, conv.stride, conv.dilation, conv.groups)
    return same and geometry == ((3, 3, 3), (1, 1, 1), (1, 1, 1), 1)
