"""Measuring a model: time by stage, arithmetic, memory."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rotoscope.errors import OptionError
from rotoscope.inference.checkpoint import Card
from rotoscope.inference.loading import load, on_meta, options_of, parameters_of
from rotoscope.inference.model import Model
from rotoscope.inference.prepare import Precision, choose_device, choose_precision, prepare
from rotoscope.models import SYSTEM_NAMES, system
from rotoscope.types import Frame, Prompt, VideoInfo


@dataclass(frozen=True)
class Measured:
    """What a benchmark found.

    Attributes:
        name: of the model.
        device: where it ran.
        precision: float32 or bfloat16.
        stages: seconds a frame by stage.
        parameters: of the network.
        multiply_adds: of one pass of the network.
        passed: what went through it then.
        fresh: frames of a pass that were not in the pass before.
        peak_bytes: most memory held.
        peak_of: what that counts.
    """

    name: str
    device: str
    precision: str
    stages: dict[str, float]
    parameters: int
    multiply_adds: int
    passed: str
    fresh: int
    peak_bytes: int
    peak_of: str


def measure(name: str, size: tuple[int, int], device: str, precision: Precision, repeat: int) -> Measured:
    """Time a model's session on random frames; one that follows given objects is given one, a quarter of the frame.

    Args:
        name: a bundled name, a file, or SYSTEM/NETWORK with random weights.
        size: (height, width) of the frames.
        device: see `load`.
        precision: see `load`.
        repeat: timed passes.
    """
    model = _one_at_a_time(_open(name, device, precision))
    if model.declaration.look_ahead is None:
        raise OptionError(f"{name} needs the whole video; `bench` times only systems that take one frame after another")
    passes: list[dict[str, float]] = []
    fresh = 0
    with _timed(model.network, model.device) as (times, shapes):
        for number, (begun, frames) in enumerate(_rounds(model, size, repeat + 1)):
            network = sum(_whole(times).values())
            row = {stage: seconds / frames for stage, seconds in _leaves(times).items()}
            row["before and after"] = max(0.0, begun - network) / frames
            if number:
                passes.append(row)
            fresh = frames
            times.clear()
    stages = {stage: statistics.median(row.get(stage, 0.0) for row in passes) for stage in passes[0]}
    peak, what = _peak(model.device)
    kind = str(model.dtype).removeprefix("torch.")
    parameters = parameters_of(on_meta(model.card.system, model.card.network))
    if shapes:  # the network itself was called, with clips
        multiply_adds = _of_a_clip(model.card, shapes[-1])
        passed = f"a clip of {'x'.join(map(str, shapes[-1][2:]))}"
    else:
        multiply_adds, frames = _of_a_pass(model, size)
        passed = "a frame" if frames == 1 else f"{frames} frames"
    return Measured(name, str(model.device), kind, stages, parameters, multiply_adds, passed, fresh, peak, what)


def _open(name: str, device: str, precision: Precision) -> Model:
    system_name, _, network = name.partition("/")
    if system_name not in SYSTEM_NAMES or not network or Path(name).exists():
        return load(name, device=device, precision=precision)
    chosen = system(system_name)
    if network not in chosen.networks:
        raise OptionError(f"{system_name} has no network {network!r}; it has {', '.join(chosen.networks)}")
    target = choose_device(device)
    dtype = choose_precision(precision, target, False)
    card = Card(name, system_name, network, options=chosen.published_options.get(network, {}), source="random weights")
    options = options_of(chosen.options, card)
    return Model(card, chosen, prepare(chosen.networks[network](), target, dtype), options, target, dtype)


def _one_at_a_time(model: Model) -> Model:
    """The model without several clips at work at once, which could not be told apart by stage."""
    return model.with_options(parallel=1) if hasattr(model.options, "parallel") else model


def _rounds(model: Model, size: tuple[int, int], passes: int) -> Iterator[tuple[float, int]]:
    """Seconds and frames of `passes` passes: the network ran, frames were answered; the first is unlike others."""
    with model.session(VideoInfo("bench", size[1], size[0])) as session:
        given = 0
        ran = _Calls(model.network)
        start = time.perf_counter()
        for frame, prompt in _inputs(model, size):
            answered = session.step(frame, prompt)
            given += 1
            if answered and ran.since_asked():
                yield time.perf_counter() - start, given
                passes, given = passes - 1, 0
                if not passes:
                    return
                start = time.perf_counter()


def _inputs(model: Model, size: tuple[int, int]) -> Iterator[tuple[Frame, Prompt | None]]:
    """Random frames without end, the first with an object where the model is to be given one."""
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(4)]
    for index in count():
        prompt = None
        if index == 0 and model.declaration.prompts != "none":
            mask = np.zeros(size, np.bool_)
            mask[size[0] // 4 : size[0] * 3 // 4 + 1, size[1] // 4 : size[1] * 3 // 4 + 1] = True
            prompt = Prompt(0, {1: mask})
        yield Frame(index, index / 24, images[index % len(images)]), prompt


class _Calls:
    """Tells whether a part of a network was called."""

    def __init__(self, network: nn.Module) -> None:
        self._called = False
        for part in network.children():
            part.register_forward_hook(self._note)

    def _note(self, *_: Any) -> None:
        self._called = True

    def since_asked(self) -> bool:
        """Whether one was since this was true."""
        called, self._called = self._called, False
        return called


@contextmanager
def _timed(network: nn.Module, device: torch.device) -> Iterator[tuple[dict[str, float], list[tuple[int, ...]]]]:
    """Sum the seconds of the network's parts, two levels deep; keep the shapes of its inputs."""
    times: dict[str, float] = {}
    shapes: list[tuple[int, ...]] = []
    started: dict[str, float] = {}
    parts = {name: part for name, part in network.named_modules() if name and name.count(".") <= 1}
    handles = [network.register_forward_pre_hook(lambda _, given: shapes.append(tuple(given[0].shape)))]

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    def watch(name: str, part: nn.Module) -> None:
        def begin(*_: Any) -> None:
            started[name] = now()

        def end(*_: Any) -> None:
            times[name] = times.get(name, 0.0) + now() - started[name]

        handles.append(part.register_forward_pre_hook(begin))
        handles.append(part.register_forward_hook(end))

    for name, part in parts.items():
        watch(name, part)
    try:
        yield times, shapes
    finally:
        for handle in handles:
            handle.remove()


def _whole(times: dict[str, float]) -> dict[str, float]:
    """The parts, and parts of parts that were called without their whole."""
    return {stage: seconds for stage, seconds in times.items() if stage.rpartition(".")[0] not in times}


def _leaves(times: dict[str, float]) -> dict[str, float]:
    """The decoder's parts one by one, other parts whole; what a part's children leave over goes to the part."""
    detailed = {stage: seconds for stage, seconds in times.items() if stage.startswith("decoder.")}
    whole = _whole(times)
    return {stage: seconds for stage, seconds in whole.items() if stage != "decoder"} | detailed if detailed else whole


def _of_a_clip(card: Card, shape: tuple[int, ...]) -> int:
    """Multiply-adds of the network for a clip (B, 3, T, H, W)."""
    network = on_meta(card.system, card.network).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(shape, device="meta"))
    return int(counter.get_total_flops()) // 2


def _of_a_pass(model: Model, size: tuple[int, int]) -> tuple[int, int]:
    """Multiply-adds and frames of a session's third pass, by the network as it was built, in float32 on the CPU."""
    network = model.system.build(model.card.network).eval()
    info = VideoInfo("bench", size[1], size[0])
    with model.system.session(network, info, model.options, torch.device("cpu")) as session:
        inputs = _inputs(model, size)
        for _ in range(2):
            while not session.step(*next(inputs)):
                pass
        frames = 1
        with FlopCounterMode(display=False) as counter:
            while not session.step(*next(inputs)):
                frames += 1
    return int(counter.get_total_flops()) // 2, frames


def _peak(device: torch.device) -> tuple[int, str]:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), "allocated on the device"
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "resident, the whole process"
