"""Make a picture of what a model of instances finds in the rendered demo clip: frames in a row, the timeline below.

python scripts/instance_picture.py stem-seg-mobile docs/stem-seg-demo.png
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import rotoscope
from rotoscope.data.synthetic import SyntheticClip
from rotoscope.render import overlay
from rotoscope.types import ObjectMask

SHOWN = (6, 26, 50)
GAP = 8
WIDTH = 1500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a bundled name or a weights file")
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    frames = [frame.image for frame, _ in SyntheticClip(frames=60, seed=2)]
    result = rotoscope.load(given.model, device="cpu").segment(frames)
    height, width = frames[0].shape[:2]
    row = Image.new("RGB", (len(SHOWN) * (width + GAP) - GAP, height), "white")
    for place, number in enumerate(SHOWN):
        objects = [
            ObjectMask(track.id, track.masks[number], track.score, track.label)
            for track in result.tracks
            if number in track.masks
        ]
        drawn = overlay(frames[number], objects, names=True, apart=True)
        row.paste(Image.fromarray(drawn), (place * (width + GAP), 0))
    row = _to_width(row)
    with (
        tempfile.TemporaryDirectory() as folder,
        Image.open(result.timeline(Path(folder) / "timeline.png")) as image,
    ):
        timeline = _to_width(image.convert("RGB"))
    picture = np.concatenate([np.asarray(row), np.full((GAP, WIDTH, 3), 255, np.uint8), np.asarray(timeline)])
    Image.fromarray(picture).quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(given.picture, optimize=True)


def _to_width(picture: Image.Image) -> Image.Image:
    return picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
