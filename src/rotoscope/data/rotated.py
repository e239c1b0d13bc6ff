"""VISOLO's way to cut a clip: resized, mirrored, then every frame turned and cropped by itself.

So a picture copied three times becomes a clip whose objects move as the camera does. There is no change of scale
between frames, no shear and no change of colour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.data.clips import FramesDraft
from rotoscope.ops.resize import resize_labels, resize_picture

_RIM = 1  # black pixels around a picture: Pillow repeats the last pixels of what it is given, and cuts them off


@dataclass(frozen=True)
class Turn:
    """A rotation onto a canvas that holds the whole picture, and a window of it.

    Attributes:
        size: (height, width) of the picture.
        degrees: counter-clockwise.
    """

    size: tuple[int, int]
    degrees: float

    @property
    def canvas(self) -> tuple[int, int]:
        """(height, width) of what holds the whole picture."""
        height, width = self.size
        sine, cosine = abs(math.sin(math.radians(self.degrees))), abs(math.cos(math.radians(self.degrees)))
        return round(height * cosine + width * sine), round(height * sine + width * cosine)

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where (N, 2) points (x, y) of the picture lie on the canvas."""
        (height, width), (high, wide) = self.size, self.canvas
        sine, cosine = math.sin(math.radians(self.degrees)), math.cos(math.radians(self.degrees))
        x, y = points[:, 0] - width / 2, points[:, 1] - height / 2
        return np.stack([cosine * x + sine * y + wide / 2, cosine * y - sine * x + high / 2], axis=1)

    def picture(self, corner: tuple[int, int], size: tuple[int, int], image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut a window out of the turned picture, bilinear; outside the picture, and for its border, all is black.

        Args:
            corner: (top, left) on the canvas.
            size: (height, width) of the window.
            image: (H, W, 3) of the size `size` of this turn.
        """
        layers = []
        for layer in np.moveaxis(image, 2, 0):  # as numbers, because bytes would be cut off instead of rounded
            framed = Image.fromarray(np.pad(layer.astype(np.float32), _RIM))
            turned = self._window(corner, size, framed, Image.Resampling.BILINEAR, _RIM)
            layers.append(np.rint(np.asarray(turned)))
        return np.stack(layers, axis=2).astype(np.uint8)

    def labels(self, corner: tuple[int, int], size: tuple[int, int], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same for (H, W) labels: the nearest pixel, 0 where there is none."""
        image = Image.fromarray(np.ascontiguousarray(labels))
        return np.asarray(self._window(corner, size, image, Image.Resampling.NEAREST))

    def _window(
        self, corner: tuple[int, int], size: tuple[int, int], image: Image.Image, how: Image.Resampling, rim: int = 0
    ) -> Image.Image:
        """Cut a window out of a turned image that has so many pixels more on every side."""
        (height, width), (high, wide), (top, left) = self.size, self.canvas, corner
        sine, cosine = math.sin(math.radians(self.degrees)), math.cos(math.radians(self.degrees))
        x, y = left - wide / 2, top - high / 2
        back = (
            *(cosine, -sine, cosine * x - sine * y + width / 2 + rim),
            *(sine, cosine, sine * x + cosine * y + height / 2 + rim),
        )
        return image.transform(size[::-1], Image.Transform.AFFINE, back, how)


@dataclass(frozen=True)
class RotatedCrop:
    """How VISOLO's released code cuts a clip out of its frames; a `clips.Cutting`.

    Attributes:
        size: (height, width) of the result.
        short_edges: length of the shorter side; one is drawn for each clip.
        longest: of the longer side.
        flip: probability of mirroring.
        flip_each: it is drawn for every frame by itself, as the released code does for pictures.
        degrees: largest rotation to either side, drawn for every frame.
    """

    size: tuple[int, int]
    short_edges: tuple[int, ...] = (360, 480)
    longest: int = 1333
    flip: float = 0.5
    flip_each: bool = False
    degrees: float = 15.0

    def resized(self, size: tuple[int, int], short_edge: int) -> tuple[int, int]:
        """What a frame of (height, width) is resized to: never as small as the crop, whatever becomes of its aspect."""
        scale = short_edge / min(size)
        if max(size) * scale > self.longest:
            scale = self.longest / max(size)
        height, width = (int(side * scale + 0.5) for side in size)
        return max(height, self.size[0] + 1), max(width, self.size[1] + 1)

    def draft(
        self, frames: NDArray[np.uint8], labels: NDArray[np.uint8], generator: np.random.Generator
    ) -> FramesDraft:
        """See `clips.Cutting.draft`."""
        whole = self.resized((labels.shape[1], labels.shape[2]), int(generator.choice(self.short_edges)))
        mirrored = generator.random(len(frames) if self.flip_each else 1) < self.flip
        pictures, maps = [], []
        for frame, own, mirror in zip(frames, labels, np.broadcast_to(mirrored, len(frames)), strict=True):
            picture, label = resize_picture(frame, whole), resize_labels(own, whole)
            if mirror:
                picture, label = picture[:, ::-1], label[:, ::-1]
            turn = Turn(whole, float(generator.uniform(-self.degrees, self.degrees)))
            top, left = (int(generator.integers(0, c - s + 1)) for c, s in zip(turn.canvas, self.size, strict=True))
            pictures.append(turn.picture((top, left), self.size, picture))
            maps.append(turn.labels((top, left), self.size, label))
        return FramesDraft(np.stack(pictures), np.stack(maps), self.size)
