"""A system of instances that knows the answer: it gives the label maps that it was told, by video and frame.

Its words on a track change from frame to frame; only the last one is right.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from rotoscope.inference.checkpoint import Card
from rotoscope.inference.model import Model
from rotoscope.masks.run_length import encode
from rotoscope.models.contract import System
from rotoscope.types import Declaration, FrameResult, ObjectMask, Verdict

NAMES = ("car", "pedestrian")


@dataclass(frozen=True)
class KnownOptions:
    answers: int = 1


class KnownSession:
    """`truth` is (T, H, W) ids of the video, `named` id to category."""

    def __init__(self, truth, named):
        self._truth, self._named, self._place = truth, named, 0

    def step(self, frame, prompt=None):
        labels = self._truth[self._place]
        self._place += 1
        last = self._place == len(self._truth)
        objects, verdicts = [], {}
        for track_id in sorted(set(labels.ravel().tolist()) - {0}):
            label = self._named[track_id] if last else NAMES[self._place % 2]
            verdicts[track_id] = Verdict(0.9 if last else 0.1, label)
            objects.append(ObjectMask(track_id, encode(labels == track_id), 0.5, label))
        if last:
            verdicts |= {track_id: Verdict(0.9, label) for track_id, label in self._named.items()}
        return [FrameResult(frame.index, frame.timestamp, frame.size, tuple(objects), frame.name, None, verdicts)]

    def finish(self):
        return []

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        return


def model(truth, named, names=NAMES):
    """A model that answers `truth`, video name to (T, H, W) ids, and calls id n of each video `named[n]`."""

    def session(network, info, options, device):
        shown = set(np.unique(truth[info.name]).tolist())
        return KnownSession(truth[info.name], {number: name for number, name in named.items() if number in shown})

    system = System(
        name="known",
        title="knows",
        paper="none",
        task="instances",
        networks={"known": nn.Identity},
        options=KnownOptions,
        declare=lambda options: Declaration("instances", 0, "none", "nothing", 0),
        session=session,
        identify=lambda state: None,
        tidy=dict,
        published=lambda network: None,
        categories=lambda network, options: names,
    )
    card = Card("known", "known", "known", sha256="0")
    return Model(card, system, nn.Identity(), KnownOptions(), torch.device("cpu"), torch.float32)
