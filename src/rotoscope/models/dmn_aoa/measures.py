"""What matching is worth against the truth: whether a detector proposes an object, and whether that one is chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from rotoscope.models.dmn_aoa.matching import mask_overlaps
from rotoscope.models.dmn_aoa.tracker import MatchingTracker

Labels = NDArray[np.integer]
FOUND = (0.5, 0.7)  # IoU with the truth from which a proposal is one of the object


def resized(labels: Labels, size: tuple[int, int]) -> Labels:
    """(H, W) labels -> (h, w), larger or smaller: the label at the middle of each pixel."""
    rows, columns = (
        ((np.arange(side) + 0.5) * own / side).astype(np.int64) for side, own in zip(size, labels.shape, strict=True)
    )
    found: Labels = labels[rows[:, None], columns]
    return found


def matched(tracker: MatchingTracker, truth: Labels) -> dict[int, dict[str, float]]:
    """What the last frame's matching was worth, for each object that was matched and is there.

    Args:
        tracker: has just taken the frame.
        truth: (H, W) labels.

    Returns:
        By id: "best proposal", the largest IoU of a proposal with the truth, 0 without proposals; where it is 0.5 or
        more, "assignment right", 1 where that proposal was chosen, else 0.
    """
    found, proposals = tracker.last, tracker.proposals
    small = torch.from_numpy(resized(truth, tracker.size).astype(np.int64))
    measures: dict[int, dict[str, float]] = {}
    for place, track_id in enumerate(tracker.matched):
        mask = small == track_id
        if found is None or not bool(mask.any()):
            continue
        if proposals is None or not len(proposals):
            measures[track_id] = {"best proposal": 0.0}
            continue
        padded = functional.pad(mask, tracker.padding)[None].to(proposals.masks.device)
        largest, best = mask_overlaps(padded, proposals.masks)[0].max(dim=0)
        measures[track_id] = {"best proposal": float(largest)}
        if float(largest) >= FOUND[0]:
            measures[track_id]["assignment right"] = float(int(found.match.chosen[place]) == int(best))
    return measures


def means_of(entries: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Means of each measure over the objects of all frames, and the share of them that a proposal finds."""
    every = list(entries)
    names = sorted({name for entry in every for name in entry if not name.endswith("area")})
    means = {name: float(np.mean([entry[name] for entry in every if name in entry])) for name in names}
    best = [entry["best proposal"] for entry in every if "best proposal" in entry]
    return means | {f"proposed at IoU {least}": float(np.mean(np.array(best) >= least)) for least in FOUND if best}


def by_area(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, float | int]]:
    """Each object's mean share of the frame and mean IoU with the truth, the smallest first (Fig. 4)."""
    entries: dict[int, list[Mapping[str, float]]] = {}
    for row in rows:
        for track_id, entry in row["objects"].items():
            if "area" in entry:
                entries.setdefault(int(track_id), []).append(entry)
    found: list[dict[str, float | int]] = [
        {
            "object": track_id,
            "area": float(np.mean([entry["area"] for entry in own])),
            "refined and true": float(np.mean([entry["refined and true"] for entry in own])),
        }
        for track_id, own in entries.items()
    ]
    return sorted(found, key=lambda entry: entry["area"])
