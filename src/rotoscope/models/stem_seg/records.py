"""What is known of each instance from the frames so far: size, lifetime, category."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rotoscope.models.stem_seg.fit import quadrupled
from rotoscope.models.stem_seg.maps import STRIDE
from rotoscope.models.stem_seg.options import Votes


@dataclass(slots=True, eq=False)
class Record:
    """One instance.

    Attributes:
        label: of it in the label maps.
        first: index of its first frame.
        last: of its last frame so far.
        places: of the label maps, all frames together.
        evidence: (C,) float64 sums of logits, or numbers of places, by category, the background first; empty without.
    """

    label: int
    first: int
    last: int
    places: int
    evidence: NDArray[np.float64]

    @property
    def lifetime(self) -> int:
        """Frames from the first to the last, 0 for a single one."""
        return self.last - self.first

    @property
    def category(self) -> int | None:
        """Number from 1 of the likeliest category that is not the background, the first of equal ones."""
        return int(self.evidence[1:].argmax()) + 1 if len(self.evidence) > 1 else None


class Records:
    """Records of instances by label.

    Args:
        votes: see `EmbeddingOptions`.
    """

    def __init__(self, votes: Votes) -> None:
        self._votes = votes
        self._records: dict[int, Record] = {}
        self._largest = 0

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, label: int) -> Record:
        return self._records[label]

    @property
    def all(self) -> list[Record]:
        """In order of first appearance, within a frame by label."""
        return list(self._records.values())

    def score(self, label: int) -> float:
        """Places of an instance against those of the largest so far, in (0, 1]."""
        return self._records[label].places / self._largest

    def add(self, index: int, labels: NDArray[np.integer], classes: Tensor | None) -> list[int]:
        """Take the next frame; see `Labelled`.

        Returns:
            The labels of the instances on it, ascending.
        """
        present, counts = np.unique(labels[labels > 0], return_counts=True)
        evidence = self._evidence(labels, present, classes)
        for label, count, own in zip(present.tolist(), counts.tolist(), evidence, strict=True):
            record = self._records.get(label)
            if record is None:
                record = self._records[label] = Record(label, index, index, 0, np.zeros_like(own))
            record.last = index
            record.places += count
            record.evidence += own
            self._largest = max(self._largest, record.places)
        return [int(label) for label in present]

    def forget_before(self, index: int) -> None:
        """Let go of instances that were last seen before a frame."""
        self._records = {label: one for label, one in self._records.items() if one.last >= index}

    def _evidence(
        self, labels: NDArray[np.integer], present: NDArray[np.integer], classes: Tensor | None
    ) -> NDArray[np.float64]:
        """(len(present), C) of one frame."""
        if classes is None or not len(present):
            return np.zeros((len(present), 0))
        places = torch.from_numpy(labels == present[:, None, None]).to(classes)  # (I, h, w)
        full = places.shape[-2:] != classes.shape[-2:]
        if self._votes == "places":
            winners = (quadrupled(classes) if full else classes).argmax(dim=0)
            values = functional.one_hot(winners, len(classes)).to(places).permute(2, 0, 1)  # (C, h, w)
        else:
            places = _gathered(places) if full else places
            values = classes
        found: NDArray[np.float64] = (places.flatten(1) @ values.flatten(1).T).double().cpu().numpy()
        return found


def _gathered(places: Tensor) -> Tensor:
    """(I, 4h, 4w) -> (I, h, w): what each place of a quarter's size contributes, enlarged, to the sum over a mask.

    The transpose of the bilinear enlargement, so that logits of many categories need not be enlarged.
    """
    height, width = (side // STRIDE for side in places.shape[-2:])
    rows, columns = (_enlargement(side).to(places) for side in (height, width))
    return rows.T @ places @ columns


def _enlargement(side: int) -> Tensor:
    """(4 side, side), what each place contributes to those of the enlarged line."""
    lines = torch.eye(side)[None]
    return functional.interpolate(lines, scale_factor=float(STRIDE), mode="linear", align_corners=False)[0].T
