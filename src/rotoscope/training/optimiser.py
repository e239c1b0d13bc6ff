"""Optimisers with a learning rate for each part of a network."""

from __future__ import annotations

from fnmatch import fnmatchcase

import torch
from torch import nn

from rotoscope.errors import OptionError
from rotoscope.training.recipe import OptimiserRecipe, ScheduleRecipe
from rotoscope.training.schedule import factor


def build_optimiser(network: nn.Module, recipe: OptimiserRecipe) -> torch.optim.Optimizer:
    """Build the optimiser of what has gradients, in one group for each rate.

    Raises:
        OptionError: a rate is for parameters that the network does not have.
    """
    groups: dict[str, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            fitting = [start for start in recipe.rates if fnmatchcase(name, start + "*")]
            groups.setdefault(max(fitting, key=len, default=""), []).append(parameter)
    lost = sorted(set(recipe.rates) - set(groups))
    if lost:
        parts = sorted({name.split(".")[0] for name, _ in network.named_parameters()})
        raise OptionError(f"optimiser.rates names {', '.join(lost)}; the network has parameters of {', '.join(parts)}")
    rates = {start: recipe.rates.get(start, recipe.rate) for start in groups}
    tables = [{"params": groups[start], "lr": rates[start], "peak": rates[start]} for start in sorted(groups)]
    if recipe.kind == "sgd":
        return torch.optim.SGD(
            tables, recipe.rate, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=recipe.nesterov
        )
    rule = torch.optim.AdamW if recipe.kind == "adamw" else torch.optim.Adam
    return rule(tables, recipe.rate, weight_decay=recipe.weight_decay)


def set_rates(
    optimiser: torch.optim.Optimizer, schedule: ScheduleRecipe, step: int, steps: int, steps_per_epoch: float
) -> float:
    """Set the rates of a step; see `schedule.factor`. Returns the highest."""
    share = factor(schedule, step, steps, steps_per_epoch)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * share
    return float(max(group["lr"] for group in optimiser.param_groups))
