"""Features of the newest frames, in the order that the heads take them, each kept once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class FeatureRing:
    """Holds the features of the `length` newest frames, which is what any clip to come may need.

    A frame takes the place of the oldest. Before a clip is looked at, its first frame is turned to the first place,
    level by level, so that at no time two copies of all are there.

    Args:
        length: frames of a clip.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._levels: list[Tensor] = []  # (1, C, length, h, w)
        self._turned = 0  # a frame stands at its index plus this, modulo the length
        self._count = 0

    @property
    def frames(self) -> range:
        """Indices of the frames that are held."""
        return range(max(0, self._count - self._length), self._count) if self._levels else range(0)

    def push(self, features: Sequence[Tensor]) -> None:
        """Take the features of the next frame, (1, C, h, w) each."""
        if not self._levels:
            self._levels = [_room(one, self._length) for one in features]
        place = self._place(self._count)
        for level, one in zip(self._levels, features, strict=True):
            level[:, :, place] = one
        self._count += 1

    def clip(self, frames: Sequence[int]) -> list[Tensor]:
        """The features of a clip's frames.

        Args:
            frames: indices of frames that are held: as many as the length, one after another; or any, as copies.

        Returns:
            (1, C, T, h, w) each; those of a whole clip are valid until the next frame.
        """
        if list(frames) != list(range(frames[0], frames[0] + self._length)):
            places = torch.tensor([self._place(index) for index in frames], device=self._levels[0].device)
            return [level.index_select(2, places) for level in self._levels]
        first = self._place(frames[0])
        if first:
            for number in range(len(self._levels)):
                self._levels[number] = _turned(self._levels[number], first)
            self._turned = (self._turned - first) % self._length
        return list(self._levels)

    def clear(self) -> None:
        """Let go of everything."""
        self._levels.clear()

    def _place(self, index: int) -> int:
        return (index + self._turned) % self._length


def _room(features: Tensor, length: int) -> Tensor:
    """Room for so many of (1, C, h, w), channels last in memory where these are."""
    _, channels, height, width = features.shape
    last = features.is_contiguous(memory_format=torch.channels_last) and not features.is_contiguous()
    layout = torch.channels_last_3d if last else torch.contiguous_format
    return torch.empty(
        (1, channels, length, height, width), dtype=features.dtype, device=features.device, memory_format=layout
    )


def _turned(level: Tensor, first: int) -> Tensor:
    """The same with place `first` in front."""
    turned = torch.empty_like(level)
    rest = level.shape[2] - first
    turned[:, :, :rest] = level[:, :, first:]
    turned[:, :, rest:] = level[:, :, :first]
    return turned
