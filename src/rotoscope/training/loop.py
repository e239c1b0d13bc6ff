"""A plain training loop: batches in, steps, a moving average of the weights, a log line now and then.

For scripts and tests; `trainer` is the one with recipes, resume and several processes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rotoscope.training.average import WeightAverage


@dataclass(frozen=True)
class Progress:
    """What the loop tells its caller after a step.

    Attributes:
        step: steps done.
        steps: steps in all.
        loss: mean loss since the last report.
        score: mean of the step's own measure since the last report.
        seconds: since the start.
        rate: learning rate of the step.
    """

    step: int
    steps: int
    loss: float
    score: float
    seconds: float
    rate: float

    @property
    def seconds_left(self) -> float:
        """At the mean speed so far."""
        return self.seconds / max(1, self.step) * (self.steps - self.step)


def cosine_rate(step: int, steps: int, peak: float, warm_up: int) -> float:
    """Learning rate that rises linearly for `warm_up` steps, then falls along a cosine to a hundredth of `peak`."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    share = (step - warm_up) / max(1, steps - warm_up)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


Batch = object


def fit(
    network: nn.Module,
    batches: Iterable[Batch],
    step: Callable[[Batch], tuple[Tensor, Tensor]],
    optimiser: torch.optim.Optimizer,
    *,
    steps: int,
    warm_up: int = 100,
    clip_norm: float = 1.0,
    average: WeightAverage | None = None,
    report: Callable[[Progress], None] | None = None,
    report_every: int = 50,
) -> None:
    """Train for `steps` steps.

    Args:
        network: put in train mode.
        batches: at least `steps` of whatever `step` takes.
        step: batch -> (loss, measure).
        optimiser: each group's "lr" is its peak rate.
        steps: how many.
        warm_up: steps until the peak rate.
        clip_norm: longest gradient.
        average: kept up to date, if given.
        report: called every `report_every` steps and after the last.
        report_every: see `report`.

    Raises:
        FloatingPointError: a loss is not a number.
    """
    network.train()
    peaks = [group["lr"] for group in optimiser.param_groups]
    start, sums = time.monotonic(), [0.0, 0.0, 0]
    for number, batch in enumerate(_first(batches, steps)):
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["lr"] = cosine_rate(number, steps, peak, warm_up)
        loss, measure = step(batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss of step {number} is {loss.item()}; lower the learning rate")
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
        optimiser.step()
        if average is not None:
            average.update(network)
        sums = [sums[0] + loss.item(), sums[1] + float(measure), sums[2] + 1]
        if report is not None and ((number + 1) % report_every == 0 or number + 1 == steps):
            rate = optimiser.param_groups[0]["lr"]
            seconds = time.monotonic() - start
            report(Progress(number + 1, steps, sums[0] / sums[2], sums[1] / sums[2], seconds, rate))
            sums = [0.0, 0.0, 0]


def _first(batches: Iterable[Batch], count: int) -> Iterator[Batch]:
    iterator = iter(batches)
    for number in range(count):
        batch = next(iterator, None)
        if batch is None:
            raise ValueError(f"the batches ended after {number} of {count} steps")
        yield batch
