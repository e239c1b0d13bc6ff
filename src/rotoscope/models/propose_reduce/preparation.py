"""Masks of the network's size back to the frame's."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from rotoscope.masks.run_length import decode
from rotoscope.types import RunLength

_SOLID = 0.5


def in_frame(mask: RunLength, size: tuple[int, int], frame: tuple[int, int]) -> NDArray[np.bool_]:
    """Bring a mask of the padded network size to its frame: bilinear on zeros and ones, more than half.

    Args:
        mask: padded.
        size: (height, width) of the network's frame without padding.
        frame: (height, width) of the video's frame.

    Returns:
        `frame` bool.
    """
    own = decode(mask)[: size[0], : size[1]]
    if own.shape == frame:
        return own
    soft = functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(own))[None, None].float(), frame, mode="bilinear", align_corners=False
    )
    large: NDArray[np.bool_] = (soft[0, 0] > _SOLID).numpy()
    return large
