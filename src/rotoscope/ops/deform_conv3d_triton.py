"""Deformable 3D convolution by Triton kernels: what `deform_conv3d` launches on CUDA.

Importing this needs Triton; nothing else of the package does. No columns are kept, forward or backward, so the memory
beyond arguments and results is a channels-last copy of x (none where it lies so already), float32 gradients of x, and
shares of the gradients of the weights (64 MiB at most).

Factors are multiplied as bfloat16 where x and weight both are; else as float32, or as TF32 where torch is allowed to do
so in its own products, or where x and weight are float16: TF32 keeps as many digits and does not overflow. Positions,
interpolation and sums are float32. So in bfloat16 the values between voxels are rounded once before they are
multiplied, which the plain path does not do.

Not measured so far: speed, on any GPU. `_TABLE` was chosen by what the compiler reports for compute capability 9.0
(registers, spills, shared memory; `scripts/compile_kernels.py`), not by time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any, NamedTuple, cast

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.runtime.errors import OutOfResources

from rotoscope.ops import deform_conv3d_kernels as kernels
from rotoscope.ops.conv_geometry import Geometry, grids
from rotoscope.ops.deform_conv3d_chunks import Gradients, channels_last

INTERPRETED = not isinstance(kernels.convolve, triton.runtime.JITFunction)
_PROGRAMS = 4 * 132  # that the gradient of the weights is cut into at least, if it can be: four a multiprocessor
_SHARES_BYTES = 64 << 20  # of the partial gradients of the weights
_LEAST = 16  # of a side of a product


class Tiles(NamedTuple):
    """How a kernel is cut.

    Attributes:
        rows: output places of a program, or of a step.
        outputs: output channels at a time.
        channels: of one kernel point at a time.
        warps: of a program.
        stages: of the loops' pipelines.
    """

    rows: int
    outputs: int
    channels: int
    warps: int
    stages: int


# By kernel and whether the factors are bfloat16; the sides are cut down to what a layer has.
_TABLE = {
    ("convolve", True): Tiles(64, 256, 32, 8, 2),
    ("convolve", False): Tiles(64, 128, 32, 8, 1),
    ("scatter", True): Tiles(64, 128, 32, 8, 2),
    ("scatter", False): Tiles(64, 32, 32, 8, 1),
    ("weigh", True): Tiles(32, 256, 64, 8, 2),
    ("weigh", False): Tiles(32, 128, 64, 8, 1),
}


def tiles_for(name: str, narrow: bool, outputs: int, channels: int) -> list[Tiles]:
    """What to try, largest first: a card with less room refuses the first ones.

    Args:
        name: of the kernel.
        narrow: whether the factors are bfloat16.
        outputs: output channels of a group.
        channels: that move together and belong to one group.
    """
    rows, most_outputs, most_channels, warps, stages = _TABLE[name, narrow]
    first = Tiles(rows, _side(outputs, most_outputs), _side(channels, most_channels), warps, stages)
    found = [first]
    while max(found[-1][:3]) > _LEAST:
        last = found[-1]
        longest = max(range(3), key=lambda side: last[side])
        found.append(last._replace(**{last._fields[longest]: last[longest] // 2}, stages=1))
    return found


def _side(size: int, most: int) -> int:
    """A power of two that covers `size`, 16 at least."""
    return max(_LEAST, min(most, cast(int, triton.next_power_of_2(size))))


@dataclass(frozen=True)
class _Problem:
    """Arguments as the kernels take them.

    Attributes:
        volume: x, (N, D, H, W, C).
        offset: (N, 3 G K, D', H', W').
        modulation: (N, G K, D', H', W') or None.
        kernel: (g, K, C / g, O / g), the weights in the type of the factors.
        base: (3, P) float32, where the kernel's first point lies.
        point: (3, K) float32, each point's distance from it.
        sizes: rows, places, depth, height, width.
        constants: of the kernels, by name.
    """

    volume: Tensor
    offset: Tensor
    modulation: Tensor | None
    kernel: Tensor
    base: Tensor
    point: Tensor
    sizes: tuple[int, int, int, int, int]
    constants: dict[str, Any]

    @property
    def narrow(self) -> bool:
        """Whether the factors are bfloat16."""
        return self.kernel.dtype == torch.bfloat16

    def launch(self, name: str, grid: Callable[[Tiles], tuple[int, ...]], *given: object, **constants: object) -> Tiles:
        """Run a kernel with the largest tiles that the card has room for; says which."""
        constants |= self.constants
        refused: OutOfResources | None = None
        for tiles in tiles_for(name, self.narrow, constants["OUTPUTS"], constants["SEGMENT"]):  # type: ignore[arg-type]
            blocks = {"BLOCK_M": tiles.rows, "BLOCK_O": tiles.outputs, "BLOCK_C": tiles.channels}
            how = {"num_warps": tiles.warps, "num_stages": tiles.stages}
            try:
                with torch.cuda.device_of(self.volume):  # type: ignore[no-untyped-call]
                    getattr(kernels, name)[grid(tiles)](*given, **constants, **blocks, **how)
            except OutOfResources as error:
                refused = error
            else:
                return tiles
        raise cast(OutOfResources, refused)


def _problem(x: Tensor, offset: Tensor, weight: Tensor, modulation: Tensor | None, geometry: Geometry) -> _Problem:
    if not (x.is_cuda or INTERPRETED):
        raise ValueError(f"the triton path is for CUDA, x is on {x.device}; use auto")
    groups, parts = geometry.groups, geometry.offset_groups
    kind = torch.bfloat16 if x.dtype == weight.dtype == torch.bfloat16 else torch.float32
    base, point = grids(offset.shape[2:], weight.shape[2:], *geometry[:3], x.device)
    outputs, inputs, points = weight.shape[0] // groups, weight.shape[1], weight.shape[2:].numel()
    split = weight.to(kind).reshape(groups, outputs, inputs, points)
    places = base.shape[1]
    narrow = tl.bfloat16 if kind == torch.bfloat16 else tl.float32
    return _Problem(
        volume=x.permute(0, 2, 3, 4, 1).contiguous(),
        offset=offset.contiguous(),
        modulation=None if modulation is None else modulation.contiguous(),
        kernel=split.permute(0, 3, 2, 1).contiguous(),
        base=base.float(),
        point=point.float(),
        sizes=(x.shape[0] * places, places, *x.shape[2:]),
        constants={
            "CHANNELS": x.shape[1],
            "INPUTS": inputs,
            "OUTPUTS": outputs,
            "POINTS": points,
            "GROUPS": groups,
            "PARTS": parts,
            "SEGMENT": gcd(inputs, x.shape[1] // parts),
            "MODULATED": modulation is not None,
            "NARROW": narrow,
            "WIDE": tl.float32 if INTERPRETED else narrow,
            "PRECISION": _precision(x.dtype == weight.dtype == torch.float16),
        },
    )


def _precision(short: bool) -> str:
    """How float32 factors are multiplied."""
    matmul = torch.backends.cuda.matmul
    allowed = matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32
    return "tf32" if short or allowed else "ieee"


def convolved(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    modulation: Tensor | None,
    geometry: Geometry,
) -> Tensor:
    """The deformable convolution; arguments, shapes and result as in `deform_conv3d`, which checks them."""
    problem = _problem(x, offset, weight, modulation, geometry)
    kind = torch.promote_types(x.dtype, weight.dtype)
    result = channels_last((x.shape[0], weight.shape[0], *offset.shape[2:]), x, kind)
    problem.launch(
        "convolve",
        lambda tiles: (
            triton.cdiv(problem.sizes[0], tiles.rows),
            geometry.groups * triton.cdiv(problem.constants["OUTPUTS"], tiles.outputs),
        ),
        problem.volume,
        problem.offset,
        problem.volume if problem.modulation is None else problem.modulation,
        problem.kernel,
        problem.volume if bias is None else bias.contiguous(),
        problem.base,
        problem.point,
        result,
        *problem.sizes,
        BIASED=bias is not None,
    )
    return result


def gradients(
    grad: Tensor,
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    modulation: Tensor | None,
    geometry: Geometry,
    needs: Sequence[bool],
) -> Gradients:
    """Gradients of x, offset, weight, modulation; empty where `needs`, in that order, says no.

    The gradient of x is summed by atomics in float32, whose order differs from run to run; all others repeat exactly.
    """
    problem = _problem(x, offset, weight, modulation, geometry)
    rows = grad.permute(0, 2, 3, 4, 1).contiguous()  # (N, D', H', W', O)
    found = [x.new_empty(0) for _ in range(4)]
    needs = [*needs[:3], needs[3] and modulation is not None]
    if needs[0] or needs[1] or needs[3]:
        _scatter(problem, rows, x, needs, found)
    if needs[2]:
        found[2] = _weigh(problem, rows, weight)
    return found[0], found[1], found[2], found[3]


def _scatter(problem: _Problem, rows: Tensor, x: Tensor, needs: Sequence[bool], found: list[Tensor]) -> None:
    """Puts the gradients of x, offset and modulation into `found`."""
    of_x = channels_last(x.shape, x, torch.float32).zero_() if needs[0] else rows
    of_offset = torch.empty_like(problem.offset) if needs[1] else rows
    of_modulation = torch.empty_like(problem.modulation) if needs[3] and problem.modulation is not None else rows
    points, parts = problem.constants["POINTS"], problem.constants["PARTS"]
    problem.launch(
        "scatter",
        lambda tiles: (triton.cdiv(problem.sizes[0], tiles.rows), points * parts),
        rows,
        problem.volume,
        problem.offset,
        problem.volume if problem.modulation is None else problem.modulation,
        problem.kernel,
        problem.base,
        problem.point,
        of_x,
        of_offset,
        of_modulation,
        *problem.sizes,
        NEED_X=needs[0],
        NEED_OFFSET=needs[1],
        NEED_MODULATION=needs[3],
    )
    if needs[0]:
        found[0] = of_x.to(x.dtype)
    if needs[1]:
        found[1] = of_offset
    if needs[3]:
        found[3] = of_modulation


def _weigh(problem: _Problem, rows: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the weights, (O, C / g, kd, kh, kw)."""
    count, constants = problem.sizes[0], problem.constants
    tiles = tiles_for("weigh", problem.narrow, constants["OUTPUTS"], constants["SEGMENT"])[0]
    side = triton.cdiv(constants["OUTPUTS"], tiles.outputs) * triton.cdiv(constants["SEGMENT"], tiles.channels)
    programs = constants["CHANNELS"] // constants["SEGMENT"] * side * constants["POINTS"]
    shares = max(1, min(triton.cdiv(_PROGRAMS, programs), _SHARES_BYTES // (4 * weight.numel())))
    share = triton.cdiv(triton.cdiv(count, shares), tiles.rows) * tiles.rows
    shares = triton.cdiv(count, share)
    partial = torch.empty(shares, *problem.kernel.shape, dtype=torch.float32, device=rows.device)

    def grid(tiles: Tiles) -> tuple[int, int, int]:
        side = triton.cdiv(constants["OUTPUTS"], tiles.outputs) * triton.cdiv(constants["SEGMENT"], tiles.channels)
        return constants["CHANNELS"] // constants["SEGMENT"] * side, constants["POINTS"], shares

    problem.launch(
        "weigh",
        grid,
        rows,
        problem.volume,
        problem.offset,
        problem.volume if problem.modulation is None else problem.modulation,
        problem.base,
        problem.point,
        partial,
        *problem.sizes,
        share,
    )
    return partial.sum(0).permute(0, 3, 2, 1).reshape(weight.shape).to(weight.dtype)
