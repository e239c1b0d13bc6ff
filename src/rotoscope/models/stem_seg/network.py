"""STEm-Seg: a clip as one volume, an embedding for every place, instances as Gaussians in it.

Paper: Athar, Mahadevan, Osep, Leal-Taixe, Leibe, "STEm-Seg: Spatio-temporal Embeddings for Instance Segmentation in
Videos" (ECCV 2020).

Intended differences to the authors' code: frames come as RGB and are normalised and padded here (the stem's weights are
turned around when a file is read); a clip may have any length that the decoders know, whatever length the network was
trained with; the scale of the time axis and the bandwidths of free dimensions are constants, not weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from rotoscope.models.stem_seg.maps import Maps


class StemSeg(nn.Module):
    """Encoder and pyramid of single frames, heads over the clip.

    Attributes:
        length: T, frames of a clip as published; 2, 4, 8, 16, 24 and 32 are possible with the same weights.
        mode: of the embedding, see `embedding.MODES`.
        dimensions: E of the embedding.
        free: F, how many of these are free.
        free_bandwidths: (F,) buffer, inverse variances of the free dimensions.
        classes: C, categories with the background; 0 without a semantic head.
    """

    length: int
    mode: str
    dimensions: int
    free: int
    free_bandwidths: Tensor
    classes: int

    def features(self, frames: Tensor) -> list[Tensor]:
        """Encode frames, each by itself.

        Args:
            frames: (N, 3, H, W) RGB, uint8 or float in [0, 1], of any size. They are normalised, then padded with
                zeros at the bottom and right to multiples of 32, at least 96.

        Returns:
            (N, channels, h, w) of strides 4, 8, 16 and 32 of the padded frames, finest first. Kept a frame, they serve
            every clip that has it.
        """
        raise NotImplementedError

    def heads(self, features: Sequence[Tensor]) -> Maps:
        """Look at a clip as a whole.

        Args:
            features: (B, channels, T, h, w) of strides 4, 8, 16 and 32, finest first; of one clip:
                `[torch.stack(maps, dim=1)[None] for maps in ...]` of its frames.

        Raises:
            OptionError: the decoders know no clip of T frames.
        """
        raise NotImplementedError

    def forward(self, clips: Tensor) -> Maps:
        """Embed clips.

        Args:
            clips: (B, 3, T, H, W) RGB, uint8 or float in [0, 1]; see `features`.
        """
        raise NotImplementedError
