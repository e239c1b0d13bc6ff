"""How a session ends, whatever system it is of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class ClosingSession(ABC):
    """A session that lets go of what it keeps when its `with` block ends, and takes no frame afterwards."""

    _finished = False

    @abstractmethod
    def _let_go(self) -> None:
        """Forget what was kept for frames to come."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let_go()
        self._finished = True
