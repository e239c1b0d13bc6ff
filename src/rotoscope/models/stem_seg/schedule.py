"""When clips are complete and when their instances can be found, in whole numbers, so that waits are known before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import lru_cache

from rotoscope.models.clip_windows import ClipWindows


class Schedule:
    """Clips of a video in order, each with two moments: its frames are there, and nothing about them changes any more.

    Args:
        length: frames of a clip.
        overlap: frames that two clips share.
        patient: the second moment is when no later clip can share a frame with it; otherwise it is the first one.
    """

    def __init__(self, length: int, overlap: int, patient: bool = True) -> None:
        self._windows = ClipWindows(length, overlap, "shifted", "first")
        self._patient = patient
        self._waiting: deque[list[int]] = deque()
        self._over = False

    def push(self) -> list[int] | None:
        """Count one more frame; the frames of the clip that it completes, if any."""
        return self._noted(self._windows.push())

    def finish(self) -> list[int] | None:
        """Count no more; the frames of the last clip where one is still needed, the first repeated in short videos."""
        self._over = True
        return self._noted(next(self._windows.finish(), None))

    def settled(self) -> Iterator[list[int]]:
        """Take the clips, each frame once, whose second moment has come."""
        while self._waiting and (not self._patient or self._over or self._waiting[0][-1] < self.open_from):
            yield self._waiting.popleft()

    @property
    def open_from(self) -> int:
        """Frames below this index are in no clip to come."""
        return self._windows.final_before

    @property
    def needed_from(self) -> int:
        """Frames below this index are in no clip to come, and in none that waits."""
        return min(self._waiting[0][0], self.open_from) if self._waiting else self.open_from

    def _noted(self, clip: list[int] | None) -> list[int] | None:
        if clip is not None:
            self._waiting.append(sorted(set(clip)))
        return clip


@lru_cache
def look_ahead(length: int, overlap: int, patient: bool) -> int:
    """How many frames must follow a frame, at most, before its instances are known."""
    schedule = Schedule(length, overlap, patient)
    answered, most = 0, 0
    for index in range(6 * length):
        schedule.push()
        for clip in schedule.settled():
            most = max(most, index - answered)
            answered = clip[-1] + 1
    return most
