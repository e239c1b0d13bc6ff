"""Instances of one clip: Gaussians around the best seeds, one after another.

Paper: Athar et al., STEm-Seg (ECCV 2020), section 3.4. The place with the highest seediness that belongs to nothing yet
is the centre of the next instance, its own bandwidth says how far that reaches, and every place near enough joins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Response = Literal["published", "gaussian"]
Leftovers = Literal["farthest", "nearest", "none"]

OUTLIER = -1
_LEAST_VARIANCE = 1e-8
_SPARSE = 0.6  # share of free places below which the others are let go of


@dataclass(frozen=True)
class Rules:
    """How places become instances; the defaults are those of the published code.

    Attributes:
        primary: response of an instance above which a place joins it.
        secondary: the same for places that are left over in the end.
        least_seediness: of a centre.
        most: instances of a clip.
        response: "published" is exp(-d / 2) of the distance d; "gaussian" exp(-d**2 / 2), as training has it.
        leftovers: which instance a place left over may join: the one whose centre is "farthest", as published, or
            "nearest"; or "none".
    """

    primary: float = 0.5
    secondary: float = 0.3
    least_seediness: float = 0.8
    most: int = 20
    response: Response = "published"
    leftovers: Leftovers = "farthest"


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Instances of a clip, I of them in order of their discovery.

    Attributes:
        labels: (N,) int64, label of each place; -1 for places of no instance.
        ids: labels of the instances.
        centres: (I, E) their centres.
        stds: (I, E) standard deviations of their Gaussians.
    """

    labels: Tensor
    ids: list[int]
    centres: Tensor
    stds: Tensor


@dataclass(slots=True, eq=False)
class _Places:
    """Places that some instance may still take: their columns, and which of these are free."""

    index: Tensor  # (n,) among all places
    embeddings: Tensor  # (E, n)
    seediness: Tensor  # (n,), -1 where taken
    free: int

    def only_free(self) -> _Places:
        keep = (self.seediness >= 0).nonzero()[:, 0]
        return _Places(self.index[keep], self.embeddings[:, keep], self.seediness[keep], len(keep))


def cluster(
    embeddings: Tensor, bandwidths: Tensor, seediness: Tensor, free: Tensor, rules: Rules, start: int = 1
) -> Clusters:
    """Cluster the foreground of a clip.

    Args:
        embeddings: (E, N) float.
        bandwidths: (E - F, N) float above 0, inverse variances of the dimensions that are not free.
        seediness: (N,) float in [0, 1]; of equal ones the first is taken first.
        free: (F,) inverse variances of the free dimensions.
        rules: see there.
        start: label of the first instance.
    """
    device, count = embeddings.device, embeddings.shape[1]
    labels = torch.full((count,), OUTLIER, dtype=torch.int64, device=device)
    places = _Places(torch.arange(count, device=device), embeddings, seediness.clone(), count)
    centres: list[Tensor] = []
    inverses: list[Tensor] = []
    last = places.index  # places that were free when the last round began
    while len(centres) < rules.most:
        if places.free < _SPARSE * len(places.index):
            places = places.only_free()
        last = places.index[places.seediness >= 0]
        if not places.free:
            break
        best = int(places.seediness.argmax())
        if float(places.seediness[best]) < rules.least_seediness:
            break
        centres.append(places.embeddings[:, best])
        inverses.append(torch.cat([bandwidths[:, places.index[best]], free]))
        near = response(squared_distance(places.embeddings, centres[-1], inverses[-1]), rules.response) > rules.primary
        taken = (near & (places.seediness >= 0)).nonzero()[:, 0]
        labels[places.index[taken]] = start + len(centres) - 1
        places.seediness[taken] = -1
        places.free -= len(taken)
    _join_leftovers(labels, last, embeddings, centres, inverses, rules, start)
    dimensions = embeddings.shape[0]
    stacked = torch.stack(centres) if centres else embeddings.new_zeros(0, dimensions)
    variances = 1 / torch.stack(inverses) if inverses else embeddings.new_zeros(0, dimensions)
    ids = list(range(start, start + len(centres)))
    return Clusters(labels, ids, stacked, variances.clamp(min=_LEAST_VARIANCE).sqrt())


def squared_distance(embeddings: Tensor, centre: Tensor, inverse: Tensor) -> Tensor:
    """(E, N) embeddings, (E,) centre and inverse variances -> (N,), the distance squared in standard deviations."""
    total = torch.zeros_like(embeddings[0])
    for line, middle, weight in zip(embeddings, centre, inverse, strict=True):
        total.addcmul_((line - middle).square_(), weight)
    return total


def response(squared: Tensor, kind: Response) -> Tensor:
    """How much places belong to an instance, 0 to 1, from their squared distance to its centre."""
    return torch.exp(-0.5 * (squared.sqrt() if kind == "published" else squared))


def _join_leftovers(
    labels: Tensor,
    last: Tensor,
    embeddings: Tensor,
    centres: Sequence[Tensor],
    inverses: Sequence[Tensor],
    rules: Rules,
    start: int,
) -> None:
    """Give places that are left over to instances, in `labels`.

    As published, the places that were free when the last round began are left over, so that those which the last
    instance took may change to another where the number of instances ended the search.
    """
    if rules.leftovers == "none" or not centres:
        return
    if rules.leftovers == "nearest":
        last = last[labels[last] == OUTLIER]
    if not len(last):
        return
    columns = embeddings[:, last]
    chosen = torch.zeros(len(last), dtype=torch.int64, device=labels.device)
    extreme = squared_distance(columns, centres[0], inverses[0])
    for place, (centre, inverse) in enumerate(zip(centres[1:], inverses[1:], strict=True), 1):
        found = squared_distance(columns, centre, inverse)
        better = found > extreme if rules.leftovers == "farthest" else found < extreme
        extreme = torch.where(better, found, extreme)
        chosen = torch.where(better, torch.full_like(chosen, place), chosen)
    joins = response(extreme, rules.response) > rules.secondary
    labels[last[joins]] = start + chosen[joins]
