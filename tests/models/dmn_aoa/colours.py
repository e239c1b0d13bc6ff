"""A network whose keys are colours: quick, and its answers are known. Proposals are what has one colour."""

import dataclasses

import numpy as np
import torch
from torch.nn import functional

from rotoscope.backbones.space_time_memory import Query
from rotoscope.inference.checkpoint import Card
from rotoscope.inference.model import Model
from rotoscope.masks.proposal_cache import Detections
from rotoscope.models.dmn_aoa.network import DMNAOA
from rotoscope.models.dmn_aoa.options import AlignmentOptions
from rotoscope.models.dmn_aoa.system import SYSTEM
from tests.models.stm.colours import BLUE, CPU, GREEN, RED, mask_of

SHARPNESS = 12.0  # of the read: a position reads from what has its colour


class Colours(DMNAOA):
    """Keys hold the mean colour of each cell; with `refine` an object is what has the colour that memory holds."""

    def __init__(self) -> None:
        super().__init__((1, 1, 1), width=1, key=4, value=4, decoder=4, tokens=4)
        self.calls = {"memorise": 0, "segment": 0}

    def memorise(self, frame, masks, others):
        self.calls["memorise"] += 1
        cells = functional.avg_pool2d(self._keys(frame), 16).flatten(2).transpose(1, 2)  # (1, h * w, 4)
        weighted = frame.float() / 255 * masks[:, None]
        values = functional.avg_pool2d(torch.cat([weighted, masks[:, None]], dim=1), 16)
        return cells.expand(len(masks), -1, -1), values.flatten(2).transpose(1, 2)

    def query(self, frame):
        self.calls["segment"] += 1
        cells = functional.avg_pool2d(self._keys(frame), 16)
        return Query(cells.flatten(2).transpose(1, 2)[0], cells / SHARPNESS, frame, frame)

    def find(self, query, memories, proposals, previous, rule, *, soft=False, together=8):
        coarse = dataclasses.replace(rule, refine=False)
        found = super().find(query, memories, proposals, previous, coarse, soft=soft, together=together)
        if not rule.refine:
            return found
        masks = []
        for memory in memories:
            total = memory.values.sum(dim=0)
            colour = (total[:3] / total[3]).view(3, 1, 1)
            masks.append(torch.exp(-((query.r3[0].float() / 255 - colour) ** 2).sum(dim=0) * 20))
        return dataclasses.replace(found, probabilities=torch.stack(masks))

    @staticmethod
    def _keys(frame):
        pixels = frame.float() / 255
        return SHARPNESS * torch.cat([pixels - 0.5, torch.zeros_like(pixels[:, :1])], dim=1)


class ColourDetector:
    """Finds what is red, green or blue, and one thing that is nothing."""

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, image):
        self.calls += 1
        boxes, masks = [[2, 2, 12, 10]], [np.full((28, 28), 250, np.uint8)]
        for colour in (BLUE, GREEN, RED):
            mask = mask_of(image, colour)
            if not mask.any():
                continue
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            masks.append(np.full((28, 28), 255, np.uint8))
        count = len(boxes)
        scores = np.linspace(0.5, 0.9, count).astype(np.float32)
        return Detections(np.array(boxes, np.float32), np.stack(masks), scores, np.ones(count, np.int64))


def model(detector=None, **options):
    network = Colours().eval()
    network.detector = detector
    chosen = AlignmentOptions(**{"size": "unchanged", **options})
    return Model(Card("colours", "dmn-aoa", "dmn-aoa", sha256="0"), SYSTEM, network, chosen, CPU, torch.float32)
