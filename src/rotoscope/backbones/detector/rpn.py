"""The first stage: where there may be objects.

Paper: Ren et al., "Faster R-CNN" (NeurIPS 2015), on the maps of a pyramid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.detector.anchors import anchors_of
from rotoscope.backbones.detector.conventions import RATIOS, Conventions
from rotoscope.ops.boxes import clipped, sides
from rotoscope.ops.nms import suppressed


@dataclass(frozen=True)
class ProposalOptions:
    """How many boxes are proposed.

    Attributes:
        before: of each map, by score, before they are suppressed.
        after: of each map, of those that stay.
        most: of all maps together.
        overlap: above which the box with the lower score is dropped.
        least: shortest side in pixels.
    """

    before: int = 1000
    after: int = 1000
    most: int = 1000
    overlap: float = 0.7
    least: float = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """Boxes that may hold an object, best first.

    Attributes:
        boxes: (P, 4) in pixels of the picture that the network sees.
        scores: (P,) in [0, 1].
    """

    boxes: Tensor
    scores: Tensor


class ProposalHead(nn.Module):
    """One 3x3 convolution, then a score and a box for each anchor; the same weights on every map.

    Args:
        channels: of the maps.
        sizes: side of the square anchor of each map, in pixels, finest first.
        conventions: see `Conventions`.
    """

    def __init__(self, channels: int, sizes: Sequence[int], conventions: Conventions) -> None:
        super().__init__()
        self.sizes, self.conventions = tuple(sizes), conventions
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.score = nn.Conv2d(channels, len(RATIOS), 1)
        self.delta = nn.Conv2d(channels, 4 * len(RATIOS), 1)

    def forward(self, maps: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Score every anchor.

        Args:
            maps: (B, C, h, w), finest first.

        Returns:
            For each map logits (B, 3, h, w) and box codes (B, 12, h, w), four channels an anchor.
        """
        found = []
        for x in maps:
            hidden = functional.relu(self.conv(x), inplace=True)
            found.append((self.score(hidden), self.delta(hidden)))
        return found

    def anchors(self, outputs: Sequence[tuple[Tensor, Tensor]], padded: tuple[int, int]) -> list[Tensor]:
        """The anchors of the maps that `outputs` were made from; see `anchors_of`."""
        shapes = [(logits.shape[2], logits.shape[3]) for logits, _ in outputs]
        device = outputs[0][0].device
        return [own.to(device) for own in anchors_of(shapes, padded, self.sizes, self.conventions)]

    @torch.no_grad()
    def proposals(
        self,
        outputs: Sequence[tuple[Tensor, Tensor]],
        size: tuple[int, int],
        padded: tuple[int, int],
        options: ProposalOptions,
        picture: int = 0,
    ) -> Proposals:
        """Choose the boxes that go to the second stage.

        Args:
            outputs: of `forward`.
            size: (height, width) of the picture without padding; boxes end there.
            padded: (height, width) with padding.
            options: see `ProposalOptions`.
            picture: which of the batch.
        """
        boxes, scores = [], []
        for (logits, deltas), anchors in zip(outputs, self.anchors(outputs, padded), strict=True):
            flat = logits[picture].permute(1, 2, 0).flatten().float()
            codes = deltas[picture].permute(1, 2, 0).reshape(-1, 4).float()
            chosen = flat.argsort(descending=True, stable=True)[: options.before]
            own = clipped(
                self.conventions.proposal_code.decode(anchors[chosen], codes[chosen]), size, self.conventions.inclusive
            )
            own_scores = flat[chosen].sigmoid()
            wide = (sides(own, self.conventions.inclusive) >= options.least).all(dim=1)
            own, own_scores = own[wide], own_scores[wide]
            stays = suppressed(own, own_scores, options.overlap, inclusive=self.conventions.inclusive)
            boxes.append(own[stays[: options.after]])
            scores.append(own_scores[stays[: options.after]])
        every = torch.cat(scores)
        best = every.argsort(descending=True, stable=True)[: options.most]
        return Proposals(torch.cat(boxes)[best], every[best])
