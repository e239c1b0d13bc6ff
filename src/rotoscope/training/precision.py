"""The type in which a training runs its network."""

from __future__ import annotations

import torch

from rotoscope.inference.prepare import choose_precision
from rotoscope.training.recipe import Recipe


def autocast_type(recipe: Recipe, device: torch.device) -> torch.dtype | None:
    """torch.bfloat16 where the recipe asks for it, None where the network runs in the weights' own float32.

    Raises:
        OptionError: it asks for what the device cannot run.
    """
    narrow = choose_precision(recipe.run.precision, device, False) == torch.bfloat16
    return torch.bfloat16 if narrow else None
