"""The second stage: what is in a box, and where exactly it ends."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.detector.conventions import Conventions
from rotoscope.ops.boxes import clipped, sides
from rotoscope.ops.nms import suppressed

POOLED = 7  # bins a side that the head sees


@dataclass(frozen=True)
class DetectionOptions:
    """Which boxes become detections.

    Attributes:
        score: a class of a box counts above it.
        overlap: above which, within a class, the box with the lower score is dropped.
        most: detections of a picture.
        least: shortest side in pixels.
        sort_always: order by score even where there are no more than `most`; the legacy family then leaves them class
            by class.
    """

    score: float = 0.05
    overlap: float = 0.5
    most: int = 100
    least: float = 1e-2
    sort_always: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Objects of one picture.

    Attributes:
        boxes: (D, 4).
        scores: (D,) in [0, 1].
        labels: (D,) int64, 0 for the first class; the background has none.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class BoxHead(nn.Module):
    """Two fully connected layers on 7x7 bins, then scores of the classes and a box for each.

    Args:
        channels: of the maps.
        classes: without the background.
        width: of the hidden layers.
        conventions: see `Conventions`.
    """

    def __init__(self, channels: int, classes: int, width: int, conventions: Conventions) -> None:
        super().__init__()
        self.conventions = conventions
        self.hidden1 = nn.Linear(channels * POOLED**2, width)
        self.hidden2 = nn.Linear(width, width)
        self.score = nn.Linear(width, classes + 1)
        self.delta = nn.Linear(width, 4 * (classes + 1))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, 7, 7) -> logits (N, 1 + classes), background first, and box codes (N, 4 * (1 + classes))."""
        x = functional.relu(self.hidden1(features.flatten(1)), inplace=True)
        x = functional.relu(self.hidden2(x), inplace=True)
        return self.score(x), self.delta(x)

    @torch.no_grad()
    def detections(
        self, boxes: Tensor, logits: Tensor, deltas: Tensor, size: tuple[int, int], options: DetectionOptions
    ) -> Detections:
        """Turn what the head says of proposals into detections.

        Args:
            boxes: (N, 4) the proposals.
            logits: (N, 1 + classes).
            deltas: (N, 4 * (1 + classes)).
            size: (height, width) of the picture without padding.
            options: see `DetectionOptions`.
        """
        inclusive = self.conventions.inclusive
        scores = logits.float().softmax(dim=1)[:, 1:]  # (N, classes)
        codes = deltas.float().view(len(boxes), -1, 4)[:, 1:]  # (N, classes, 4)
        every = clipped(self.conventions.box_code.decode(boxes[:, None], codes), size, inclusive)
        good = (scores > options.score) & (sides(every, inclusive) >= options.least).all(dim=2)
        labels, places = good.T.nonzero(as_tuple=True)  # class by class
        found, own = every[places, labels], scores[places, labels]
        stays = suppressed(found, own, options.overlap, labels, inclusive)
        if not options.sort_always and len(stays) <= options.most:
            stays = stays[labels[stays].argsort(stable=True)]
        stays = stays[: options.most]
        return Detections(found[stays], own[stays], labels[stays])
