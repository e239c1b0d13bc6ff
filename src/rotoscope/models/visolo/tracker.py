"""The online loop on tensors: one frame at a time, answered at once.

What is computed of a frame once and kept: its reference embedding and values (memory), the query embeddings of its
instances' cells (association). Weights of scores come from the similarities that aggregation takes anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rotoscope.models.visolo.association import Associator
from rotoscope.models.visolo.detection import Detections, candidate_cells, detect, nothing
from rotoscope.models.visolo.memory import Entry, GridMemory
from rotoscope.models.visolo.network import VISOLO
from rotoscope.models.visolo.options import OnlineOptions, parse_grid


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What the last frame was compared with.

    Attributes:
        frame: its number.
        memory: numbers of the frames in memory, oldest first; its own where there was none.
        logits: (S, T, S) similarities, [cell of the frame, place in memory, cell there].
    """

    frame: int
    memory: list[int]
    logits: Tensor

    @property
    def weights(self) -> Tensor:
        """(S, T, S), how much each cell of memory counts for each cell of the frame; each cell's sum to 1."""
        return self.logits.flatten(1).softmax(dim=1).view_as(self.logits)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One frame's answer.

    Attributes:
        ids: of the instances, in the order of `detections`.
        detections: best first.
        weight: (S,) by which scores of cells were multiplied; None on the first frame.
    """

    ids: list[int]
    detections: Detections
    weight: Tensor | None


class Tracker:
    """The instances of one video at the network's size.

    Args:
        network: in eval mode.
        options: see `OnlineOptions`; its size is not used here.
    """

    def __init__(self, network: VISOLO, options: OnlineOptions) -> None:
        self.network, self.options = network, options
        self.grid = parse_grid(options.grid)
        self.memory = GridMemory(options.memory_every, options.memory_recent, options.memory_limit)
        self.associator = Associator(options.least_similarity, options.lost_limit)
        self.reading: Reading | None = None
        self._next = 0

    def forget(self) -> None:
        """Let go of everything."""
        self.memory.clear()
        self.associator = Associator(self.options.least_similarity, self.options.lost_limit)
        self.reading = None

    @torch.inference_mode()
    def step(self, frame: Tensor) -> Found:
        """Take the next frame, (3, H, W) RGB, uint8 or float in [0, 1]."""
        size = (frame.shape[-2], frame.shape[-1])
        number, self._next = self._next, self._next + 1
        encoded = self.network.encode(frame[None], self.grid)
        query, reference = (part[0] for part in self.network.embed(encoded.key))  # (S, E)
        own = Entry(number, reference, self.network.values(encoded.category, encoded.mask)[0])
        self.reading, read = self._read(query, own)
        category, mask = self._aggregated(self.network.aggregate(encoded, read[None]), encoded.category, encoded.mask)
        vectors = self.network.category(category)[0].float().sigmoid().flatten(1).T  # (S, C)
        weight = self._weight(number)
        cells, scores = candidate_cells(vectors, weight, self.options)
        if len(cells):
            kernels = self.network.kernel(mask)[0].flatten(1)[:, cells]  # (K, N)
            features = self.network.decode(encoded.maps)[0]  # (K, h, w)
            logits = (kernels.T @ features.flatten(1)).view(-1, *features.shape[1:])  # (N, h, w)
            found = detect(vectors, cells, scores, logits, size, self.options)
        else:
            found = nothing(vectors, size)
        ids = self.associator.step(query[found.cells].float(), reference[found.cells].float())
        self.memory.put(own)
        return Found(ids, found, weight)

    def _read(self, query: Tensor, own: Entry) -> tuple[Reading, Tensor]:
        """Compare a frame's (S, E) query with memory and read it: (S, D); the first frame reads itself."""
        if self.memory.entries:
            frames, (references, values) = self.memory.frames, self.memory.read()
        else:
            frames, references, values = [own.frame], own.reference, own.values
        logits = query @ references.T  # (S, T * S)
        read = logits.float().softmax(dim=1).to(values.dtype) @ values
        return Reading(own.frame, frames, logits.view(len(logits), len(frames), -1)), read

    def _aggregated(self, both: tuple[Tensor, Tensor], category: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The features after aggregation, or before where the options say so."""
        chosen = self.options.aggregate
        return (
            both[0] if chosen in ("both", "category") else category,
            both[1] if chosen in ("both", "mask") else mask,
        )

    def _weight(self, number: int) -> Tensor | None:
        """(S,) how well each cell matches one of the frame before, and one of the newest kept frame before that."""
        if self.reading is None or number == 0 or self.options.reweight == "none":
            return None
        best = self.reading.logits.amax(dim=2).float().sigmoid()  # (S, T)
        weight = best[:, -1]
        kept = self.memory.kept_before(number - 1)
        if kept is None or self.options.reweight == "previous":
            return weight
        return (weight + best[:, kept]) / 2
