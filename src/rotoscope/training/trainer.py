"""The training loop: batches in, steps, a moving average, validation, checkpoints; stopped and resumed at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from rotoscope.data.batches import Mixture, loader, made
from rotoscope.data.clips import ClipBatch, Draft
from rotoscope.errors import TrainingError
from rotoscope.inference.checkpoint import Card, save_weights
from rotoscope.inference.loading import options_of
from rotoscope.inference.prepare import channels_last, choose_precision
from rotoscope.models import system, trainable
from rotoscope.ops.frame_conv import FrameConv3d
from rotoscope.training import doubtful_gradients
from rotoscope.training.average import WeightAverage
from rotoscope.training.group import Group
from rotoscope.training.log import Log
from rotoscope.training.optimiser import build_optimiser, set_rates
from rotoscope.training.precision import autocast_type
from rotoscope.training.recipe import Recipe
from rotoscope.training.recipe_file import filled
from rotoscope.training.state import State, as_tables, load_state, random_state, save_state, set_random_state
from rotoscope.training.validation import Scores, Validation

BEST, LAST = "best.safetensors", "last.safetensors"
_OUT_OF_MEMORY = (
    "out of memory in step {}; lower run.batch and raise run.accumulate as much, or make clips.size or clips.length "
    "smaller. What was saved before is kept"
)


@dataclass(frozen=True)
class Progress:
    """What a training tells after a step.

    Attributes:
        step: steps done.
        steps: in all.
        loss: mean since the last line of the log.
        score: mean of the steps' own measure likewise.
        rate: learning rate of the step.
        seconds: trained so far, also before a resume.
        clips_per_second: since the start or resume.
        seconds_left: at that speed.
        logged: whether this step wrote a line.
    """

    step: int
    steps: int
    loss: float
    score: float
    rate: float
    seconds: float
    clips_per_second: float
    seconds_left: float
    logged: bool


@dataclass(frozen=True)
class Hooks:
    """What a training tells to whom, and what it asks.

    Attributes:
        progress: called after every step, in the first process.
        validated: called after every validation with the step, the scores and whether they are the best.
        remark: called with lines that a user should see.
        stopping: asked after every step; True ends the training there, with everything saved.
    """

    progress: Callable[[Progress], None] = lambda progress: None
    validated: Callable[[int, Scores, bool], None] = lambda step, scores, best: None
    remark: Callable[[str], None] = lambda line: None
    stopping: Callable[[], bool] = lambda: False


class Trainer:
    """One training in one folder.

    Args:
        recipe: what to do.
        network: on the CPU, with the weights to start from.
        data: what clips are drawn from.
        folder: gets `last.pt`, `last.safetensors`, `best.safetensors`, the log.
        group: the processes.
        hooks: see `Hooks`.

    Raises:
        OptionError: the recipe asks for what its system, or the device, does not know; nothing is written then.
    """

    def __init__(
        self, recipe: Recipe, network: nn.Module, data: Mixture, folder: Path, group: Group, hooks: Hooks | None = None
    ) -> None:
        self.recipe, self.data, self.folder, self.group = recipe, data, folder, group
        self.hooks = hooks or Hooks()
        self._amp = autocast_type(recipe, group.device)
        self._trainable = trainable(recipe.system)
        self._options = filled(self._trainable.options, recipe.model, "model")
        options_of(system(recipe.system).options, self._card())  # faults are told now, not when weights are kept
        self._trainable.begin(network, self._options)
        self.network = channels_last(network.to(group.device))
        if group.device.type == "cpu" and self._amp is not None:
            doubtful_gradients.replace_in(self.network)
        elif group.device.type == "cpu":
            FrameConv3d.replace_in(self.network)
        self._wrapped = group.wrapped(self.network)
        self._average = WeightAverage(self.network, recipe.run.average) if recipe.run.average else None
        self._optimiser = build_optimiser(self.network, recipe.optimiser)
        self._validation = Validation(recipe) if recipe.validation else None
        self.batch = recipe.run.batch * recipe.run.accumulate * group.size
        self.steps_per_epoch = len(data) / self.batch
        self.steps = recipe.run.steps or math.ceil(recipe.run.epochs * self.steps_per_epoch)
        data.samples = self.steps * self.batch
        self.step = 0
        self.best = -1.0
        self._before = 0.0  # seconds trained before a resume
        self._started, self._first = time.monotonic(), 0
        self._sums = (0.0, 0.0, 0)  # loss, score, steps since the last line of the log

    def resume(self) -> None:
        """Go on where `last.pt` stopped.

        Raises:
            OptionError: there is none, or it belongs to another recipe.
        """
        state = load_state(self.folder, self.recipe)
        self.network.load_state_dict(state.network)
        if self._average is not None and state.average is not None:
            self._average.network.load_state_dict(state.average)
            self._average.steps = state.average_steps
        self._optimiser.load_state_dict(state.optimiser)
        set_random_state(state.random)
        self.step, self.best, self._before = state.step, state.best, state.seconds

    def run(self) -> bool:
        """Train to the end, or until asked to stop.

        Returns:
            Whether the end was reached.

        Raises:
            TrainingError: the loss is no number, or memory ran out; what was saved last stays.
        """
        self._started, self._first = time.monotonic(), self.step
        stopped = False
        with Log(self.folder, self.step) if self.group.first else nullcontext() as log:
            batches = self._batches()
            while self.step < self.steps and not stopped:
                rate, norm = self._one_step(batches)
                self._tell(log, rate, norm)
                stopped = self.group.any(self.hooks.stopping()) and self.step < self.steps
                if not stopped:
                    self._validate(log)
                if stopped or self.step == self.steps or self.step % self.recipe.run.save_every == 0:
                    self._save()
        return not stopped

    def _batches(self) -> Iterator[list[Draft]]:
        run, group = self.recipe.run, self.group
        first, last = self.step * run.accumulate, self.steps * run.accumulate
        return loader(self.data, first, last, run.batch, group.rank, group.size, run.workers)

    def _one_step(self, batches: Iterator[list[Draft]]) -> tuple[float, float]:
        """Take one step of the optimiser; its learning rate and the length of its gradient."""
        recipe = self.recipe
        rate = set_rates(self._optimiser, recipe.schedule, self.step, self.steps, self.steps_per_epoch)
        self._trainable.mode(self.network, self._options)
        self._optimiser.zero_grad(set_to_none=True)
        loss = score = 0.0
        with _memory_told(self.step):
            for part in range(recipe.run.accumulate):
                batch = made(next(batches), self.group.device)
                found = self._backward(batch, last=part + 1 == recipe.run.accumulate)
                loss, score = loss + found[0], score + found[1]
        loss, score = self.group.means([loss / recipe.run.accumulate, score / recipe.run.accumulate])
        self._refuse(loss, "loss")
        longest = recipe.optimiser.clip_norm or math.inf
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), longest))
        self._refuse(norm, "gradient")
        self._optimiser.step()
        if self._average is not None:
            self._average.update(self.network)
        self._sums = (self._sums[0] + loss, self._sums[1] + score, self._sums[2] + 1)
        self.step += 1
        return rate, norm

    def _backward(self, batch: ClipBatch, last: bool) -> tuple[float, float]:
        """Add a batch's gradients; processes exchange theirs with the last one only."""
        alone = last or not isinstance(self._wrapped, DistributedDataParallel)
        with nullcontext() if alone else self._wrapped.no_sync():  # type: ignore[operator]
            options = self._trainable.at(self._options, self.step)
            result = self._trainable.step(self._wrapped, batch, options, self._amp)
            torch.autograd.backward(result.loss / self.recipe.run.accumulate)
        return float(result.loss.detach()), float(result.score)

    def _refuse(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            raise TrainingError(
                f"the {what} of step {self.step} is {value}; lower optimiser.rate, set optimiser.clip_norm or train in "
                f"fp32. What was saved before is kept in {self.folder}"
            )

    def _tell(self, log: Log | None, rate: float, norm: float) -> None:
        if log is None:
            return
        spent = time.monotonic() - self._started
        speed = (self.step - self._first) * self.batch / max(1e-9, spent)
        loss, score, count = self._sums
        logged = self.step % self.recipe.run.log_every == 0 or self.step == self.steps
        progress = Progress(
            step=self.step,
            steps=self.steps,
            loss=loss / count,
            score=score / count,
            rate=rate,
            seconds=self._before + spent,
            clips_per_second=speed,
            seconds_left=(self.steps - self.step) * self.batch / max(1e-9, speed),
            logged=logged,
        )
        if logged:
            shown = ("loss", "score", "rate", "seconds", "clips_per_second")
            values = {name: getattr(progress, name) for name in shown}
            log.add(self.step, "train", {**values, "gradient": norm, "epoch": self.step / self.steps_per_epoch})
            self._sums = (0.0, 0.0, 0)
        self.hooks.progress(progress)

    def _validate(self, log: Log | None) -> None:
        """Score the weights that would be kept; the best are kept."""
        table = self.recipe.validation
        if table is None or self._validation is None:
            return
        if self.step != self.steps and (self.step % table.every or self.step < table.start_at):
            return
        network = self.network if self._average is None else self._average.network
        dtype = choose_precision("auto", self.group.device, self.recipe.card.bf16)
        scores = self._validation.run(network, self.group, dtype)
        region, boundary, both = scores.means
        is_best = both > self.best
        self.best = max(self.best, both)
        if log is None:
            return
        each = {f"J {name}": value for name, value in scores.region.items()}
        log.add(self.step, "validation", {"J": region, "F": boundary, "J&F": both, **each})
        if is_best:
            self._keep(BEST, {"J": region, "F": boundary, "J&F": both, "step": self.step})
        self.hooks.validated(self.step, scores, is_best)

    def _save(self) -> None:
        """Write what a resume needs, and the weights as they are, from the first process."""
        if not self.group.first:
            return
        average = self._average
        save_state(
            self.folder,
            State(
                step=self.step,
                network=self.network.state_dict(),
                average=None if average is None else average.network.state_dict(),
                average_steps=0 if average is None else average.steps,
                optimiser=self._optimiser.state_dict(),
                random=random_state(),
                best=self.best,
                seconds=self._before + time.monotonic() - self._started,
                recipe=as_tables(self.recipe),
            ),
        )
        self._keep(LAST, {"step": self.step})

    def _keep(self, name: str, scores: dict[str, Any]) -> None:
        network = self.network if self._average is None else self._average.network
        save_weights(self.folder / name, network.state_dict(), self._card(scores))

    def _card(self, scores: dict[str, Any] | None = None) -> Card:
        card = self.recipe.card
        return Card(
            name=card.name or self.folder.name,
            system=self.recipe.system,
            network=self.recipe.network,
            options=dict(self.recipe.inference),
            bf16=card.bf16,
            source=card.source,
            licence=card.licence,
            scores={"validation": scores} if scores else {},
        )


@contextmanager
def _memory_told(step: int) -> Iterator[None]:
    """Put memory that runs out into words that help."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise TrainingError(_OUT_OF_MEMORY.format(step)) from error
    except RuntimeError as error:
        if "allocate memory" not in str(error) and "not enough memory" not in str(error):
            raise
        raise TrainingError(_OUT_OF_MEMORY.format(step)) from error
