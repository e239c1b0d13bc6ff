"""A network that remembers the mean colour of each object and finds it again: quick, and its answers are known."""

import numpy as np
import torch
from torch.nn import functional

from rotoscope.backbones.space_time_memory import Query
from rotoscope.inference.checkpoint import Card
from rotoscope.inference.model import Model
from rotoscope.models.memory.options import MemoryOptions
from rotoscope.models.stm.network import STM
from rotoscope.models.stm.system import SYSTEM
from rotoscope.types import Frame, Prompt, VideoInfo

CPU = torch.device("cpu")
SIZE = (48, 64)
RED, GREEN, BLUE, GREY = (250, 30, 30), (30, 250, 30), (30, 30, 250), (60, 60, 60)


class Colours(STM):
    """Keys hold (red, green, blue, area) of the object in each cell of 16 x 16 pixels."""

    def __init__(self) -> None:
        super().__init__((1, 1, 1), width=1, key=4, value=4, decoder=4)
        self.calls = {"memorise": 0, "segment": 0}

    def memorise(self, frame, masks, others):
        self.calls["memorise"] += 1
        assert ((masks >= 0) & (masks <= 1) & (others >= 0) & (others <= 1)).all()
        weighted = torch.cat([frame.float() / 255 * masks[:, None], masks[:, None]], dim=1)  # (O, 4, H, W)
        cells = functional.avg_pool2d(weighted, 16).flatten(2).transpose(1, 2)
        return cells, cells

    def query(self, frame):
        self.calls["segment"] += 1
        return Query(torch.zeros(1, 4), frame.float() / 255, frame, frame)

    def segment(self, query, memories, best=0):
        found = []
        for keys, _ in memories:
            total = keys.sum(dim=0)
            colour = (total[:3] / total[3]).view(3, 1, 1)
            found.append(torch.exp(-((query.value[0] - colour) ** 2).sum(dim=0) * 20))
        return torch.stack(found)


def model(**options):
    chosen = MemoryOptions(**{"size": "unchanged", **options})
    return Model(Card("colours", "stm", "stm", sha256="0"), SYSTEM, Colours().eval(), chosen, CPU, torch.float32)


def picture(*places, size=SIZE):
    """Grey ground with squares: (colour, top, left, side)."""
    image = np.full((*size, 3), GREY, np.uint8)
    for colour, top, left, side in places:
        image[top : top + side, left : left + side] = colour
    return image


def mask_of(image, colour):
    return (image == np.array(colour, np.uint8)).all(axis=2)


def run(model, images, prompts=()):
    """Results of every frame, and the tracker when the last one was taken."""
    by_frame = {prompt.frame_index: prompt for prompt in prompts}
    size = images[0].shape[:2]
    with model.session(VideoInfo("clip", size[1], size[0])) as session:
        results = []
        for index, image in enumerate(images):
            answered = session.step(Frame(index, index / 24, image), by_frame.get(index))
            assert len(answered) == 1
            results += answered
        held = session.tracker.frames_held
        assert session.finish() == []
    assert [result.index for result in results] == list(range(len(images)))
    return results, held


def prompt(index, image, **colours):
    """`prompt(0, image, _1=RED)`: object 1 is what is red."""
    return Prompt(index, {int(name[1:]): mask_of(image, colour) for name, colour in colours.items()})
