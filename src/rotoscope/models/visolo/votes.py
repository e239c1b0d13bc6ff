"""What an instance is, from all frames that it was seen on: the mean of its probability vectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Vote:
    """The category of an instance, from 0, and how sure that is, 0 to 1."""

    label: int
    score: float


class Votes:
    """Sums of the vectors of instances that can be seen again."""

    def __init__(self) -> None:
        self._sums: dict[int, tuple[Tensor, int]] = {}

    def __len__(self) -> int:
        return len(self._sums)

    def add(self, track_id: int, vector: Tensor) -> Vote:
        """Count one more frame of an instance; tell what it is by all so far."""
        before = self._sums.get(track_id)
        total, count = (vector, 1) if before is None else (before[0] + vector, before[1] + 1)
        self._sums[track_id] = (total, count)
        mean = total / count
        label = int(mean.argmax())
        return Vote(label, float(mean[label]))

    def keep(self, ids: Iterable[int]) -> None:
        """Forget all other instances."""
        wanted = set(ids)
        self._sums = {track_id: one for track_id, one in self._sums.items() if track_id in wanted}
