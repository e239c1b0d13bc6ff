"""How things move in a clip made from stills: smooth paths of affine maps, and bends of the picture itself.

Frame coordinates: y from -1 (top edge) to 1 (bottom edge), x from -a to a with a = width / height, so that a turn is a
turn. A texture's own coordinates run from -1 to 1 in both directions, from edge to edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BendKind = Literal["thin_plate", "piecewise_affine"]
Floats = NDArray[np.float64]

NODES = 4  # a side: the points that a bend moves
FIELD = 10 * (NODES - 1) + 1  # a side: the raster that a bend is worked out on; every node is one of its points


@dataclass(frozen=True)
class Range:
    """How far a movement may go within a clip.

    Attributes:
        shift: longest way of the centre in either direction, in half frame heights.
        scale: largest change of the natural logarithm of the size.
        turn: largest turn, in radians.
        shear: largest change of the shear.
        shake: standard deviation of the frame-to-frame unrest, in half frame heights.
    """

    shift: float = 0.4
    scale: float = 0.2
    turn: float = 0.2
    shear: float = 0.05
    shake: float = 0.0

    def times(self, factor: float) -> Range:
        """The same with every reach but the unrest multiplied."""
        return Range(self.shift * factor, self.scale * factor, self.turn * factor, self.shear * factor, self.shake)


def path(frames: int, start: Floats, end: Floats, bow: Floats, generator: np.random.Generator) -> Floats:
    """Go from `start` to `end` along a bow, at a pace that changes a little.

    Args:
        frames: T.
        start: (n,) values on the first frame.
        end: (n,) values on the last frame.
        bow: (n,) how far the middle of the way lies off the straight line.
        generator: source of chance.

    Returns:
        (T, n).
    """
    time = np.linspace(0.0, 1.0, frames)[:, None] ** generator.uniform(0.7, 1.4)
    return start + (end - start) * time + bow * 4 * time * (1 - time)


def moves(frames: int, reach: Range, generator: np.random.Generator) -> Floats:
    """Draw a movement around rest: it begins half of its way before, and ends half of it after.

    Returns:
        (T, 6): x, y, log scale, turn, shear in x, shear in y.
    """
    limit = np.array([reach.shift, reach.shift, reach.scale, reach.turn, reach.shear, reach.shear])
    way = generator.uniform(-1, 1, 6) * limit
    bow = generator.uniform(-1, 1, 6) * limit * 0.25
    found = path(frames, -way / 2, way / 2, bow, generator)
    if reach.shake:
        found[:, :2] += generator.normal(0, reach.shake, (frames, 2))
    return found


def matrices(movement: Floats) -> Floats:
    """Turn movements (T, 6) into affine maps (T, 3, 3) that carry a thing from its rest to its place in the frame.

    A thing is sheared, scaled, turned about the frame's middle, then shifted.
    """
    x, y, log_scale, turn, shear_x, shear_y = movement.T
    scale, cos, sin = np.exp(log_scale), np.cos(turn), np.sin(turn)
    rotation = np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)
    shear = np.stack([np.ones_like(x), shear_x, shear_y, np.ones_like(x)], axis=1).reshape(-1, 2, 2)
    found = np.zeros((len(x), 3, 3))
    found[:, :2, :2] = scale[:, None, None] * (rotation @ shear)
    found[:, 0, 2], found[:, 1, 2], found[:, 2, 2] = x, y, 1
    return found


def about(centre: Floats, maps: Floats) -> Floats:
    """Affine maps (T, 3, 3) that turn and scale about a point (x, y, 1) of the frame instead of its middle."""
    there, back = np.eye(3), np.eye(3)
    there[:2, 2], back[:2, 2] = centre[:2], -centre[:2]
    found: Floats = there @ maps @ back
    return found


@dataclass(frozen=True, eq=False)
class Bend:
    """A texture's own change of shape.

    Attributes:
        kind: "thin_plate": the smoothest surface through the nodes' offsets; "piecewise_affine": an affine map on each
            triangle between them.
        nodes: (T, NODES * NODES, 2) float32 offsets, x then y, of points on a regular raster from edge to edge, x
            fastest; in the texture's coordinates.
    """

    kind: BendKind
    nodes: NDArray[np.float32]

    @classmethod
    def draw(cls, kind: BendKind, frames: int, strength: float, generator: np.random.Generator) -> Bend:
        """Draw how the nodes move over a clip.

        Args:
            kind: see the class.
            frames: T.
            strength: standard deviation of a node's offset at the ends of the clip, in half textures.
            generator: source of chance.
        """
        start, end, bow = generator.normal(0, strength, (3, NODES * NODES * 2))
        nodes = path(frames, start, end, bow * 0.25, generator)
        return cls(kind, nodes.reshape(frames, NODES * NODES, 2).astype(np.float32))

    def field(self) -> Tensor:
        """Spread the offsets over the texture.

        Returns:
            (T, 2, FIELD, FIELD) float32, for points from edge to edge: `grid_sample` reads it with align_corners.
        """
        basis = _thin_plate() if self.kind == "thin_plate" else _piecewise_affine()
        spread = basis @ torch.from_numpy(self.nodes)
        return spread.transpose(1, 2).reshape(len(self.nodes), 2, FIELD, FIELD)


def _raster(side: int) -> Floats:
    """Points (side * side, 2), x fastest, from -1 to 1."""
    line = np.linspace(-1, 1, side)
    y, x = np.meshgrid(line, line, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)


@cache
def _thin_plate() -> Tensor:
    """Matrix (FIELD ** 2, NODES ** 2) from the nodes' values to those of the thin plate through them."""
    nodes, points = _raster(NODES), _raster(FIELD)
    count = len(nodes)
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _plate(nodes, nodes)
    system[:count, count:] = np.c_[np.ones(count), nodes]
    system[count:, :count] = system[:count, count:].T
    weights = np.linalg.inv(system)[:, :count]  # values -> coefficients
    spread = np.c_[_plate(points, nodes), np.ones(len(points)), points] @ weights
    return torch.from_numpy(spread.astype(np.float32))


def _plate(a: Floats, b: Floats) -> Floats:
    """r^2 log r^2 between all pairs of points."""
    squares: Floats = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    return squares * np.log(np.maximum(squares, 1e-12))


@cache
def _piecewise_affine() -> Tensor:
    """Matrix (FIELD ** 2, NODES ** 2) of barycentric weights; each cell is cut from its top left to bottom right."""
    points = (_raster(FIELD) + 1) / 2 * (NODES - 1)
    cell = np.minimum(points.astype(int), NODES - 2)
    across, down = (points - cell).T
    corner = cell[:, 1] * NODES + cell[:, 0]
    lower = down > across  # the triangle under the cut
    spread = np.zeros((len(points), NODES * NODES))
    rows = np.arange(len(points))
    spread[rows, corner] = 1 - np.maximum(across, down)
    spread[rows, corner + NODES + 1] = np.minimum(across, down)
    spread[rows, np.where(lower, corner + NODES, corner + 1)] = np.abs(across - down)
    return torch.from_numpy(spread.astype(np.float32))
