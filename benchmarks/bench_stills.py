"""Clips made and read for training, against a training step of the bundled network on such clips; ratios of one run.

    python benchmarks/bench_stills.py [--device cuda] [--repeat 8] [--batch 2]

Pictures and sequences are rendered by the package and read from JPEG and PNG files; a clip counts from the draw to the
finished tensors. "A step" is loss, gradients and update for a batch, on all cores or on the device. A loader starves no
training where it makes more clips than the steps take.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from rotoscope.data.clips import Augmentation, ClipBatch
from rotoscope.data.sequences import VideoSequence
from rotoscope.data.sources import ClipSource, FramesOf, ReleasedStills, StillClips, VideoClips, moving_things
from rotoscope.data.stills.cutouts import cut_from
from rotoscope.data.stills.scenes import SceneOptions
from rotoscope.data.synthetic import SyntheticClip
from rotoscope.models.three_dc_seg.losses import LossOptions
from rotoscope.models.three_dc_seg.network import mobile
from rotoscope.models.three_dc_seg.training import training_step
from rotoscope.ops.bfloat16 import why_no_bfloat16
from rotoscope.ops.threads import single_core_pool

SIZES = ((6, 192, 336), (8, 240, 432))  # frames, height, width
LAST = torch.channels_last_3d


def write(folder: Path, size: tuple[int, int], frames: int, seed: int) -> VideoSequence:
    """Write a rendered sequence as a data set would hold it."""
    pictures, masks = [], []
    for index, (frame, labels) in enumerate(SyntheticClip(frames=frames, size=size, seed=seed)):
        pictures.append(folder / f"{seed}_{index:05d}.jpg")
        masks.append(folder / f"{seed}_{index:05d}.png")
        Image.fromarray(frame.image).save(pictures[-1], quality=90)
        Image.fromarray(labels).save(masks[-1])
    return VideoSequence(str(seed), pictures, list(masks))


def sources(folder: Path, length: int, size: tuple[int, int]) -> dict[str, ClipSource]:
    videos = [write(folder, (480, 854), 16, seed) for seed in range(2)]
    pictures = FramesOf([write(folder, (480, 640), 4, 2 + seed) for seed in range(3)])
    things = [cut_from(pictures), moving_things(videos)]

    def stills(moved: float) -> StillClips:
        return StillClips([pictures], [pictures, FramesOf(videos)], things, length, size, SceneOptions(moved=moved))

    return {
        "moved": stills(1.0),
        "composition": stills(0.0),
        "released": ReleasedStills(pictures, length, size),
        "video": VideoClips(videos, length, (length, 2 * length), Augmentation(size)),
    }


def make(source: ClipSource, seed: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(seed)
    return source.draw(int(generator.integers(len(source))), generator).render(device)


def many(pool: Executor, source: ClipSource, seeds: Sequence[int], device: str) -> None:
    list(pool.map(lambda seed: make(source, seed, device), seeds))


def wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def seconds(action: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    action()
    wait(device)
    return time.perf_counter() - start


def training(
    clips: list[tuple[torch.Tensor, torch.Tensor]], device: str, amp: torch.dtype | None
) -> Callable[[], None]:
    """One step of the bundled network on clips and their labels."""
    network = mobile().to(device).to(memory_format=LAST).train()  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-6)
    stacked = torch.stack([clip for clip, _ in clips]).contiguous(memory_format=LAST)
    batch = ClipBatch(stacked, torch.stack([(labels > 0).float()[None] for _, labels in clips]))
    options = LossOptions("two_class")

    def step() -> None:
        loss = training_step(network, batch, options, amp).loss
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()

    return step


def measure(found: dict[str, ClipSource], given: argparse.Namespace, cores: int) -> None:
    """Each kind in turn, round after round, and a step in every round: a machine that slows down slows all."""
    first = [make(source, 0, given.device) for source in list(found.values())[: given.batch]]
    lacking = why_no_bfloat16(torch.device(given.device))
    step = training(first, given.device, torch.bfloat16 if lacking is None else None)
    alone, together = single_core_pool(1), single_core_pool(cores)
    times: dict[str, list[float]] = {"step": []}
    for number in range(given.repeat + 1):
        round_times = {"step": seconds(step, given.device)}
        for name, source in found.items():
            seeds = range(number * 2 * cores, (number + 1) * 2 * cores)
            for pool, how in ((alone, "one"), (together, "all")):
                taken = seconds(partial(many, pool, source, seeds, given.device), given.device)
                round_times[f"{name} {how}"] = taken / len(seeds)
        for name, taken in round_times.items():
            if number:  # the first round warms up
                times.setdefault(name, []).append(taken)
    middle = {name: statistics.median(taken) for name, taken in times.items()}
    eaten = given.batch / middle["step"]
    kind = "bfloat16" if lacking is None else f"float32, since bfloat16 does not run here ({lacking})"
    print(f"  a step on {given.batch} clips: {middle['step']:.3f} s in {kind}, so {eaten:.1f} clips/s are eaten")
    for name in found:
        one, every = 1 / middle[f"{name} one"], 1 / middle[f"{name} all"]
        print(
            f"  {name:12} {one:6.1f} clips/s on one core, {every:6.1f} on all {cores}: "
            f"{one / eaten:5.1f}x and {every / eaten:5.1f}x what the steps eat"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeat", type=int, default=8)
    parser.add_argument("--batch", type=int, default=2)
    given = parser.parse_args()
    torch.manual_seed(0)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, device {given.device}")
    for length, height, width in SIZES:
        print(f"{length}x{height}x{width}")
        with tempfile.TemporaryDirectory() as folder:
            measure(sources(Path(folder), length, (height, width)), given, cores)


if __name__ == "__main__":
    main()
