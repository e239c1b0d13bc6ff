"""Clips as STEm-Seg makes them from one picture: frames that are warps of it, each by itself, in any order.

Published with the network (Athar et al., ECCV 2020). Intended differences to its code: a picture comes to the clip's
size before it is warped, and is sampled once; hue and saturation are changed by turning colours about the grey axis,
where its code took blue for red.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rotoscope.data.stills.layers import on_device

Floats = NDArray[np.float64]

_OUTSIDE = (122.7717 / 255, 115.9465 / 255, 102.9801 / 255)  # the mean colour, which is zero to the network
_ADDED = 40 / 255
_HUE = math.radians(7)  # five of the hue's 255 steps
_SATURATION = 5 / 255
_CORNERS = 0.08  # standard deviation of the corners' way inwards, as a share of the sides
_SHIFT = 0.1
_KERNELS = (9, 11)  # of the motion blur, in pixels


@dataclass(frozen=True)
class WarpOptions:
    """How far pictures are warped.

    Attributes:
        turn: largest turn, in degrees: 12 for COCO, 10 for the other sets.
        blur: chance that a frame is blurred by motion; 0 for Mapillary.
    """

    turn: float = 12.0
    blur: float = 0.25


@dataclass(frozen=True, eq=False)
class Warp:
    """One frame of a clip, from the picture.

    Attributes:
        places: (3, 3), from places in the frame to places in the picture, both from -1 to 1, x first.
        colour: (3, 3), RGB to RGB.
        added: to all channels, where colours run from 0 to 1.
        blur: (k, k) kernel of a motion blur; None for none.
    """

    places: Floats
    colour: Floats
    added: float = 0.0
    blur: NDArray[np.float32] | None = None

    @classmethod
    def still(cls) -> Warp:
        """The picture as it is."""
        return cls(np.eye(3), np.eye(3))

    @classmethod
    def draw(cls, aspect: float, options: WarpOptions, generator: np.random.Generator) -> Warp:
        """Draw one.

        Args:
            aspect: width / height of the picture.
            options: reaches and chances.
            generator: source of chance.
        """
        chosen = int(generator.integers(1, 4))  # one change of colour, the other, or both
        added = float(generator.uniform(-_ADDED, _ADDED)) if chosen & 1 else 0.0
        colour = _turned_colours(generator) if chosen & 2 else np.eye(3)
        inwards = np.minimum(np.abs(generator.normal(0, _CORNERS, (4, 2))), 0.45)
        turn, shift = math.radians(generator.uniform(-options.turn, options.turn)), generator.uniform(-_SHIFT, _SHIFT)
        moved = np.array(
            [
                [math.cos(turn), -math.sin(turn) / aspect, 2 * shift],
                [math.sin(turn) * aspect, math.cos(turn), 2 * shift],
                [0.0, 0.0, 1.0],
            ]
        )
        blur = _motion(generator) if generator.random() < options.blur else None
        return cls(_seen(inwards) @ np.linalg.inv(moved), colour, added, blur)


def _turned_colours(generator: np.random.Generator) -> Floats:
    """A turn about the grey axis and a factor of the distance to it."""
    angle, factor = generator.uniform(-_HUE, _HUE), 1 + generator.uniform(-_SATURATION, _SATURATION)
    grey = np.full((3, 3), 1 / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turn = grey + math.cos(angle) * (np.eye(3) - grey) + math.sin(angle) * cross
    mixed: Floats = grey + factor * (turn - grey)
    return mixed


def _seen(inwards: Floats) -> Floats:
    """The map from a frame's square to a quadrilateral of the picture, whose corners lie a little inside.

    Args:
        inwards: (4, 2) how far each corner lies inside, as shares of width and height.
    """
    square = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    corners = square * (1 - 2 * inwards)
    rows = []
    for (x, y), (u, v) in zip(square, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    found = np.linalg.solve(np.array(rows), corners.ravel())
    return np.append(found, 1.0).reshape(3, 3)


def _motion(generator: np.random.Generator) -> NDArray[np.float32]:
    """A line through a square kernel, at any angle; its sum is 1."""
    side = int(generator.choice(_KERNELS))
    angle = generator.uniform(0, math.pi)
    line = np.linspace(-(side // 2), side // 2, 4 * side)
    rows, columns = (np.rint(line * part).astype(int) + side // 2 for part in (math.sin(angle), math.cos(angle)))
    kernel = np.zeros((side, side), np.float32)
    np.add.at(kernel, (rows, columns), 1.0)
    kernel /= kernel.sum()
    return kernel


@dataclass(frozen=True, eq=False)
class WarpsDraft:
    """A picture and the warps that are the frames of a clip; a `clips.Draft`.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8.
        warps: one a frame.
    """

    picture: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    warps: tuple[Warp, ...]

    @classmethod
    def draw(
        cls,
        picture: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        frames: int,
        options: WarpOptions,
        generator: np.random.Generator,
    ) -> WarpsDraft:
        """Draw a clip of `frames` frames: the picture, mirrored or not, and warps of it, shuffled."""
        if generator.random() < 0.5:
            picture, labels = picture[:, ::-1], labels[:, ::-1]
        aspect = labels.shape[1] / labels.shape[0]
        warps = [Warp.still(), *(Warp.draw(aspect, options, generator) for _ in range(frames - 1))]
        order = generator.permutation(frames)
        return cls(picture.copy(), labels.copy(), tuple(warps[place] for place in order))

    def render(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """See `clips.Draft.render`: bilinear for the picture, the nearest pixel for the labels, 0 outside."""
        device = torch.device(device)
        count = len(self.warps)
        picture = on_device(self.picture, device).permute(2, 0, 1)[None].float().div_(255)
        labels = on_device(self.labels, device)[None, None].float()
        grid = self._places(device)
        outside = torch.tensor(_OUTSIDE, device=device).view(1, 3, 1, 1)
        frames = _sampled((picture - outside).expand(count, -1, -1, -1), grid, "bilinear")
        named = _sampled(labels.expand(count, -1, -1, -1), grid, "nearest")[:, 0].byte()
        inside = _sampled(torch.ones_like(labels).expand(count, -1, -1, -1), grid, "bilinear")
        colours = torch.from_numpy(np.stack([warp.colour for warp in self.warps]).astype(np.float32)).to(device)
        added = torch.tensor([warp.added for warp in self.warps], device=device).view(-1, 1, 1, 1)
        mixed = torch.einsum("tij,tjhw->tihw", colours, frames + outside) + added
        frames = inside * mixed.clamp(0, 1) + (1 - inside) * outside
        for place, warp in enumerate(self.warps):
            if warp.blur is not None:
                frames[place] = _blurred(frames[place], torch.from_numpy(warp.blur).to(device))
        return frames.clamp_(0, 1).transpose(0, 1).contiguous(), named

    def _places(self, device: torch.device) -> Tensor:
        """Where each pixel of the frames lies in the picture: (T, H, W, 2), from -1 to 1."""
        height, width = self.labels.shape
        x = (2 * torch.arange(width, device=device) + 1 - width) / width
        y = (2 * torch.arange(height, device=device) + 1 - height) / height
        places = (x.expand(height, width), y[:, None].expand(height, width), x.new_ones(height, width))
        points = torch.stack(places, dim=-1)  # (H, W, 3)
        maps = torch.from_numpy(np.stack([warp.places for warp in self.warps]).astype(np.float32)).to(device)
        found = torch.einsum("tij,hwj->thwi", maps, points)
        return found[..., :2] / found[..., 2:]


def _sampled(pictures: Tensor, grid: Tensor, mode: str) -> Tensor:
    return functional.grid_sample(pictures, grid, mode=mode, padding_mode="zeros", align_corners=False)


def _blurred(frame: Tensor, kernel: Tensor) -> Tensor:
    """(3, H, W) under a (k, k) kernel; edges repeat."""
    margin = len(kernel) // 2
    padded = functional.pad(frame[:, None], (margin, margin, margin, margin), mode="replicate")
    return functional.conv2d(padded, kernel[None, None])[:, 0]
