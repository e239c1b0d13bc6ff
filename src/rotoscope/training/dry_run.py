"""What a training would be: its data, its length, the memory that a step takes; nothing is read but lists of files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from rotoscope.data.clips import ClipBatch
from rotoscope.inference.loading import on_meta, parameters_of
from rotoscope.inference.prepare import choose_device
from rotoscope.models import trainable
from rotoscope.training.optimiser import build_optimiser
from rotoscope.training.precision import autocast_type
from rotoscope.training.recipe import Recipe
from rotoscope.training.recipe_file import filled
from rotoscope.training.sources import epoch_clips


@dataclass(frozen=True)
class DryRun:
    """What was found out.

    Attributes:
        data: words, clips an epoch and whether it is at hand, for each table of data.
        parameters: numbers that have a gradient, and all.
        batch: clips a step, over all processes.
        steps: in all; 0 where it depends on data that is not at hand.
        steps_per_epoch: likewise.
        fixed_bytes: weights, gradients, the optimiser's moments and the moving average.
        batch_bytes: what a batch of one process keeps for the backward pass, and its clips.
        missing: files that the recipe names and that are not there.
    """

    data: list[tuple[str, int, bool]]
    parameters: tuple[int, int]
    batch: int
    steps: int
    steps_per_epoch: float
    fixed_bytes: int
    batch_bytes: int
    missing: list[str]


def dry_run(recipe: Recipe, processes: int = 1, device: str = "auto") -> DryRun:
    """Build everything without memory behind it, and count.

    Args:
        recipe: what would be done.
        processes: that would train together.
        device: where they would; see `inference.prepare.choose_device`.

    Raises:
        RotoscopeError: the recipe does not fit together, or asks for what the device cannot run.
    """
    amp = autocast_type(recipe, choose_device(device))
    root = Path(recipe.root)
    network = on_meta(recipe.system, recipe.network)
    chosen = trainable(recipe.system)
    options = filled(chosen.options, recipe.model, "model")
    chosen.begin(network, options)
    build_optimiser(network, recipe.optimiser)
    data = epoch_clips(recipe, root)
    batch = recipe.run.batch * recipe.run.accumulate * processes
    per_epoch = sum(count for (_, count, _), table in zip(data, recipe.data, strict=True) if table.weight > 0) / batch
    steps = recipe.run.steps or math.ceil(recipe.run.epochs * per_epoch)
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    every = parameters_of(network)
    moments = {"sgd": 1, "adam": 2, "adamw": 2}[recipe.optimiser.kind]
    fixed = 4 * (every + trained * (1 + moments) + (every if recipe.run.average else 0))
    start = Path(recipe.start)
    missing = [recipe.start] if start.suffix and not (start.exists() or (root / start).exists()) else []
    return DryRun(data, (trained, every), batch, steps, per_epoch, fixed, _batch_bytes(recipe, network, amp), missing)


def _batch_bytes(recipe: Recipe, network: nn.Module, amp: torch.dtype | None) -> int:
    """Trace one batch on tensors without memory; count every storage that is kept for the backward pass once."""
    chosen = trainable(recipe.system)
    options = filled(chosen.options, recipe.model, "model")
    chosen.mode(network, options)
    count, (height, width) = recipe.run.batch, recipe.clips.size
    clips = torch.empty(count, 3, recipe.clips.length, height, width, device="meta")
    masks = torch.empty(count, 1, recipe.clips.length, height, width, dtype=torch.uint8, device="meta")
    kept: dict[int, Tensor] = {}  # holds the tensors, so that no number is used twice

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    # Traced in float32: autocast does not know tensors without memory. In bfloat16 most maps take half of it.
    share = 1.0 if amp is None else 0.5
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = chosen.step(network, ClipBatch(clips, masks), options, None)
    del result
    traced = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    return round(share * traced) + clips.nbytes + masks.nbytes
