"""D2Conv3D on a video: the logits of overlapping clips are averaged and cut at 0 (spec section 5)."""

from __future__ import annotations

from torch import Tensor

from rotoscope.models.clip_session import ClipSession


class D2Session(ClipSession):
    """One video going through D2Conv3D; see `ClipSession`.

    Intended difference to the authors' code: odd padding is cut where it was put; theirs is off by a pixel.
    """

    system = "d2conv3d"
    threshold = 0.0
    fill = "last"

    @staticmethod
    def evidence(logits: Tensor) -> Tensor:
        """(1, T, h, w) -> (T, h, w), the logit."""
        return logits[0]

    @staticmethod
    def probability(mean: Tensor) -> Tensor:
        """(h, w) mean logit -> (h, w) in [0, 1]."""
        return mean.sigmoid()
