"""Pictures with labelled objects, and things cut out of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from rotoscope.errors import DataError
from rotoscope.ops.resize import resize_picture

Picture = NDArray[np.uint8]  # (H, W, 3) RGB
Labels = NDArray[np.uint8]  # (H, W), 0 background

TRIES = 20  # pictures or clips looked at before a source of things gives up
_MARGIN = 2  # pixels of surroundings that stay around a thing


class Stills(Protocol):
    """Pictures with labelled objects."""

    def __len__(self) -> int:
        """Count the pictures."""
        ...

    def read(self, index: int) -> tuple[Picture, Labels]:
        """Give one picture and the ids of its objects."""
        ...


@runtime_checkable
class CategorisedStills(Protocol):
    """Pictures whose objects have categories."""

    def categories(self, index: int) -> Mapping[int, int]:
        """Give the category number of each id of a picture."""
        ...


@dataclass(frozen=True, eq=False)
class Cutout:
    """A thing with little of its surroundings.

    Attributes:
        texture: (h, w, 3) uint8 RGB, or (T, h, w, 3) of a thing cut out of a video.
        mask: (h, w) or (T, h, w) bool, where the thing is.
    """

    texture: NDArray[np.uint8]
    mask: NDArray[np.bool_]

    def still(self, frame: int) -> Cutout:
        """The same thing that does not change by itself, as it is on one frame."""
        return self if self.mask.ndim == 2 else Cutout(self.texture[frame], self.mask[frame])


CutoutSource = Callable[[int, np.random.Generator], Cutout]  # frames, chance -> a thing; has to pickle


def cut_from(stills: Stills, least: int = 400) -> CutoutSource:
    """Make a source of things cut out of pictures.

    Args:
        stills: pictures with labelled objects.
        least: pixels that a thing must have.
    """
    return partial(_draw_cutout, stills, least)


def _draw_cutout(stills: Stills, least: int, frames: int, generator: np.random.Generator) -> Cutout:
    """Some object of some picture; `frames` does not matter, it never changes."""
    for _ in range(TRIES):
        picture, labels = stills.read(int(generator.integers(len(stills))))
        counts = np.bincount(labels.ravel(), minlength=2)[1:255]  # 255 does not count
        ids = 1 + np.flatnonzero(counts >= least)
        if len(ids):
            return cut(picture, labels == generator.choice(ids))
    raise DataError(f"{TRIES} pictures without an object of {least} pixels; are these masks empty?")


def whole_objects(labels: Labels, least: int) -> NDArray[np.intp]:
    """Ids of the objects of at least so many pixels that touch no edge of the picture; 255 does not count.

    Args:
        labels: (H, W) uint8.
        least: pixels.
    """
    whole = np.bincount(labels.ravel(), minlength=256) >= least
    whole[[0, 255]] = False
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        whole[edge] = False
    return np.flatnonzero(whole)


def cut(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Cutout:
    """Cut a thing out.

    Args:
        picture: (H, W, 3) or (T, H, W, 3) uint8.
        mask: (H, W) or (T, H, W) bool, not empty.

    Returns:
        Copies of the smallest window that the thing never leaves, and a margin.
    """
    flat = mask.reshape(-1, *mask.shape[-2:]).max(axis=0)
    rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    down = slice(max(0, int(rows[0]) - _MARGIN), int(rows[-1]) + 1 + _MARGIN)
    across = slice(max(0, int(columns[0]) - _MARGIN), int(columns[-1]) + 1 + _MARGIN)
    return Cutout(picture[..., down, across, :].copy(), mask[..., down, across].copy())


def soft_edges(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Opacity of a mask at another size, its edge a pixel wide and half a pixel further in.

    So no rim of the old surroundings comes along.

    Args:
        mask: (h, w) or (T, h, w) bool.
        size: (height, width) of the result.

    Returns:
        (height, width) or (T, height, width) uint8, 255 where it is opaque.
    """
    if mask.ndim == 3:
        return np.stack([soft_edges(one, size) for one in mask])
    resized = resize_picture(mask.astype(np.uint8) * 255, size)
    soft = np.asarray(Image.fromarray(resized).filter(ImageFilter.GaussianBlur(0.8)), np.int32)
    return np.clip((soft - 96) * 255 // 144, 0, 255).astype(np.uint8)
