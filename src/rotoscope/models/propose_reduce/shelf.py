"""Tensors of frames that are needed again: in memory up to a budget, then in a temporary file up to another."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

import torch
from torch import Tensor

from rotoscope.errors import OutputError

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where a tensor lies in the file, and how it lay in memory."""

    offset: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    last: bool  # channels-last


class Shelf:
    """Keeps what it is given first: nothing makes room for later ones, since every key frame goes through all frames.

    Args:
        memory: bytes in memory.
        disk: bytes in a file without a name, in the folder for temporary files; None: as many as there are.
    """

    def __init__(self, memory: int, disk: int | None) -> None:
        self._memory, self._disk = memory, disk
        self._held: dict[int, tuple[Tensor, ...]] = {}
        self._stored: dict[int, tuple[_Stored, ...]] = {}
        self._file: IO[bytes] | None = None
        self._written = 0
        self.held = 0  # bytes in memory

    def __contains__(self, frame: int) -> bool:
        return frame in self._held or frame in self._stored

    def put(self, frame: int, tensors: Sequence[Tensor]) -> bool:
        """Keep a frame's tensors, where there is room; say whether there was.

        Raises:
            OutputError: the temporary file cannot be written.
        """
        size = _bytes(tensors)
        if self.held + size > self._memory:
            return self._store(frame, tensors, size)
        self.held += size
        self._held[frame] = tuple(tensors)
        return True

    def _store(self, frame: int, tensors: Sequence[Tensor], size: int) -> bool:
        if self._disk is not None and size > self._disk:
            return False
        if self._disk is not None:
            self._disk -= size
        self._stored[frame] = tuple(self._write(tensor) for tensor in tensors)
        return True

    def get(self, frame: int) -> tuple[Tensor, ...] | None:
        """A frame's tensors as they were given; None when they were not kept."""
        if frame in self._held:
            return self._held[frame]
        stored = self._stored.get(frame)
        return None if stored is None else tuple(self._read(one) for one in stored)

    def resize(self, memory: int) -> None:
        """Have so much memory from now on; what has no room goes to the file if that has some, the last first.

        Raises:
            OutputError: see `put`.
        """
        self._memory = memory
        while self._held and self.held > self._memory:
            frame, tensors = self._held.popitem()
            self.held -= _bytes(tensors)
            self._store(frame, tensors, _bytes(tensors))

    def close(self) -> None:
        """Let everything go."""
        self._held.clear()
        self.held = 0
        self._stored.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, tensor: Tensor) -> _Stored:
        last = tensor.dim() == 4 and not tensor.is_contiguous()
        if last:
            last = tensor.is_contiguous(memory_format=torch.channels_last)
        plain = (tensor.permute(0, 2, 3, 1) if last else tensor).contiguous().cpu()
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the shelf)
            self._file.seek(self._written)
            self._file.write(plain.flatten().view(torch.uint8).numpy().data)
        except OSError as error:
            raise OutputError(
                f"a temporary file cannot be written ({error}); lower disk_budget, or set TMPDIR to a folder with more "
                f"room"
            ) from error
        stored = _Stored(self._written, tuple(plain.shape), tensor.dtype, tensor.device, last)
        self._written += plain.nbytes
        return stored

    def _read(self, stored: _Stored) -> Tensor:
        if self._file is None:
            raise AssertionError("the shelf is closed")
        plain = torch.empty(stored.shape, dtype=stored.dtype)
        self._file.seek(stored.offset)
        self._file.readinto(plain.flatten().view(torch.uint8).numpy())  # type: ignore[attr-defined]
        plain = plain.to(stored.device)
        return plain.permute(0, 3, 1, 2) if stored.last else plain


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
