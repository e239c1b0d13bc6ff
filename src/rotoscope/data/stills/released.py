"""The published 3DC-Seg chain that makes a clip from one picture: every frame is the one before it, changed once more.

Intended differences from the published code, both for the better: the changes are composed and the picture itself is
sampled once for each frame, where the published code samples a frame that has been sampled before, so pictures stay
sharp and masks whole; and the padding that the network needs is not part of the picture that moves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rotoscope.data.stills.layers import blurred, on_device, pixel_centres


@dataclass(frozen=True)
class Elastic:
    """A random displacement of every pixel, smooth over the picture.

    Attributes:
        alpha: factor of the displacement, in pixels.
        sigma: standard deviation of the Gaussian that smooths it, in pixels.
        seed: of the noise.
    """

    alpha: float
    sigma: float
    seed: int

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Elastic:
        """Draw one from the published ranges."""
        alpha, sigma = generator.uniform([200, 17], [220, 19]).tolist()
        return cls(alpha, sigma, int(generator.integers(2**32)))

    def field(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """The displacement (1, 2, H, W), x then y, in half frame heights; its noise is uniform in [-1, 1]."""
        margin = int(np.ceil(3 * self.sigma))  # so that the edges are smoothed like the rest
        shape = (1, 2, size[0] + 2 * margin, size[1] + 2 * margin)
        noise = torch.from_numpy(np.random.default_rng(self.seed).uniform(-1, 1, shape).astype(np.float32))
        smooth = blurred(noise.to(device), self.sigma)[..., margin:-margin, margin:-margin]
        return smooth * (self.alpha * 2 / size[0])


@dataclass(frozen=True, eq=False)
class Change:
    """What happens from one frame to the next.

    Attributes:
        affine: (3, 3) float64, from the old frame to the new one, in frame coordinates (see `motion`).
        elastic: another change of shape, or None.
        elastic_first: whether it comes before the affine map.
        blur: standard deviation of the Gaussian after both, in pixels; 0 for none.
    """

    affine: NDArray[np.float64]
    elastic: Elastic | None = None
    elastic_first: bool = False
    blur: float = 0.0

    @classmethod
    def draw(cls, aspect: float, generator: np.random.Generator) -> Change:
        """Draw one from the published ranges.

        Args:
            aspect: width / height of the picture.
            generator: source of chance.
        """
        scale_x, scale_y = generator.uniform(0.7, 1.3, 2)
        turn, shear = np.deg2rad(generator.uniform(-1, 1, 2) * [15, 0.05])
        shift = generator.uniform(-0.1, 0.1, 2) * [2 * aspect, 2]
        affine = np.array(
            [
                [scale_x * np.cos(turn), -scale_y * np.sin(turn + shear), shift[0]],
                [scale_x * np.sin(turn), scale_y * np.cos(turn + shear), shift[1]],
                [0, 0, 1],
            ]
        )
        elastic = Elastic.draw(generator) if generator.random() < 0.05 else None
        elastic_first = bool(generator.random() < 0.5)
        blur = float(generator.uniform(0, 0.5)) if generator.random() < 0.05 else 0.0
        return cls(affine, elastic, elastic_first, blur)

    def undo(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Follow points (..., H, W, 2) of the new frame back to where they were in the old one, of `size`.

        Each step pads with the edge's pixels: points outside go to the nearest pixel's middle.
        """
        back = torch.from_numpy(np.linalg.inv(self.affine)[:2].astype(np.float32)).to(points.device)
        edge = points.new_tensor([(size[1] - 1) / size[0], (size[0] - 1) / size[0]])
        field = None if self.elastic is None else self.elastic.field(size, points.device)
        if field is not None and not self.elastic_first:
            points = _clamped(_displaced(points, field), edge)
        points = _clamped(points @ back[:, :2].T + back[:, 2], edge)
        if field is not None and self.elastic_first:
            points = _clamped(_displaced(points, field), edge)
        return points


@dataclass(frozen=True, eq=False)
class ReleasedDraft:
    """A picture and its changes; a `clips.Draft`.

    Attributes:
        picture: (H, W, 3) uint8 RGB, the first frame.
        labels: (H, W) uint8.
        changes: one for each further frame.
    """

    picture: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    changes: tuple[Change, ...]

    @classmethod
    def draw(
        cls, picture: NDArray[np.uint8], labels: NDArray[np.uint8], frames: int, generator: np.random.Generator
    ) -> ReleasedDraft:
        """Draw the changes of a clip of `frames` frames."""
        aspect = labels.shape[1] / labels.shape[0]
        return cls(picture, labels, tuple(Change.draw(aspect, generator) for _ in range(frames - 1)))

    def render(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """See `clips.Draft.render`: bilinear for the picture, the nearest pixel for the labels."""
        device, count = torch.device(device), len(self.changes)
        picture = on_device(self.picture, device).permute(2, 0, 1)[None].float().div_(255)
        labels = on_device(self.labels, device)[None]
        if not count:
            return picture.transpose(0, 1).contiguous(), labels.clone()
        grid = self._origins(device)
        moved = functional.grid_sample(
            picture.expand(count, -1, -1, -1), grid, padding_mode="border", align_corners=False
        )
        named = functional.grid_sample(
            labels[:, None].float().expand(count, -1, -1, -1),
            grid,
            mode="nearest",
            padding_mode="border",
            align_corners=False,
        )
        # a blur stays on all later frames; variances add up
        for number, variance in enumerate(np.cumsum([change.blur**2 for change in self.changes])):
            if variance:
                moved[number] = blurred(moved[number : number + 1], float(variance**0.5))[0]
        clip = torch.cat([picture, moved.clamp_(0, 1)]).transpose(0, 1).contiguous()
        return clip, torch.cat([labels, named[:, 0].byte()])

    def _origins(self, device: torch.device) -> Tensor:
        """Where each pixel of the changed frames lies in the picture: (T - 1, H, W, 2), from -1 to 1."""
        height, width = self.labels.shape
        x, y = (line.to(device) for line in pixel_centres((height, width)))
        pixels = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)
        points = pixels.repeat(len(self.changes), 1, 1, 1)
        for number in reversed(range(len(self.changes))):  # the last change is undone first, on the last frame alone
            points[number:] = self.changes[number].undo(points[number:], (height, width))
        return points / points.new_tensor([width / height, 1])


def _displaced(points: Tensor, field: Tensor) -> Tensor:
    """Points (N, H, W, 2) and what a field (1, 2, H, W) adds to them there."""
    grid = points / points.new_tensor([field.shape[3] / field.shape[2], 1])
    shift = functional.grid_sample(
        field.expand(len(grid), -1, -1, -1), grid, padding_mode="border", align_corners=False
    )
    return points + shift.permute(0, 2, 3, 1)


def _clamped(points: Tensor, edge: Tensor) -> Tensor:
    return points.clamp(-edge, edge)
