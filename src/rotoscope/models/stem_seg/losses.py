"""STEm-Seg's losses: instances as Gaussians in the embedding, their centres, their classes.

Paper: Athar et al., STEm-Seg (ECCV 2020), section 3.5 and the supplement; weights as in the authors' configurations.

Intended differences to the authors' code, which `form = "published"` undoes: an instance that vanishes on the way to
the map's size takes no other instance's place as a target; what is ignored does not count for the classes either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.errors import OptionError
from rotoscope.models.stem_seg.embedding import FREE_DIM_STDS, checked_stds, free_bandwidths
from rotoscope.models.stem_seg.maps import BANDWIDTH, STRIDE, Maps
from rotoscope.ops.lovasz import lovasz_hinge

Form = Literal["corrected", "published"]
VOID = 255  # label of what does not count
UNKNOWN = -1  # class of an object whose class is not known


@dataclass(frozen=True)
class LossOptions:
    """How maps are compared with labels.

    Attributes:
        lovasz: weight of the Lovasz hinge of the Gaussians.
        smoothness: weight of the bandwidths' variance within an instance.
        seediness: weight of the seediness.
        classes: weight of the classes' cross-entropy.
        foreground: weight of the foreground's binary cross-entropy.
        form: "corrected", or "published" with the slips of the authors' code.
        free_dim_stds: standard deviations of the embedding's free dimensions, one for all or one for each. What runs
            the network needs the same.
    """

    lovasz: float = 1.0
    smoothness: float = 10.0
    seediness: float = 1.0
    classes: float = 1.0
    foreground: float = 1.0
    form: Form = "corrected"
    free_dim_stds: tuple[float, ...] = FREE_DIM_STDS

    def __post_init__(self) -> None:
        weights = (self.lovasz, self.smoothness, self.seediness, self.classes, self.foreground)
        if min(weights) < 0 or not any(weights):
            raise OptionError(f"weights of the losses are 0 or more and not all 0, found {weights}")
        if self.form not in ("corrected", "published"):
            raise OptionError(f"form {self.form!r} is not known; choose corrected or published")
        object.__setattr__(self, "free_dim_stds", checked_stds(self.free_dim_stds))


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingLosses:
    """Scalars of a batch, not weighted yet.

    Attributes:
        lovasz: mean over the instances.
        smoothness: mean over the clips.
        seediness: mean over the instances and one.
        iou: of the Gaussians above one half with the instances, without gradient, 1 where there are none.
    """

    lovasz: Tensor
    smoothness: Tensor
    seediness: Tensor
    iou: Tensor


def shrunk(labels: Tensor) -> Tensor:
    """Labels at the maps' stride: what the middle four pixels of each 4x4 block agree on, 0 where they do not.

    The same as shrinking each instance's mask bilinearly and keeping what is whole; instances lose their rims.

    Args:
        labels: (..., H, W), any integer type; H and W multiples of 4.

    Returns:
        (..., H / 4, W / 4), the same type.
    """
    first = labels[..., 1::STRIDE, 1::STRIDE]
    same = torch.ones_like(first, dtype=torch.bool)
    for down, across in ((1, 2), (2, 1), (2, 2)):
        same = same & (labels[..., down::STRIDE, across::STRIDE] == first)
    return torch.where(same, first, torch.zeros_like(first))


def embedding_losses(
    maps: Maps,
    instances: Sequence[Tensor],
    ignored: Tensor,
    form: Form = "corrected",
    free_dim_stds: Sequence[float] = FREE_DIM_STDS,
) -> EmbeddingLosses:
    """The embedding's three losses.

    Args:
        maps: of B clips, float32 or more.
        instances: for each clip the masks of its instances, (J, T, h, w) bool; some may be empty.
        ignored: (B, T, h, w) bool, where the background's seediness may be anything.
        form: see `LossOptions`.
        free_dim_stds: see there.

    Returns:
        All 0 with gradients of 0 where no clip has an instance with pixels.

    Raises:
        OptionError: not as many standard deviations as free dimensions.
    """
    free = free_bandwidths(free_dim_stds, maps.embeddings.shape[1] - maps.raw_bandwidths.shape[1]).to(maps.embeddings)
    nothing = (maps.embeddings.sum() + maps.raw_bandwidths.sum() + maps.seediness.sum()) * 0
    lovasz, smoothness, seediness = [nothing], [nothing], [nothing]
    ious = []
    for clip, masks in enumerate(instances):
        kept = masks if masks.is_meta else masks[masks.flatten(1).any(1)]
        if not len(kept):
            continue
        embedding, raw = maps.embeddings[clip].flatten(1), maps.raw_bandwidths[clip].flatten(1)  # (E, V), (L, V)
        seeds = maps.seediness[clip].flatten()  # (V,)
        within = []
        for place, mask in enumerate(kept.flatten(1)):
            share = mask / mask.sum()  # (V,), its sum is 1
            gaussian = _gaussian(embedding, raw, share, free)
            target = masks[place].flatten() if form == "published" else mask
            if target.is_meta or target.any():
                lovasz.append(lovasz_hinge((2 * gaussian - 1)[None], target[None]))
                seediness.append((seeds - gaussian.detach()).square() @ share)
            within.append((raw - (raw * share).sum(1, keepdim=True)).square().mean(0) @ share)
            ious.append(_iou(gaussian.detach() > 0.5, mask))
        smoothness.append(torch.stack(within).mean())
        background = ~kept.any(0).flatten()
        squares = seeds.square() * (background & ~ignored[clip].flatten())
        seediness.append(squares.sum() / background.sum().clamp(min=1))
    found = len(ious)
    return EmbeddingLosses(
        torch.stack(lovasz).sum() / max(1, found),
        torch.stack(smoothness).sum() / len(instances),
        torch.stack(seediness).sum() / (found + 1),
        torch.stack(ious).mean() if found else torch.ones_like(nothing).detach(),
    )


def _gaussian(embedding: Tensor, raw: Tensor, share: Tensor, free: Tensor) -> Tensor:
    """Probability of every place to belong to an instance (section 3.1).

    Args:
        embedding: (E, V).
        raw: (L, V), of the first L dimensions.
        share: (V,), each place's share in the instance.
        free: (E - L,), inverse variances of the others.

    Returns:
        (V,) in [0, 1].
    """
    centre = embedding @ share
    learnt = (BANDWIDTH * raw.exp()) @ share
    bandwidth = torch.cat([learnt, free])  # (E,)
    distance = bandwidth @ (embedding - centre[:, None]).square()
    return (-0.5 * distance).exp()


def _iou(found: Tensor, truth: Tensor) -> Tensor:
    return (found & truth).sum() / (found | truth).sum().clamp(min=1)


def semantic_losses(
    classes: Tensor,
    foreground: Tensor,
    target: Tensor,
    ignored: Tensor,
    form: Form = "corrected",
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the classes and binary cross-entropy of the foreground, means over the clips.

    Args:
        classes: (B, C, T, h, w) logits, the background first.
        foreground: (B, 1, T, h, w) logits.
        target: (B, T, h, w) int64: 0 background, the class, or `UNKNOWN` for an object of no known class.
        ignored: (B, T, h, w) bool, what does not count.
        form: see `LossOptions`; in the published one, nothing is ignored for the classes.

    Returns:
        Two scalars.
    """
    counted = (~ignored).to(classes.dtype)
    entropy = functional.cross_entropy(classes, target, ignore_index=UNKNOWN, reduction="none")  # (B, T, h, w)
    known = torch.ones_like(counted) if form == "published" else counted * (target != UNKNOWN)
    binary = functional.binary_cross_entropy_with_logits(
        foreground[:, 0], (target != 0).to(foreground.dtype), reduction="none"
    )
    return _mean(entropy, known), _mean(binary, counted)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """(B, T, h, w) -> the mean over the clips of their weighted means."""
    weights = weights.flatten(1)
    means = (values.flatten(1) * weights).sum(1) / weights.sum(1).clamp(min=1)
    return means.mean()
