"""The memory of one object: a bounded number of frames, in place, without copying from frame to frame.

The order of the positions does not matter to the read, so a frame that is let go is overwritten where it lies.
"""

from __future__ import annotations

import torch
from torch import Tensor


class ObjectMemory:
    """Keys and values of some frames; the latest frame is always among them.

    Args:
        limit: most frames, at least 2.
        every: of the frames put in, the first and every so many-th stay; the latest is there until the next comes.
    """

    def __init__(self, limit: int, every: int) -> None:
        self.limit = limit
        self.every = every
        self._keys: Tensor | None = None  # (slots, h * w, key)
        self._values: Tensor | None = None  # (slots, h * w, value)
        self._staying: list[int] = []  # slots, oldest first
        self._passing: int | None = None  # the slot of the latest frame, where it does not stay
        self._put = 0

    def __len__(self) -> int:
        return len(self._staying) + (self._passing is not None)

    @property
    def frames(self) -> int:
        """Frames that there is room for now."""
        return 0 if self._keys is None else len(self._keys)

    def put(self, key: Tensor, value: Tensor, stay: bool = False) -> None:
        """Add the next frame.

        Args:
            key: (h * w, key).
            value: (h * w, value).
            stay: keep it whatever its number, as the frames whose masks were given.
        """
        slot = self._slot()
        self._make_room(slot + 1, key, value)
        if self._keys is None or self._values is None:
            raise AssertionError("no room was made")
        self._keys[slot].copy_(key)
        self._values[slot].copy_(value)
        if stay or self._put % self.every == 0:
            self._staying.append(slot)
            self._passing = None
        else:
            self._passing = slot
        self._put += 1

    def read(self) -> tuple[Tensor, Tensor]:
        """Keys (M, key) and values (M, value) of all frames, one after the other, as views."""
        if self._keys is None or self._values is None:
            raise AssertionError("nothing was put in")
        return self._keys[: len(self)].flatten(0, 1), self._values[: len(self)].flatten(0, 1)

    def _slot(self) -> int:
        """Where the next frame goes: over the one that passes, to a free place, or over the second oldest."""
        if self._passing is not None:
            return self._passing
        return len(self._staying) if len(self._staying) < self.limit else self._staying.pop(1)

    def _make_room(self, slots: int, key: Tensor, value: Tensor) -> None:
        if slots <= self.frames:
            return
        grown = min(self.limit, max(4, 2 * self.frames))
        self._keys = _grown(self._keys, key, grown)
        self._values = _grown(self._values, value, grown)


def _grown(old: Tensor | None, like: Tensor, slots: int) -> Tensor:
    new = torch.empty(slots, *like.shape, dtype=like.dtype, device=like.device)
    if old is not None:
        new[: len(old)] = old
    return new
