"""Following objects from frame to frame with proposals, on tensors; see docs/dmn-aoa.md for the protocol.

What is done besides a space-time memory's tracking: an object's memory also holds it as seen in its box; all objects of
a frame are matched with its proposals at once; the last mask of each object that was not empty is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.models.dmn_aoa.network import DMNAOA, Found, Proposals, Remembered
from rotoscope.models.dmn_aoa.options import AlignmentOptions
from rotoscope.models.dmn_aoa.template import Views
from rotoscope.models.memory.entries import ObjectMemory
from rotoscope.models.memory.tracker import Tracker


class MatchingTracker(Tracker):
    """The objects of one video at the network's size.

    Args:
        network: in eval mode.
        size: (h, w) of the frames.
        options: see `AlignmentOptions`.

    Attributes:
        last: what the last frame said of the objects followed before it; None without any.
        proposals: of the last frame.
        matched: the objects that `last` tells of, in its order.
    """

    network: DMNAOA
    options: AlignmentOptions

    def __init__(self, network: DMNAOA, size: tuple[int, int], options: AlignmentOptions) -> None:
        super().__init__(network, size, options)
        self.last: Found | None = None
        self.matched: tuple[int, ...] = ()
        self._previous: dict[int, Tensor] = {}  # id to (h, w) bool
        self.proposals: Proposals | None = None

    def remove(self, ids: tuple[int, ...]) -> None:
        """Stop following some objects."""
        super().remove(ids)
        for track_id in ids:
            self._previous.pop(track_id, None)

    def forget(self) -> None:
        """Let go of everything."""
        super().forget()
        self._previous.clear()
        self.last = None

    @torch.inference_mode()
    def step(self, frame: Tensor, given: Mapping[int, Tensor], proposals: Proposals | None = None) -> Tensor:
        """Take the next frame; see `Tracker.step`.

        Args:
            frame: (3, h, w) RGB, uint8 or float in [0, 1].
            given: id to (h, w) float in [0, 1].
            proposals: of the padded frame; None: no proposals.
        """
        self.proposals, self.last, self.matched = proposals, None, ()
        logits = super().step(frame, given)
        hard = logits.argmax(dim=0)
        for place, track_id in enumerate(self.ids, start=1):
            mask = hard == place
            if track_id not in self._previous or bool(mask.any()):
                self._previous[track_id] = mask
        return logits

    def _fresh_memory(self) -> ObjectMemory:
        chosen = self.options
        return ObjectMemory(chosen.memory_limit, chosen.memory_every, chosen.forget == "unused", chosen.remember)

    def _entries(self, pixels: Tensor, masks: Tensor, around: Tensor) -> Iterator[tuple[Tensor, ...]]:
        return zip(*self.network.remember(pixels, masks, around, self.options.rule), strict=True)

    def _found(self, pixels: Tensor) -> Iterator[Tensor]:
        proposals = self.proposals
        if proposals is None:
            proposals = Proposals.none((pixels.shape[-2], pixels.shape[-1]), pixels.device)
        self.matched = self.ids
        memories = [self._memories[track_id] for track_id in self.ids]
        previous = torch.stack([self._previous[track_id] for track_id in self.ids])
        self.last = self.network.find(
            self.network.query(pixels),
            [remembered(memory) for memory in memories],
            proposals,
            functional.pad(previous, self.padding),
            self.options.rule,
            together=self.options.together,
        )
        if self.options.forget == "unused":
            for memory, relevance in zip(memories, self.last.relevance, strict=True):
                memory.use(relevance.sum(dim=(1, 2)))
        yield self.last.probabilities


def remembered(memory: ObjectMemory) -> Remembered:
    """An object's memory as the network reads it."""
    keys, values, masks, *views = memory.parts()
    return Remembered(
        keys.flatten(0, 1), values.flatten(0, 1), masks.flatten(), Views(*views), first=0, previous=memory.latest
    )
