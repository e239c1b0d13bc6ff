"""Where the camera stands on each frame, and how layers and sprites fall into its picture.

The world is drawn once as the camera sees it at rest, wider than the picture. A sideways step of the camera moves each
point in proportion to its nearness: not at all at the horizon, fully at the bottom edge. For the flat ground that is a
shear, so that true parallax costs one affine warp.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class View:
    """The camera on one frame, lengths in pixels of the picture.

    Attributes:
        width: of the picture.
        height: of the picture.
        horizon: row of the horizon at rest.
        step: sideways position; ground at the bottom edge moves left by this much.
        zoom: magnification about the middle, 1 or more.
        shake: (x, y) displacement of the whole picture.
    """

    width: int
    height: int
    horizon: float
    step: float
    zoom: float
    shake: tuple[float, float]

    def nearness(self, row: float) -> float:
        """0 at the horizon, 1 at the bottom edge, for a ground row at rest."""
        return (row - self.horizon) / (self.height - self.horizon)

    def project(self, x: float, y: float) -> tuple[float, float]:
        """Bring a point of the picture at rest (the step already applied) into the picture."""
        middle_x, middle_y = self.width / 2, self.height / 2
        return middle_x + (x - middle_x) * self.zoom + self.shake[0], middle_y + (
            y - middle_y
        ) * self.zoom + self.shake[1]

    def warp(
        self, layer: Image.Image, margin: float, top: float, rows: tuple[int, int], depth: float | None
    ) -> Image.Image:
        """See a wide layer through the camera.

        Args:
            layer: drawn at rest; its column `margin` lies at the picture's left edge.
            margin: columns of the layer left of the picture.
            top: row of the picture at rest where the layer begins.
            rows: rows of the picture wanted, (first, end).
            depth: nearness of an upright layer; None for the ground, whose nearness grows with the row.

        Returns:
            The rows of the picture, in the layer's mode.
        """
        inverse = 1.0 / self.zoom
        start_x = self.width / 2 * (1 - inverse) - self.shake[0] * inverse
        start_y = self.height / 2 * (1 - inverse) - self.shake[1] * inverse + rows[0] * inverse
        size = (self.width, rows[1] - rows[0])
        if depth is not None:
            left, above = start_x + margin + self.step * depth, start_y - top
            return _resampled(layer, (left, above, left + size[0] * inverse, above + size[1] * inverse), size)
        shear = self.step / (self.height - self.horizon)
        shift = shear * (start_y - self.horizon)
        matrix = (inverse, shear * inverse, start_x + margin + shift, 0.0, inverse, start_y - top)
        return layer.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def _resampled(picture: Image.Image, source: tuple[float, float, float, float], size: tuple[int, int]) -> Image.Image:
    """Bring a box of a picture to a size; what lies outside the picture is transparent."""
    left, top = int(np.floor(source[0])) - 1, int(np.floor(source[1])) - 1
    window = picture.crop((left, top, int(np.ceil(source[2])) + 1, int(np.ceil(source[3])) + 1))
    box = (source[0] - left, source[1] - top, source[2] - left, source[3] - top)
    return window.resize(size, Image.Resampling.BILINEAR, box=box)


def camera_path(
    rng: np.random.Generator, frames: int, size: tuple[int, int], horizon: float, travel: float
) -> list[View]:
    """A slow sideways walk with a hand's unrest and a slight push in.

    Args:
        rng: gives the unrest its rhythm.
        frames: number of views.
        size: (height, width) of the picture.
        horizon: row of the horizon at rest.
        travel: pixels that the ground at the bottom edge moves through in all.
    """
    height, width = size
    unit = min(height, width) / 480
    seconds = np.arange(frames) / 24.0
    phases, speeds = rng.uniform(0, 2 * np.pi, (2, 3)), rng.uniform(0.5, 1.0, (2, 3)) * (2.2, 5.5, 13.0)
    weights = np.array((1.6, 0.7, 0.25)) * unit
    shake = (np.sin(seconds[:, None, None] * speeds + phases) * weights).sum(axis=2)
    progress = np.linspace(0.0, 1.0, frames) if frames > 1 else np.full(1, 0.35)
    zooms = 1.03 + 0.04 * progress
    return [
        View(width, height, horizon, float(travel * (at - 0.5)), float(zoom), (float(x), float(y)))
        for at, zoom, (x, y) in zip(progress, zooms, shake, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """An upright cut-out with a foot that stands on the ground.

    Attributes:
        picture: RGBA.
        foot: (x, y) in the sprite's pixels of the point that stands on the ground.
        scale: the sprite's pixels per pixel of the picture at rest.
    """

    picture: Image.Image
    foot: tuple[float, float]
    scale: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A sprite as it falls into the picture: RGBA of the box, and the box (left, top, right, bottom)."""

    picture: Image.Image
    box: Box


def place(sprite: Sprite, view: View, x: float, y: float, blur: float = 0.0) -> Patch | None:
    """Stand a sprite at a point of the picture at rest (the step already applied).

    Args:
        sprite: what to place.
        view: the camera.
        x: column of the foot.
        y: row of the foot.
        blur: length in pixels of the horizontal motion blur.

    Returns:
        The part inside the picture, None when there is none.
    """
    foot_x, foot_y = view.project(x, y)
    ratio = view.zoom / sprite.scale  # picture pixels per sprite pixel
    pad = int(blur) + 1
    left = max(0, int(np.floor(foot_x - sprite.foot[0] * ratio)) - pad)
    top = max(0, int(np.floor(foot_y - sprite.foot[1] * ratio)))
    right = min(view.width, int(np.ceil(foot_x + (sprite.picture.width - sprite.foot[0]) * ratio)) + pad)
    bottom = min(view.height, int(np.ceil(foot_y + (sprite.picture.height - sprite.foot[1]) * ratio)))
    if right <= left or bottom <= top:
        return None
    inverse = 1.0 / ratio
    source = (
        (left - foot_x) * inverse + sprite.foot[0],
        (top - foot_y) * inverse + sprite.foot[1],
        (right - foot_x) * inverse + sprite.foot[0],
        (bottom - foot_y) * inverse + sprite.foot[1],
    )
    picture = _resampled(sprite.picture, source, (right - left, bottom - top))
    if blur >= 0.5:
        picture = picture.convert("RGBa").filter(ImageFilter.BoxBlur((blur / 2, 0))).convert("RGBA")
    return Patch(picture, (left, top, right, bottom))
