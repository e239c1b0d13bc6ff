"""Times STM's two halves on random frames: making memory of one frame, segmenting one with three frames in memory.

python benchmarks/bench_stm.py [--size 240x432] [--objects 1] [--threads 1] [--frames 3] [--repeat 5] [--device cpu]
"""

import argparse
import resource
import statistics
import time

import torch

from rotoscope.backbones.space_time_memory import other_objects
from rotoscope.inference.prepare import prepare
from rotoscope.models.stm.network import STM
from rotoscope.ops.resize import padding_to


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="240x432")
    parser.add_argument("--device", default="cpu")
    for name, default in (("objects", 1), ("threads", 1), ("frames", 3), ("repeat", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    device = torch.device(given.device)
    network = prepare(STM(), device, torch.float32)
    height, width = map(int, given.size.split("x"))
    top, bottom, left, right = padding_to((height, width), 16)
    size = (height + top + bottom, width + left + right)
    frame = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8, device=device).permute(0, 3, 1, 2)
    masks = torch.rand(given.objects, *size, device=device)
    with torch.inference_mode():
        keys, values = network.memorise(frame, masks, other_objects(masks))
        memories = [
            (key.repeat(given.frames, 1), value.repeat(given.frames, 1))
            for key, value in zip(keys, values, strict=True)
        ]
        memorise = timed(lambda: network.memorise(frame, masks, other_objects(masks)), given.repeat, device)
        segment = timed(lambda: network.segment(network.query(frame), memories), given.repeat, device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{given.size}, {given.objects} object(s), {given.frames} frames in memory, {given.threads} thread(s), {device}"
    )
    print(f"memorise {memorise * 1e3:.0f} ms, segment {segment * 1e3:.0f} ms, peak {peak} MiB")


def timed(work, repeat, device):
    """Median seconds of a piece of work, after one run that does not count."""
    found = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - start)
    return statistics.median(found[1:])


if __name__ == "__main__":
    main()
