"""Frames to the network's size, masks back to the frame's."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rotoscope.masks.run_length import decode
from rotoscope.ops.resize import to_channels
from rotoscope.types import RunLength

_SOLID = 0.5


def resized(image: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Bring a frame to the network's size: bilinear between the nearest four pixels, also where it shrinks.

    That is what the published weights were trained with; other systems' pictures are smoothed when they shrink.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: (height, width).

    Returns:
        (3, height, width) uint8.
    """
    pixels = to_channels(image)
    if image.shape[:2] == size:
        return pixels.contiguous()
    soft = functional.interpolate(pixels[None].float(), size, mode="bilinear", align_corners=False)
    return soft[0].round().to(torch.uint8)


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
