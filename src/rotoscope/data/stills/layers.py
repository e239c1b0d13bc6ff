"""Rendering layers that move: textures are sampled through affine maps and bends, and laid over one another.

Everything runs in torch on whatever device is asked for, a layer's T frames at once, and only where the layer is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rotoscope.data.stills.motion import Bend
from rotoscope.data.tone import Tone

Box = tuple[slice, slice]  # rows and columns of the frame


@dataclass(frozen=True, eq=False)
class Layer:
    """One thing of a clip.

    Attributes:
        texture: (h, w, 3) uint8 RGB, or (T, h, w, 3) where it changes by itself.
        places: (T, 2, 3) float32: frame coordinates (x, y, 1) -> texture coordinates; see `motion`.
        labels: what all of it is, 0 for background; or (h, w) or (T, h, w) uint8, what each of its pixels is.
        alpha: (h, w) or (T, h, w) uint8, how opaque; None where all of it is.
        bend: its change of shape.
        tone: its own change of colours.
        blur: standard deviation of a Gaussian over texture and opacity, in the texture's pixels.
    """

    texture: NDArray[np.uint8]
    places: NDArray[np.float32]
    labels: NDArray[np.uint8] | int = 0
    alpha: NDArray[np.uint8] | None = None
    bend: Bend | None = None
    tone: Tone = field(default_factory=Tone)
    blur: float = 0.0


def render(layers: Sequence[Layer], size: tuple[int, int], device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Lay the layers over one another, the first at the back.

    Args:
        layers: at least one, all with the same T. The first fills the frame: it is opaque whatever its alpha, and
            mirrored beyond its edges.
        size: (height, width) of the result.
        device: where to work.

    Returns:
        Clip (3, T, H, W) float32 RGB in [0, 1], labels (T, H, W) uint8. Where a layer is more than half opaque its
        label is taken.
    """
    device = torch.device(device)
    clip, labels = _filling(layers[0], size, device)
    for layer in layers[1:]:
        _lay_over(clip, labels, layer, device)
    return clip.clamp_(0, 1).transpose(0, 1).contiguous(), labels


def _filling(layer: Layer, size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Frames (T, 3, H, W) and labels (T, H, W) full of a layer; mirrored, because streaks could be learnt."""
    frames = len(layer.places)
    bend = None if layer.bend is None else layer.bend.field()
    grid = _grid(layer, bend, size, (slice(0, size[0]), slice(0, size[1])), device)
    colours = _colours(layer, device)
    colours = (blurred(colours, layer.blur) if layer.blur else colours).expand(frames, -1, -1, -1)
    clip = functional.grid_sample(colours, grid, padding_mode="reflection", align_corners=False)
    if isinstance(layer.labels, int):
        return clip, torch.full((frames, *size), layer.labels, dtype=torch.uint8, device=device)
    return clip, _sampled_labels(layer.labels, grid, "reflection")


def _lay_over(clip: Tensor, labels: Tensor, layer: Layer, device: torch.device) -> None:
    """Lay a layer over frames (T, 3, H, W) and labels (T, H, W), in place."""
    size = (clip.shape[2], clip.shape[3])
    bend = None if layer.bend is None else layer.bend.field()
    box = _seen(layer, 0.0 if bend is None else float(bend.abs().max()), size)
    if box is None:
        return
    grid = _grid(layer, bend, size, box, device)
    colours = _colours(layer, device)
    alpha = _alpha(layer, device)
    colours = torch.cat([colours * alpha, alpha.expand(len(colours), -1, -1, -1)], dim=1)
    colours = (blurred(colours, layer.blur) if layer.blur else colours).expand(len(clip), -1, -1, -1)
    sampled = functional.grid_sample(colours, grid, padding_mode="zeros", align_corners=False)
    alpha = sampled[:, 3:]
    clip[:, :, box[0], box[1]].mul_(1 - alpha).add_(sampled[:, :3])
    opaque, below = alpha[:, 0] > 0.5, labels[:, box[0], box[1]]
    if isinstance(layer.labels, int):
        below.masked_fill_(opaque, layer.labels)
    else:
        below.copy_(torch.where(opaque, _sampled_labels(layer.labels, grid, "border"), below))


def _seen(layer: Layer, bend: float, size: tuple[int, int]) -> Box | None:
    """The part of the frame that a layer can touch on any frame of the clip, or None.

    Args:
        layer: what is looked at.
        bend: its largest offset, in the texture's coordinates.
        size: (height, width) of the frame.
    """
    reach = 1 + bend + 1 / min(layer.texture.shape[-3:-1])  # samples fade out over half a pixel beyond the edge
    corners = np.array([[-reach, reach, reach, -reach], [-reach, -reach, reach, reach]])
    places = layer.places.astype(np.float64)
    points = np.linalg.inv(places[:, :, :2]) @ (corners - places[:, :, 2:])  # (T, 2, 4) frame coordinates
    half = size[0] / 2
    x, y = points[:, 0] * half + size[1] / 2, points[:, 1] * half + half
    top, bottom = max(0, int(np.floor(y.min()))), min(size[0], int(np.ceil(y.max())))
    left, right = max(0, int(np.floor(x.min()))), min(size[1], int(np.ceil(x.max())))
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def _grid(layer: Layer, bend: Tensor | None, size: tuple[int, int], box: Box, device: torch.device) -> Tensor:
    """Where each pixel of a part of the frames lies in the texture: (T, rows, columns, 2)."""
    x, y = (line.to(device) for line in pixel_centres(size))
    x, y = x[box[1]], y[box[0]]
    places = on_device(layer.places, device)[:, None, None]  # (T, 1, 1, 2, 3)
    grid = places[..., 0] * x[:, None] + (places[..., 1] * y[:, None, None] + places[..., 2])
    if bend is None:
        return grid
    offset = functional.grid_sample(bend.to(device), grid, padding_mode="border", align_corners=True)
    return grid + offset.permute(0, 2, 3, 1)


def pixel_centres(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Frame coordinates of the columns' (W,) and the rows' (H,) middles, float32."""
    height, width = size
    x = (2 * torch.arange(width) + 1 - width) / height
    y = (2 * torch.arange(height) + 1 - height) / height
    return x, y


def on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """The array as a tensor; copied only where it may not be written to, which torch would warn of."""
    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(device)


def _colours(layer: Layer, device: torch.device) -> Tensor:
    """A texture's colours under its tone: (1 or T, 3, h, w) in [0, 1]."""
    texture = on_device(layer.texture, device)
    colours = (texture if texture.ndim == 4 else texture[None]).permute(3, 0, 1, 2).float().div_(255)
    return layer.tone(colours).transpose(0, 1)


def _alpha(layer: Layer, device: torch.device) -> Tensor:
    """A texture's opacity: (1 or T, 1, h, w) in [0, 1]."""
    if layer.alpha is None:
        return torch.ones(1, 1, *layer.texture.shape[-3:-1], device=device)
    alpha = on_device(layer.alpha, device)
    return (alpha if alpha.ndim == 3 else alpha[None])[:, None].float().div_(255)


def _sampled_labels(labels: NDArray[np.uint8], grid: Tensor, padding: str) -> Tensor:
    """The nearest pixels' labels: (T, rows, columns) uint8."""
    own = on_device(labels, grid.device)
    own = (own if own.ndim == 3 else own[None])[:, None].float().expand(len(grid), -1, -1, -1)
    return functional.grid_sample(own, grid, mode="nearest", padding_mode=padding, align_corners=False)[:, 0].byte()


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    """(N, C, H, W) -> the same shape, under a Gaussian with `sigma` above 0 in pixels; edges repeat."""
    radius = max(1, int(np.ceil(3 * sigma)))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).to(pictures)
    channels = pictures.shape[1]
    # channels-last convolutions of one channel each are several times as fast on a CPU
    padded = functional.pad(pictures, (radius, radius, radius, radius), mode="replicate")
    padded = padded.contiguous(memory_format=torch.channels_last)
    rows = functional.conv2d(padded, taps.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return functional.conv2d(rows, taps.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
