"""Instances of a whole video: labels of overlapping clips are matched on the frames that they share.

Paper: Athar et al., STEm-Seg (ECCV 2020), section 3.4. Only the frames of the last clip are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from rotoscope.models.stem_seg.clustering import OUTLIER, Rules, cluster


def associate(
    existing: NDArray[np.integer], current: NDArray[np.integer], least_overlap: float = 0.0
) -> dict[int, tuple[int, float]]:
    """Match the labels that two clips give to the same places, so that the sum of IoUs is greatest (Hungarian).

    Args:
        existing: (N,) labels of the earlier clip, -1 for no instance.
        current: (N,) labels of the later one.
        least_overlap: IoU that a pair needs; 0, as published, takes every pair, even those without a common place.

    Returns:
        label of the earlier clip to the later one's and their IoU.
    """
    old, rows, areas = np.unique(existing, return_inverse=True, return_counts=True)
    new, columns, others = np.unique(current, return_inverse=True, return_counts=True)
    shared = np.bincount(rows * len(new) + columns, minlength=len(old) * len(new)).reshape(len(old), len(new))
    # Float32 as in the published code, lest another pair win a tie.
    overlap = (shared / np.maximum(areas[:, None] + others - shared, 1)).astype(np.float32)
    overlap, old = overlap[old != OUTLIER], old[old != OUTLIER]
    overlap, new = overlap[:, new != OUTLIER], new[new != OUTLIER]
    if not overlap.size:
        return {}
    pairs = zip(*linear_sum_assignment(1 - overlap), strict=True)
    return {
        int(old[row]): (int(new[column]), float(overlap[row, column]))
        for row, column in pairs
        if overlap[row, column] >= least_overlap
    }


class Chainer:
    """Gives the instances of one clip after another labels that hold for the video.

    Args:
        free: (F,) inverse variances of free dimensions.
        rules: of the clusters.
        least_overlap: see `associate`.
    """

    def __init__(self, free: Tensor, rules: Rules, least_overlap: float = 0.0) -> None:
        self._free, self._rules, self._least_overlap = free, rules, least_overlap
        self._labels: dict[int, Tensor] = {}  # frames of the last clip
        self._highest = 0

    def step(
        self, foreground: Mapping[int, Tensor], embeddings: Tensor, bandwidths: Tensor, seediness: Tensor
    ) -> dict[int, Tensor]:
        """Take the next clip of n places in all.

        Args:
            foreground: frame index to (h, w) bool, of the clip's frames in order.
            embeddings: (E, n) of the foreground's places in the order of frame, row, column.
            bandwidths: (E - F, n) of the same.
            seediness: (n,) of the same.

        Returns:
            frame index to (h, w) int32 labels, of the frames that no earlier clip had: 0 background, -1 foreground that
            belongs to no instance.
        """
        found = cluster(embeddings, bandwidths, seediness, self._free, self._rules, self._highest + 1)
        counts = [int(mask.sum()) for mask in foreground.values()]
        parts = dict(zip(foreground, torch.split(found.labels.to(torch.int32), counts), strict=True))
        known = [index for index in foreground if index in self._labels]
        self._rename(parts, self._matched(foreground, parts, known))
        fresh = {}
        for index, mask in foreground.items():
            if index not in self._labels:
                fresh[index] = torch.zeros(mask.shape, dtype=torch.int32, device=mask.device)
                fresh[index][mask] = parts[index]
        self._labels = {index: self._labels[index] for index in known} | fresh
        self._highest = max([self._highest, *(int(labels.max()) for labels in fresh.values())])
        return fresh

    def _matched(
        self, foreground: Mapping[int, Tensor], parts: Mapping[int, Tensor], known: Sequence[int]
    ) -> dict[int, int]:
        """Labels of this clip to those of the video."""
        if not known:
            return {}
        existing = torch.cat([self._labels[index][foreground[index]] for index in known])
        existing[existing == 0] = OUTLIER  # where the foreground has grown since
        current = torch.cat([parts[index] for index in known])
        pairs = associate(existing.cpu().numpy(), current.cpu().numpy(), self._least_overlap)
        return {new: old for old, (new, _) in pairs.items()}

    @staticmethod
    def _rename(parts: Mapping[int, Tensor], names: Mapping[int, int]) -> None:
        for labels in parts.values():
            before = labels.clone()
            for new, old in names.items():
                labels[before == new] = old
