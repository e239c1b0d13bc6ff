"""The masks of a sequence, packed: most are made long before they are looked at, and a film has very many."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

import numpy as np

from rotoscope.types import RunLength

_FAST = 1  # level of compression; higher ones gain nothing on so few bytes
_AROUND = 150  # bytes that one entry takes besides what is packed


class PackedMasks(Mapping[int, RunLength]):
    """Masks by frame, in ascending order; each is unpacked when it is asked for. A third of the memory of run lengths.

    Args:
        masks: to begin with, by frame index; all of one size.
    """

    def __init__(self, masks: Mapping[int, RunLength] | None = None) -> None:
        self._packed: dict[int, bytes] = {}
        self._size = (0, 0)
        self.nbytes = 0  # of memory, about
        for frame, mask in (masks or {}).items():
            self.put(frame, mask)

    def put(self, frame: int, mask: RunLength) -> None:
        """Add the mask of a frame that has none yet.

        Raises:
            ValueError: it is of another size than those before, or the frame has one.
        """
        if frame in self._packed or (self._packed and mask.size != self._size):
            raise ValueError(f"frame {frame} has a mask, or {mask.size} is another size than {self._size}")
        self._size = mask.size
        self._packed[frame] = zlib.compress(mask.counts.astype(np.uint32, copy=False).tobytes(), _FAST)
        self.nbytes += len(self._packed[frame]) + _AROUND

    def __getitem__(self, frame: int) -> RunLength:
        return RunLength(self._size, np.frombuffer(zlib.decompress(self._packed[frame]), np.uint32))

    def __contains__(self, frame: object) -> bool:
        return frame in self._packed

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._packed))

    def __len__(self) -> int:
        return len(self._packed)
