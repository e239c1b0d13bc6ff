"""A model that finds what is red: quick and predictable, for tests of everything around the network.

`python -m tests.inference.bright CLIPS ARGUMENTS ...` is the command line with this model; it hangs after CLIPS clips.
"""

import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from rotoscope.inference.checkpoint import Card
from rotoscope.inference.model import Model
from rotoscope.models.clip_options import ClipOptions
from rotoscope.models.three_dc_seg.system import SYSTEM
from tests.video.clips import encode

SIZE = (48, 64)


class Bright(nn.Module):
    def __init__(self, clips: float = math.inf) -> None:
        super().__init__()
        self.clips = clips

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        while self.clips <= 0:
            time.sleep(0.01)
        self.clips -= 1
        red = clip[:, 0] * 20 - 10
        return torch.stack([-red, red], dim=1)


def model(clips: float = math.inf, **options) -> Model:
    chosen = ClipOptions(**{"clip": 4, "overlap": 1, "size": "unchanged", "multiple": 4, **options})
    card = Card("bright", "3dc-seg", "mobile", sha256="0")
    return Model(card, SYSTEM, Bright(clips), chosen, torch.device("cpu"), torch.float32)


def images(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """A red square that moves to the right over dark ground."""
    pictures = np.full((count, *size, 3), 40, np.uint8)
    for index, picture in enumerate(pictures):
        picture[8:24, 4 + 2 * (index % 16) : 24 + 2 * (index % 16)] = (250, 30, 30)
    return list(pictures)


def clip(path: Path, count: int = 5, **settings) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return encode(path, images(count), **settings)


if __name__ == "__main__":
    from rotoscope.cli.app import main
    from rotoscope.inference import loading

    loading.load = lambda *_, **__: model(float(sys.argv[1]))
    main(sys.argv[2:])
