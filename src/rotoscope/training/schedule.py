"""Learning rates as functions of the step: nothing to save, nothing to go out of step after a resume."""

from __future__ import annotations

import math

from rotoscope.training.recipe import ScheduleRecipe


def factor(schedule: ScheduleRecipe, step: int, steps: int, steps_per_epoch: float) -> float:
    """Give the share of the peak rate that a step takes.

    Args:
        schedule: see `ScheduleRecipe`.
        step: from 0.
        steps: in all.
        steps_per_epoch: for the schedules that count epochs, which change at the first step of an epoch.
    """
    if step < schedule.warm_up:
        return (step + 1) / schedule.warm_up
    epoch = math.floor(step / steps_per_epoch + 1e-9)
    if schedule.kind == "steps":
        dropped = sum(epoch >= drop for drop in schedule.drops) + sum(step >= drop for drop in schedule.drop_steps)
        return float(schedule.factor**dropped)
    if schedule.kind == "exponential":
        return float(schedule.factor**epoch)
    if schedule.kind == "decay":
        return float(schedule.factor ** (max(0, step - schedule.begin + 1) / schedule.per))
    done = min(1.0, (step - schedule.warm_up) / max(1, steps - schedule.warm_up))
    if schedule.kind == "cosine":
        return schedule.floor + (1 - schedule.floor) * 0.5 * (1 + math.cos(math.pi * done))
    if schedule.kind == "polynomial":
        return max(schedule.floor, float((1 - done) ** schedule.power))
    return 1.0
