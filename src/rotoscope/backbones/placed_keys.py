"""Keys of a memory that are compared by their angle, and by how near their positions are.

Ours; with keys of free lengths, as STM has them, one frame of a memory can draw all attention, and small networks that
begin with random keys learn slowly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from rotoscope.backbones.space_time_memory import rows

_WAVES = (0.5, 1.0, 2.0)  # per height of the frame


def placed_keys(key: Tensor, sharpness: Tensor, nearness: Tensor) -> Tensor:
    """Bring keys to one length and add their positions, as sines and cosines.

    Args:
        key: (B, C, h, w).
        sharpness: the length.
        nearness: the length of each wave of a position.

    Returns:
        (B, h * w, C + 12) float32 rows.
    """
    height, width = key.shape[-2:]
    y, x = (torch.arange(count, device=key.device, dtype=torch.float32) / height for count in (height, width))
    waves = 2 * math.pi * torch.tensor(_WAVES, device=key.device)
    y, x = (place[:, None] * waves for place in (y, x))  # (h, 3), (w, 3)
    down = torch.cat([y.sin(), y.cos()], dim=1)[:, None].expand(-1, width, -1)  # (h, w, 6)
    across = torch.cat([x.sin(), x.cos()], dim=1)[None].expand(height, -1, -1)
    place = torch.cat([down, across], dim=2).flatten(0, 1) * nearness  # (h * w, 12)
    content = functional.normalize(rows(key).float(), dim=2) * sharpness
    return torch.cat([content, place.expand(len(content), -1, -1)], dim=2)
