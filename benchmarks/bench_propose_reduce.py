"""How long the parts of Propose-Reduce take, and what a session of a short video keeps in memory.

    python benchmarks/bench_propose_reduce.py [--network r50] [--size 360x640] [--objects 3] [--memory 6] [--repeat 3]
    python benchmarks/bench_propose_reduce.py --video 60 [--keys 10] [--budget 1024 0]

Random weights; processor time of one thread. "again" is what the authors' code computes anew for every key frame and
what is kept here. With --video a session of so many frames runs, three objects a key frame; the peak is the
process's so far.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import torch

from rotoscope.inference.prepare import prepare
from rotoscope.models.propose_reduce import session as whole
from rotoscope.models.propose_reduce.network import SeqMaskRCNN
from rotoscope.models.propose_reduce.options import WholeVideoOptions
from rotoscope.models.propose_reduce.propagate import found_in
from rotoscope.models.propose_reduce.system import SYSTEM
from rotoscope.types import Frame, VideoInfo


def timed(name: str, repeat: int, work: Callable[[], object]) -> None:
    """Print the median processor time of a piece of work, after one round to warm up."""
    work()
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    print(f"{name:>34}  {sorted(seconds)[repeat // 2] * 1000:7.0f} ms")


@torch.inference_mode()
def parts(network: SeqMaskRCNN, size: tuple[int, int], objects: int, memory: int, repeat: int) -> None:
    """Time each part."""
    frame = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    x = network.normalised(frame)
    timed("body and pyramid", repeat, lambda: network.detector.maps(x))
    own, levels = network.detector.maps(x)
    timed("query and skips (again)", repeat, lambda: network.propagation.ask(levels[0], own[0], own[1]))
    maps = network.encode(frame)
    timed("detection", repeat, lambda: found_in(network, maps, WholeVideoOptions()))
    masks = torch.rand(objects, *size)
    timed(f"memorise {objects} objects", repeat, lambda: network.propagation.memorise(maps.levels[0], masks))
    keys, values = network.propagation.memorise(maps.levels[0], masks)
    memories = [(key.repeat(memory, 1), value.repeat(memory, 1)) for key, value in zip(keys, values, strict=True)]
    timed(f"segment {objects} objects, {memory} in memory", repeat, lambda: network.segment(maps, memories))
    boxes = torch.tensor([[20.0, 20, 90, 120]] * objects)
    timed(f"score {objects} boxes", repeat, lambda: network.class_scores(maps, boxes))
    print(f"features of a frame: {sum(part.nbytes for part in maps.tensors()) / 2**20:.1f} MiB")


def video(network: SeqMaskRCNN, size: tuple[int, int], frames: int, objects: int, keys: int, budget: int) -> float:
    """Time a session; the seconds."""
    masks = torch.zeros(objects, *size, dtype=torch.bool)
    for number, mask in enumerate(masks):
        mask[20 + 60 * number : 80 + 60 * number, 100:300] = True
    whole.found_in = lambda *_: masks
    generator = np.random.default_rng(0)
    options = WholeVideoOptions(size="unchanged", key_frames=keys, memory_budget=budget)
    start, encoded = time.process_time(), []
    handle = network.detector.body.register_forward_hook(lambda *_: encoded.append(1))
    cpu = torch.device("cpu")
    with whole.WholeVideoSession(network, VideoInfo("clip", size[1], size[0]), options, cpu) as session:
        for index in range(frames):
            session.step(Frame(index, index / 25, generator.integers(0, 256, (*size, 3), dtype=np.uint8)))
        session.finish()
    handle.remove()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.process_time() - start
    print(f"{frames} frames, budget {budget} MiB: {seconds:.1f} s, {len(encoded)} frames encoded, peak {peak:.0f} MiB")
    return seconds


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="r50")
    parser.add_argument("--size", default="360x640")
    for name, value in (("objects", 3), ("memory", 6), ("repeat", 3), ("video", 0), ("keys", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--budget", type=int, nargs="+", default=[1024], help="several are compared with the first")
    parser.add_argument("--plain", action="store_true", help="do not make the network fast")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = SYSTEM.build(chosen.network).eval()
    if not chosen.plain:
        network = prepare(network, torch.device("cpu"), torch.float32)
    if not isinstance(network, SeqMaskRCNN):
        raise TypeError(type(network))
    height, width = (int(side) for side in chosen.size.split("x"))
    if chosen.video:
        size, counts = (height, width), (chosen.video, chosen.objects, chosen.keys)
        first, *others = [video(network, size, *counts, budget) for budget in chosen.budget]
        for budget, seconds in zip(chosen.budget[1:], others, strict=True):
            print(f"budget {budget} MiB takes {seconds / first:.2f} times as long")
    else:
        parts(network, (height, width), chosen.objects, chosen.memory, chosen.repeat)


if __name__ == "__main__":
    main()
