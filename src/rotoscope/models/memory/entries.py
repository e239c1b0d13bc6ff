"""The memory of one object: a bounded number of frames, in place, without copying from frame to frame.

The order of the positions does not matter to the read, so a frame that is let go is overwritten where it lies. The
first frame always lies in place 0.
"""

from __future__ import annotations

import sys
from typing import Literal

import torch
from torch import Tensor

Remember = Literal["every", "both", "first", "previous"]


class ObjectMemory:
    """Keys, values and whatever else belongs to some frames; the latest frame is always among them.

    Args:
        limit: most frames, at least 2.
        every: of the frames put in, the first and every so many-th stay; the latest is there until the next comes.
        remember: "every": so; "both": the first and the latest; "first": the first alone, and nothing is to be put in
            after it (see `wants`); "previous": the latest alone.
        by_use: when it is full, the frame that was used least leaves (see `use`), instead of the oldest but the first.
    """

    def __init__(self, limit: int, every: int, by_use: bool = False, remember: Remember = "every") -> None:
        self.limit = 1 if remember == "previous" else limit
        self.remember = remember
        self.every = every
        self.by_use = by_use
        self.latest = 0  # the place of the latest frame
        self._parts: list[Tensor] = []  # each (places, ...): keys, values, and more
        self._used: Tensor | None = None  # (places,)
        self._staying: list[int] = []  # places, oldest first
        self._passing: int | None = None  # the place of the latest frame, where it does not stay
        self._numbers: list[int] = []  # by place, which frame lies there
        self._put = 0

    def __len__(self) -> int:
        return len(self._staying) + (self._passing is not None)

    @property
    def frames(self) -> int:
        """Frames that there is room for now."""
        return len(self._parts[0]) if self._parts else 0

    @property
    def numbers(self) -> list[int]:
        """By place, which of the frames put in lies there, counted from 0."""
        return self._numbers[: len(self)]

    def put(self, key: Tensor, value: Tensor, stay: bool = False, more: tuple[Tensor, ...] = ()) -> None:
        """Add the next frame.

        Args:
            key: (h * w, key).
            value: (h * w, value).
            stay: keep it whatever its number, as the frames whose masks were given; but for "previous".
            more: what else is to be kept of it, of the same shapes for every frame.
        """
        place = self._place()
        entry = (key, value, *more)
        self._make_room(place + 1, entry)
        for part, new in zip(self._parts, entry, strict=True):
            part[place].copy_(new)
        if self._used is not None:
            self._used[place] = 0
        if self._stays(stay):
            self._staying.append(place)
            self._passing = None
        else:
            self._passing = place
        self._numbers[place : place + 1] = [self._put]
        self.latest = place
        self._put += 1

    def wants(self, given: bool) -> bool:
        """Whether the next frame is to be put in at all; `given`: its mask was."""
        return given or self.remember != "first" or self._put == 0

    def pass_over(self) -> None:
        """Count a frame that is not put in."""
        self._put += 1

    def read(self) -> tuple[Tensor, Tensor]:
        """Keys (M, key) and values (M, value) of all frames, one after the other, as views."""
        keys, values = self.parts()[:2]
        return keys.flatten(0, 1), values.flatten(0, 1)

    def parts(self) -> tuple[Tensor, ...]:
        """Everything that was put in, (frames, ...) each, as views."""
        if not self._parts:
            raise AssertionError("nothing was put in")
        return tuple(part[: len(self)] for part in self._parts)

    def use(self, amounts: Tensor) -> None:
        """Count how much the frames were used: (frames,), in the order of `parts`."""
        if self._used is not None:
            self._used[: len(self)] += amounts

    def _stays(self, asked: bool) -> bool:
        if self.remember == "previous":
            return False
        return asked or self._put % (self.every if self.remember == "every" else sys.maxsize) == 0

    def _place(self) -> int:
        """Where the next frame goes: over the one that passes, to a free place, or over one that has to leave."""
        if self._passing is not None:
            return self._passing
        if len(self._staying) < self.limit:
            return len(self._staying)
        if self._used is None:
            return self._staying.pop(1)
        return self._staying.pop(1 + int(self._used[self._staying[1:]].argmin()))

    def _make_room(self, places: int, entry: tuple[Tensor, ...]) -> None:
        if places <= self.frames:
            return
        grown = min(self.limit, max(4, 2 * self.frames))
        old: list[Tensor | None] = [*self._parts] or [None] * len(entry)
        self._parts = [_grown(part, like, grown) for part, like in zip(old, entry, strict=True)]
        if self.by_use:
            self._used = _grown(self._used, torch.zeros((), device=entry[0].device), grown)


def _grown(old: Tensor | None, like: Tensor, places: int) -> Tensor:
    new = torch.empty(places, *like.shape, dtype=like.dtype, device=like.device)
    if old is not None:
        new[: len(old)] = old
    return new
