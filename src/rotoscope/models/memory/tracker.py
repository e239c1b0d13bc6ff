"""Following objects from frame to frame (STM, section 3.5 and the published evaluation code), on tensors.

One frame is taken at a time. Before it, the frame before becomes memory of every object, with its soft masks; so the
last frame of a video is never memorised. Each object has its own memory, which begins with the frame that its mask was
given on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.backbones.space_time_memory import STRIDE, SpaceTimeMemory, other_objects
from rotoscope.models.memory.entries import ObjectMemory
from rotoscope.models.memory.options import MemoryOptions
from rotoscope.ops.resize import padding_to
from rotoscope.ops.soft_aggregation import soft_aggregation


@dataclass(frozen=True, slots=True, eq=False)
class LastFrame:
    """The frame that was taken last.

    Attributes:
        pixels: (1, 3, H, W), padded.
        masks: (O, h, w) in [0, 1], without padding.
        ids: of these masks.
        given: those of them that were given.
    """

    pixels: Tensor
    masks: Tensor
    ids: tuple[int, ...]
    given: frozenset[int]


class Tracker:
    """The objects of one video at the network's size.

    Args:
        network: in eval mode.
        size: (h, w) of the frames.
        options: see `MemoryOptions`; its size is not used here.

    Attributes:
        padding: (left, right, top, bottom) black pixels that make both sides multiples of 16.
    """

    def __init__(self, network: SpaceTimeMemory, size: tuple[int, int], options: MemoryOptions) -> None:
        self.network = network
        self.options = options
        self.size = size
        top, bottom, left, right = padding_to(size, STRIDE)
        self.padding = (left, right, top, bottom)  # in the order of torch
        self._memories: dict[int, ObjectMemory] = {}  # ascending ids
        self._before: LastFrame | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """The objects that are followed, ascending."""
        return tuple(self._memories)

    @property
    def last_frame(self) -> LastFrame | None:
        """What the next step will remember; None where nothing is followed."""
        return self._before

    def memory_of(self, track_id: int) -> ObjectMemory:
        """What is remembered of an object."""
        return self._memories[track_id]

    @property
    def frames_held(self) -> int:
        """Frames in the largest memory of an object."""
        return max((len(memory) for memory in self._memories.values()), default=0)

    def remove(self, ids: tuple[int, ...]) -> None:
        """Stop following some objects."""
        for track_id in ids:
            del self._memories[track_id]

    def forget(self) -> None:
        """Let go of everything."""
        self._memories.clear()
        self._before = None

    @torch.inference_mode()
    def step(self, frame: Tensor, given: Mapping[int, Tensor]) -> Tensor:
        """Take the next frame.

        Args:
            frame: (3, h, w) RGB, uint8 or float in [0, 1].
            given: id to (h, w) float in [0, 1]: masks of new objects, or better ones of known objects.

        Returns:
            Aggregated logits (1 + O, h, w) float32 of background and the objects in `ids`.
        """
        self._memorise()
        pixels = functional.pad(frame[None], self.padding)  # black, before normalisation
        ids = self.ids
        logits = self._segment(pixels)
        if given:
            ids, logits = self._with_given(ids, logits, given)
        masks = logits.softmax(dim=0)[1:]
        for track_id, mask in given.items():
            masks[ids.index(track_id)] = mask  # remembered as it was given: aggregation would thin soft edges out
        self._before = LastFrame(pixels, masks, ids, frozenset(given)) if ids else None
        return logits

    def _segment(self, pixels: Tensor) -> Tensor:
        """(1, 3, H, W) -> aggregated logits (1 + O, h, w) of the objects followed so far."""
        height, width = self.size
        left, _, top, _ = self.padding
        parts = [pixels.new_zeros(0, height, width, dtype=torch.float32)]
        if self._memories:
            for found in self._found(pixels):
                parts.append(found[:, top : top + height, left : left + width])
        return soft_aggregation(torch.cat(parts))

    def _found(self, pixels: Tensor) -> Iterator[Tensor]:
        """(1, 3, H, W) -> (O, H, W) parts: the probabilities of the objects followed so far, in the order of `ids`."""
        query = self.network.query(pixels)
        for ids in self._batches(self.ids):
            yield self.network.segment(query, [self._memories[i].read() for i in ids], self.options.best)

    def _with_given(
        self, ids: tuple[int, ...], logits: Tensor, given: Mapping[int, Tensor]
    ) -> tuple[tuple[int, ...], Tensor]:
        """Lay given masks over what was found, and aggregate again; given masks count fully."""
        found = dict(zip(ids, logits.softmax(dim=0)[1:], strict=True))
        free = 1 - torch.stack(list(given.values())).amax(dim=0)  # (h, w), 0 where a mask was given
        masks = {track_id: mask * free for track_id, mask in found.items()} | dict(given)
        ids = tuple(sorted(masks))
        known, self._memories = self._memories, {}
        for track_id in ids:
            self._memories[track_id] = known[track_id] if track_id in known else self._fresh_memory()
        return ids, soft_aggregation(torch.stack([masks[track_id] for track_id in ids]))

    def _memorise(self) -> None:
        """Make the frame before memory of the objects that are still followed."""
        before, self._before = self._before, None
        if before is None:
            return
        others = other_objects(before.masks)
        places = []
        for place, track_id in enumerate(before.ids):
            memory = self._memories.get(track_id)
            if memory is not None and memory.wants(track_id in before.given):
                places.append(place)
            elif memory is not None:
                memory.pass_over()
        for batch in self._batches(tuple(places)):
            index = list(batch)
            masks, around = (functional.pad(maps[index], self.padding) for maps in (before.masks, others))
            for place, (key, value, *more) in zip(batch, self._entries(before.pixels, masks, around), strict=True):
                track_id = before.ids[place]
                self._memories[track_id].put(key, value, track_id in before.given, tuple(more))

    def _fresh_memory(self) -> ObjectMemory:
        chosen = self.options
        return ObjectMemory(chosen.memory_limit, chosen.memory_every, remember=chosen.remember)

    def _entries(self, pixels: Tensor, masks: Tensor, around: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """(1, 3, H, W), (O, H, W) twice -> for each object its key, its value, and what else is kept of the frame."""
        return zip(*self.network.memorise(pixels, masks, around), strict=True)

    def _batches(self, ids: tuple[int, ...]) -> list[tuple[int, ...]]:
        count = self.options.together
        return [ids[start : start + count] for start in range(0, len(ids), count)]
