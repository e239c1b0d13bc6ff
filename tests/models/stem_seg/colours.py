"""A STEm-Seg without weights, that takes colours for instances: what surrounds the network can be tried with it."""

import numpy as np
import torch
from torch.nn import functional

from rotoscope.models.stem_seg.maps import Maps
from rotoscope.models.stem_seg.network import DAVIS, YOUTUBE_VIS, StemSeg
from tests.models.stem_seg.small import small

RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
GREY = (90, 90, 90)


class Colours(StemSeg):
    """Places that are not grey are foreground; their embedding is their colour, their category the strongest channel.

    Args:
        semantic: whether it has logits; the seediness says what is foreground otherwise.
        reach: half the width of an instance in colours, 0 to 1.
    """

    def __init__(self, semantic=True, reach=0.2):
        torch.nn.Module.__init__(self)
        options = YOUTUBE_VIS if semantic else DAVIS
        self.__dict__.update(small(options).__dict__)
        self.reach = reach

    def features(self, frames):
        height, width = frames.shape[-2:]
        frames = functional.pad(frames, (0, -width % 32, 0, -height % 32), value=GREY[0] / 255)
        return [functional.avg_pool2d(frames, stride) for stride in (4, 8, 16, 32)]

    def heads(self, features):
        colours = features[0]
        saturation = colours.amax(dim=1, keepdim=True) - colours.amin(dim=1, keepdim=True)
        whole = (saturation > 0.6).float()
        embeddings = torch.cat([colours, torch.zeros_like(whole)], dim=1)
        raw = torch.full_like(colours[:, :2], float(np.log(1 / self.reach**2 / 10)))
        seediness = 0.95 * saturation * whole
        if not self.classes:
            return Maps(embeddings, raw, seediness)
        logits = torch.full((1, self.classes, *colours.shape[2:]), -9.0)
        logits[:, 1:4] = 9 * colours
        return Maps(embeddings, raw, seediness, logits, 20 * whole - 10)


def picture(*squares, size=(48, 64)):
    """Grey, with squares (colour, top, left, side)."""
    image = np.full((*size, 3), GREY, np.uint8)
    for colour, top, left, side in squares:
        image[max(0, top) : top + side, max(0, left) : left + side] = colour
    return image


def moving(count, *colours, size=(48, 64)):
    """Squares of 12 pixels that go to the right, one below the other."""
    return [
        picture(
            *((colour, 16 * row, (4 + index) % (size[1] - 12), 12) for row, colour in enumerate(colours)), size=size
        )
        for index in range(count)
    ]
