"""Make docs/demo.png: a frame of the rendered demo clip, what the bundled model finds in it, and the cut-out.

python scripts/readme_picture.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import rotoscope
from rotoscope.data.synthetic import SyntheticClip
from rotoscope.masks.run_length import decode
from rotoscope.render import cutout, overlay

SHOWN = 26
GAP = 8
WIDTH = 1500


def on_squares(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 4) over the grey squares that stand for transparency."""
    rows, columns = np.indices(rgba.shape[:2]) // 16
    squares = np.where((rows + columns) % 2, 236, 250).astype(np.uint8)[..., None]
    alpha = rgba[..., 3:] / 255
    return (rgba[..., :3] * alpha + squares * (1 - alpha)).astype(np.uint8)


def main() -> None:
    frames = [frame.image for frame, _ in SyntheticClip(frames=60, seed=2)]
    result = list(rotoscope.load("3dc-seg-mobile", precision="fp32").segment(frames).results())[SHOWN]
    image = frames[SHOWN]
    mask = decode(result.objects[0].mask)
    panels = [image, overlay(image, result.objects), on_squares(cutout(image, mask))]
    height, width = image.shape[:2]
    picture = Image.new("RGB", (3 * width + 2 * GAP, height), "white")
    for number, panel in enumerate(panels):
        picture.paste(Image.fromarray(panel), (number * (width + GAP), 0))
    small = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    small.save(Path(__file__).parent.parent / "docs" / "demo.png", optimize=True)


if __name__ == "__main__":
    main()
