"""Clips cut as DMN-AOA's supplement says: one scale for all frames, flips in space and time, one random crop."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rotoscope.data.clips import FramesDraft
from rotoscope.data.proposals import ClipProposals, ProposedDraft, Window, cut_proposals
from rotoscope.errors import DataError
from rotoscope.masks.proposal_cache import Detections
from rotoscope.ops.resize import resize_labels, resize_picture

_TRIES = 10  # until the first frame of the clip shows an object


@dataclass(frozen=True)
class ScaledCrop:
    """The cutting; see `clips.Cutting`.

    Attributes:
        size: (height, width) of the result.
        factors: range that the scale is drawn from.
        short_side: of a frame at the scale 1, in pixels; at a scale where the frame would be smaller than the result it
            is enlarged to fit.
        flip: probability of mirroring.
        reverse: probability of running backwards.
    """

    size: tuple[int, int]
    factors: tuple[float, float] = (1.0, 1.5)
    short_side: int = 480
    flip: float = 0.5
    reverse: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.factors[0] <= self.factors[1] or self.short_side < 1:
            raise DataError(
                f"a scale from {self.factors[0]:g} to {self.factors[1]:g} of {self.short_side} pixels cannot be drawn"
            )

    def draft(
        self, frames: NDArray[np.uint8], labels: NDArray[np.uint8], generator: np.random.Generator
    ) -> FramesDraft:
        """See `Cutting.draft`."""
        return self._cut(frames, labels, generator)[0]

    def draft_with(
        self,
        frames: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        found: list[Detections],
        dataset: str,
        generator: np.random.Generator,
    ) -> ProposedDraft:
        """Cut a clip and the proposals of its frames alike.

        Args:
            frames: (T, H, W, 3) uint8 RGB.
            labels: (T, H, W) uint8.
            found: one for each frame.
            dataset: see `ClipProposals`.
            generator: source of chance.
        """
        draft, window, reversed_ = self._cut(frames, labels, generator)
        size = frames.shape[1], frames.shape[2]
        cut = [cut_proposals(one, size, window) for one in (found[::-1] if reversed_ else found)]
        return ProposedDraft(draft, ClipProposals(tuple(cut), dataset))

    def _cut(
        self, frames: NDArray[np.uint8], labels: NDArray[np.uint8], generator: np.random.Generator
    ) -> tuple[FramesDraft, Window, bool]:
        backwards = bool(generator.random() < self.reverse)
        if backwards:
            frames, labels = frames[::-1], labels[::-1]
        window = self._window((frames.shape[1], frames.shape[2]), generator)
        for _ in range(_TRIES):
            first = _cropped(resize_labels(np.ascontiguousarray(labels[0]), window.scaled), window)
            if ((first > 0) & (first < 255)).any():
                break
            window = self._window((frames.shape[1], frames.shape[2]), generator)
        window = replace(window, mirrored=bool(generator.random() < self.flip))
        pictures = [_cropped(resize_picture(np.ascontiguousarray(one), window.scaled), window) for one in frames]
        maps = [_cropped(resize_labels(np.ascontiguousarray(one), window.scaled), window) for one in labels]
        draft = FramesDraft(np.stack(pictures), np.stack(maps), self.size, window.mirrored)
        return draft, window, backwards

    def _window(self, size: tuple[int, int], generator: np.random.Generator) -> Window:
        scale = self.short_side / min(size) * float(generator.uniform(*self.factors))
        scale = max(scale, self.size[0] / size[0], self.size[1] / size[1])
        height, width = (max(round(side * scale), least) for side, least in zip(size, self.size, strict=True))
        top = int(generator.integers(0, height - self.size[0] + 1))
        left = int(generator.integers(0, width - self.size[1] + 1))
        return Window((height, width), top, left, self.size)


def _cropped(values: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    return values[window.top : window.top + window.size[0], window.left : window.left + window.size[1]]
