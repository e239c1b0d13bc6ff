"""What a STEm-Seg network says of every place of a clip.

Paper: Athar, Mahadevan, Osep, Leal-Taixe, Leibe, "STEm-Seg: Spatio-temporal Embeddings for Instance Segmentation in
Videos" (ECCV 2020), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

STRIDE = 4  # of every map, against the frame as it was padded
BANDWIDTH = 10.0  # a bandwidth is this times the exponential of what the network says


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Maps of a batch of clips at stride 4 of the padded frames; h = padded height / 4, w = padded width / 4.

    The padding is at the bottom and right, so that a crop to the frame's own share is `[..., : H // 4, : W // 4]`
    rounded up. All are float, with E the embedding's dimensions and F those of them that are free.

    Attributes:
        embeddings: (B, E, T, h, w), free dimensions last, coordinates added.
        raw_bandwidths: (B, E - F, T, h, w), any value; see `bandwidths`.
        seediness: (B, 1, T, h, w) in [0, 1], how good a centre of an instance the place is.
        classes: (B, C, T, h, w) logits of the categories, the background first; None without a semantic head.
        foreground: (B, 1, T, h, w) logits of anything against the background; None without a semantic head, or where
            that has no such channel.
    """

    embeddings: Tensor
    raw_bandwidths: Tensor
    seediness: Tensor
    classes: Tensor | None = None
    foreground: Tensor | None = None

    @property
    def bandwidths(self) -> Tensor:
        """(B, E - F, T, h, w) above 0, inverse variances of the dimensions that are not free.

        Those of the free dimensions, which come after them, are constants: `embedding.free_bandwidths`.
        """
        return BANDWIDTH * self.raw_bandwidths.exp()
