"""Several objects' masks, each found alone, as one distribution over background and objects at every pixel.

Oh et al., "Video Object Segmentation using Space-Time Memory Networks" (ICCV 2019), section 3.5; first in RGMP.
"""

from __future__ import annotations

import torch
from torch import Tensor

_CLAMP = 1e-7  # in float32 the upper end, 1 - 1e-7, rounds to 1 - 1.19e-7


def soft_aggregation(probabilities: Tensor, channels: int = 0) -> Tensor:
    """Join the objects of a frame.

    Args:
        probabilities: (O, ...) in [0, 1], each object against everything else; O may be 0.
        channels: the authors' code has 11 for any number of objects; those without an object get the smallest logit.
            0: as many as are needed.

    Returns:
        Logits (1 + O or `channels`, ...) float32, background first; their softmax over the first axis is the
        distribution.
    """
    objects = probabilities.float()
    evidence = torch.cat([(1 - objects).prod(dim=0, keepdim=True), objects])  # (1 + O, ...)
    if channels > len(evidence):
        evidence = torch.cat([evidence, evidence.new_zeros(channels - len(evidence), *evidence.shape[1:])])
    evidence = evidence.clamp(_CLAMP, 1 - _CLAMP)
    return torch.log(evidence / (1 - evidence))
