"""Times VISOLO: the network against the same network run plainly, or whole frames through a session.

python benchmarks/bench_visolo.py [--network ytvis] [--size 352x624] [--threads 1] [--repeat 5] [--memory 4]
python benchmarks/bench_visolo.py --network mobile --video 720x1280 [--candidates 12] [--frames 30]
python benchmarks/bench_visolo.py --layers

Plainly means as the authors run it: batch norms as they are, and of every frame in memory the embeddings and values
made again for each new frame, those for the weights of scores once more.
"""

import argparse
import copy
import resource
import statistics
import time

import numpy as np
import torch

from rotoscope.inference.prepare import prepare
from rotoscope.models import system
from rotoscope.models.visolo.memory import Entry, GridMemory
from rotoscope.models.visolo.network import GRID
from rotoscope.models.visolo.session import OnlineSession
from rotoscope.ops.winograd2d import winograd_conv2d
from rotoscope.types import Frame, VideoInfo

CPU = torch.device("cpu")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="ytvis")
    parser.add_argument("--size", default="352x624")
    parser.add_argument("--video", help="height x width of the frames of a whole session")
    parser.add_argument("--layers", action="store_true")
    numbers = {"threads": 1, "repeat": 5, "memory": 4, "candidates": 12, "frames": 30}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    if given.layers:
        layers(given.repeat)
    elif given.video:
        session(given)
    else:
        network(given)


def timed(*works, repeat):
    """Least processor seconds and wall seconds of each piece of work, in turns."""
    found = [[] for _ in works]
    for _ in range(repeat + 1):
        for work, rows in zip(works, found, strict=True):
            processor, wall = time.process_time(), time.perf_counter()
            work()
            rows.append((time.process_time() - processor, time.perf_counter() - wall))
    return [tuple(min(row[place] for row in rows[1:]) for place in (0, 1)) for rows in found]


@torch.inference_mode()
def network(given):
    plain = system("visolo").build(given.network).eval()
    fast = prepare(copy.deepcopy(plain), CPU, torch.float32)
    height, width = map(int, given.size.split("x"))
    frames = torch.randint(0, 256, (given.memory + 1, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    past = [plain.encode(frame[None]) for frame in frames[:-1]]
    memory = GridMemory(1, 2, given.memory + 1)
    for number, frame in enumerate(frames[:-1]):
        memory.put(entry(fast, number, fast.encode(frame[None]))[1])
    one, other = run_plainly(plain, past, frames[-1:]), run(fast, memory, frames[-1:])
    print(f"visolo/{given.network}, {given.size}, {given.memory} frames in memory, {given.threads} thread(s), float32")
    for name, a, b in zip(("features", "kernels", "categories", "weights of scores"), one, other, strict=True):
        print(f"  {name}: differ by {float((a - b).abs().max() / a.abs().max()):.1e} of the largest")
    seconds = timed(
        lambda: run_plainly(plain, past, frames[-1:]), lambda: run(fast, memory, frames[-1:]), repeat=given.repeat
    )
    for name, (processor, wall) in zip(("plainly", "prepared"), seconds, strict=True):
        print(f"  {name}: {processor * 1e3:.0f} ms of processor time a frame, {wall * 1e3:.0f} ms in all")
    print(
        f"  {seconds[0][0] / seconds[1][0]:.2f} times as fast (processor), {seconds[0][1] / seconds[1][1]:.2f} (wall)"
    )


def entry(module, number, encoded):
    query, reference = (part[0] for part in module.embed(encoded.key))
    return query, Entry(number, reference, module.values(encoded.category, encoded.mask)[0])


def run(module, memory, frame):
    encoded = module.encode(frame)
    query, _ = entry(module, 0, encoded)
    references, values = memory.read()
    logits = query @ references.T
    best = logits.unflatten(1, (len(memory.entries), -1)).amax(dim=2).sigmoid()
    read = logits.softmax(dim=1) @ values
    category, mask = module.aggregate(encoded, read[None])
    weight = (best[:, -1] + best[:, 0]) / 2
    return module.decode(encoded.maps), module.kernel(mask), module.category(category), weight


def run_plainly(module, past, frame):
    encoded = module.encode(frame)
    query, _ = module.embed(encoded.key)
    references = torch.cat([module.embed(one.key)[1][0] for one in past])
    values = torch.cat([module.values(one.category, one.mask)[0] for one in past])
    read = (query[0] @ references.T).softmax(dim=1) @ values
    category, mask = module.aggregate(encoded, read[None])
    outputs = module.decode(encoded.maps), module.kernel(mask), module.category(category)
    weights = []
    for one in (past[-1], past[0]):
        again, _ = module.embed(encoded.key)
        weights.append((again[0] @ module.embed(one.key)[1][0].T).sigmoid().amax(dim=1))
    return *outputs, sum(weights) / 2


def session(given):
    """Random frames; the bias of the categories is such that some cells of the first frame are candidates."""
    chosen = system("visolo")
    module = prepare(chosen.build(given.network), CPU, torch.float32)
    height, width = map(int, given.video.split("x"))
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(4)]
    options = chosen.options(size=given.size)
    with torch.inference_mode():
        small = torch.randint(0, 256, (1, 3, *map(int, given.size.split("x"))), dtype=torch.uint8)
        logits = module.category(module.encode(small, GRID).category)[0].amax(dim=0).flatten()
        level = logits.sort(descending=True).values[given.candidates - 1]
        module.category.predict.bias += np.log(0.1 / 0.9) - level
    seconds, objects = [], 0
    with OnlineSession(module, VideoInfo("bench", width, height), options, CPU) as running:
        for index in range(given.frames):
            start = time.process_time(), time.perf_counter()
            objects += len(running.step(Frame(index, index / 24, images[index % 4]))[0].objects)
            seconds.append((time.process_time() - start[0], time.perf_counter() - start[1]))
    processor, wall = (statistics.median(row[place] for row in seconds[2:]) for place in (0, 1))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    parameters = sum(parameter.numel() for parameter in module.parameters())
    print(
        f"visolo/{given.network}, video {given.video}, network {given.size}, {given.threads} thread(s): "
        f"{processor * 1e3:.0f} ms of processor time a frame, {wall * 1e3:.0f} ms in all = {1 / wall:.1f} frames/s, "
        f"{objects / given.frames:.1f} objects a frame, {parameters / 1e6:.2f} M parameters, peak {peak} MiB"
    )


@torch.inference_mode()
def layers(repeat):
    for inputs, height, width in ((256, 88, 156), (256, 44, 78), (512, 44, 78)):
        x = torch.randn(1, inputs, height, width).contiguous(memory_format=torch.channels_last)
        weight = (torch.randn(256, inputs, 3, 3) / (3 * inputs**0.5)).contiguous(memory_format=torch.channels_last)
        truth = torch.nn.functional.conv2d(x.double(), weight.double(), padding=1)
        works = [lambda x=x, w=weight: torch.nn.functional.conv2d(x, w, padding=1)]
        works.append(lambda x=x, w=weight: winograd_conv2d(x, w))
        seconds = timed(*works, repeat=repeat)
        errors = [float((work() - truth).abs().max() / truth.abs().max()) for work in works]
        print(
            f"{inputs} -> 256 at {height}x{width}: direct {seconds[0][0] * 1e3:.1f} ms, error {errors[0]:.1e}; "
            f"Winograd {seconds[1][0] * 1e3:.1f} ms, error {errors[1]:.1e}"
        )


if __name__ == "__main__":
    main()
