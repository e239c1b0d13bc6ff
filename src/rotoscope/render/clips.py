"""A sheet of training clips with their masks, for a look at what a network is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.files import writing
from rotoscope.render.overlay import overlay

_FRAMES = 4  # of each clip


def draw_clips(clips: NDArray[np.float32], labels: NDArray[np.uint8], path: Path) -> None:
    """Draw a row for each clip, some of its frames with the objects marked.

    Args:
        clips: (B, 3, T, H, W) RGB in [0, 1].
        labels: (B, T, H, W) ids of objects, 0 background.
        path: a PNG file.

    Raises:
        OutputError: it cannot be written.
    """
    chosen = np.unique(np.linspace(0, clips.shape[2] - 1, _FRAMES).round().astype(int))
    pictures = (clips[:, :, chosen].transpose(0, 2, 3, 4, 1) * 255).round().astype(np.uint8)  # (B, t, H, W, 3)
    rows = [
        np.concatenate([overlay(picture, own) for picture, own in zip(row, masks[chosen], strict=True)], axis=1)
        for row, masks in zip(pictures, labels, strict=True)
    ]
    with writing(path) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary)
