"""A detector of objects in single pictures, as systems that match proposals use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.errors import OptionError
from rotoscope.masks.proposal_cache import Detections


class PictureDetector:
    """Mask R-CNN with its weights, on a device."""

    @classmethod
    def from_published(cls, state: Mapping[str, Tensor], device: torch.device) -> Self:
        """Open torchvision's Mask R-CNN R50-FPN of COCO."""
        raise OptionError("no detector is built in yet; use proposals of a cache, or none")

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """(H, W, 3) uint8 RGB -> what is in it."""
        raise NotImplementedError
