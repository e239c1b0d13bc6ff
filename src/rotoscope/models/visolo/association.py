"""Which instance of this frame is which of earlier ones: by the similarity of their cells alone.

First the frame before is asked, then instances that were lost, the latest first. Of an instance only the query
embedding of its cell is kept, so the pool of lost ones is small, and it has a bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(slots=True, eq=False)
class Group:
    """Instances of one frame.

    Attributes:
        ids: of the instances, the best first.
        queries: (len(ids), E) query embeddings of their cells on that frame.
    """

    ids: list[int]
    queries: Tensor

    def similarity(self, references: Tensor) -> list[list[float]]:
        """Probabilities [member][other] that a member is what lies in another frame's cell, (D, E) references."""
        found: list[list[float]] = torch.sigmoid(self.queries @ references.T).tolist()
        return found

    def only(self, places: list[int]) -> Group:
        """Some members."""
        return Group([self.ids[place] for place in places], self.queries[places])


class Associator:
    """Gives the instances of each frame their ids, 1, 2, ... in order of appearance.

    Args:
        least: similarity of two cells that makes them the same instance.
        lost_limit: members of the pool at most; the oldest are forgotten. 0: there is no pool.
    """

    def __init__(self, least: float = 0.1, lost_limit: int = 500) -> None:
        self.least, self.lost_limit = least, lost_limit
        self.previous: Group | None = None
        self.lost: list[Group] = []  # oldest first
        self.count = 0

    @property
    def known(self) -> set[int]:
        """Ids that a later frame may have again."""
        groups = self.lost if self.previous is None else [*self.lost, self.previous]
        return {track_id for group in groups for track_id in group.ids}

    def step(self, queries: Tensor, references: Tensor) -> list[int]:
        """Take the instances of the next frame.

        Args:
            queries: (D, E) query embeddings of their cells, the best instance first.
            references: (D, E) reference embeddings of the same cells.

        Returns:
            D ids.
        """
        ids: list[int | None] = [None] * len(queries)
        left = self._from_previous(ids, references)
        self._from_lost(ids, references)
        if left is not None and left.ids and self.lost_limit:
            self.lost.append(left)
        self._forget()
        for place, known in enumerate(ids):
            if known is None:
                self.count += 1
                ids[place] = self.count
        given = [track_id for track_id in ids if track_id is not None]
        self.previous = Group(given, queries) if given else None
        return given

    def _from_previous(self, ids: list[int | None], references: Tensor) -> Group | None:
        """Fill in ids of the frame before; give its members that were not found."""
        group = self.previous
        if group is None:
            return None
        taken = self._take(group, ids, references)
        return group.only([place for place in range(len(group.ids)) if place not in taken])

    def _from_lost(self, ids: list[int | None], references: Tensor) -> None:
        """Fill in ids of lost instances, the latest group first."""
        remaining: list[Group] = []
        for group in reversed(self.lost):
            if None in ids:
                taken = self._take(group, ids, references)
                if taken:
                    group = group.only([place for place in range(len(group.ids)) if place not in taken])
            if group.ids:
                remaining.append(group)
        self.lost = remaining[::-1]

    def _take(self, group: Group, ids: list[int | None], references: Tensor) -> set[int]:
        """Give each instance without an id, in order, the likest free member; each member serves once."""
        wanting = [place for place, known in enumerate(ids) if known is None]
        if not wanting:
            return set()
        similarity = group.similarity(references[wanting])
        taken: set[int] = set()
        for column, place in enumerate(wanting):
            free = [member for member in range(len(group.ids)) if member not in taken]
            best = max(free, key=lambda member: similarity[member][column], default=None)
            if best is not None and similarity[best][column] >= self.least:
                ids[place] = group.ids[best]
                taken.add(best)
        return taken

    def _forget(self) -> None:
        """Let go of the oldest lost instances where there are too many."""
        over = sum(len(group.ids) for group in self.lost) - self.lost_limit
        while over > 0:
            oldest = self.lost[0]
            kept = len(oldest.ids) - over
            over -= len(oldest.ids)
            if kept > 0:
                self.lost[0] = oldest.only(list(range(kept)))
            else:
                del self.lost[0]
