"""Times the read of a memory, and tells its peak, against the plain softmax over the whole affinity.

python benchmarks/bench_memory_read.py [--size 480x854] [--objects 5] [--frames 20] [--threads 1] [--repeat 3]
"""

import argparse
import math
import os
import resource
import statistics
import subprocess
import sys
import time

import torch

from rotoscope.ops.memory_read import memory_read, memory_recall

KEY, VALUE, STRIDE = 128, 512, 16
WAYS = ("nothing", "plain", "read", "recall")


def plain_read(query, keys, values, masks):
    """The whole affinity of one object at once, as the authors' code has it."""
    affinity = (keys @ query.T / math.sqrt(query.shape[1])).softmax(dim=0)  # (M, N)
    return affinity.T @ values


def work_of(way):
    return {
        "nothing": lambda query, keys, values, masks: values[: len(query)],
        "plain": plain_read,
        "read": lambda query, keys, values, masks: memory_read(query, keys, values),
        "recall": lambda query, keys, values, masks: memory_recall(query, keys, values, masks).read,
    }[way]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="480x854")
    parser.add_argument("--way", choices=WAYS)
    for name, default in (("objects", 5), ("frames", 20), ("threads", 1), ("repeat", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    if given.way:
        print(*measured(given))
        return
    arguments = [
        word
        for name in ("size", "objects", "frames", "threads", "repeat")
        for word in (f"--{name}", str(getattr(given, name)))
    ]
    print(f"{given.size}, {given.objects} objects, {given.frames} frames in memory, {given.threads} thread(s), float32")
    base = 0
    # Large blocks come from the system and go back to it, so that the peak is what is needed and not how glibc's heap
    # happens to lie: without that it varies by hundreds of MiB from run to run.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    for way in WAYS:  # a process for each, so that one's peak is not the next one's
        command = [sys.executable, __file__, *arguments, "--way", way]
        done = subprocess.run(command, check=True, capture_output=True, env=environment)
        seconds, peak, apart = (float(word) for word in done.stdout.split())
        if way == "nothing":
            base = peak
            continue
        print(
            f"{way:7} {seconds * 1e3:6.0f} ms, {peak - base:5.0f} MiB above the memory, largest difference {apart:.1e}"
        )


def measured(given):
    """Median seconds for all objects, MiB of the process at its peak, and the difference to the plain read."""
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    height, width = (math.ceil(int(side) / STRIDE) for side in given.size.split("x"))
    positions = height * width
    query = torch.randn(positions, KEY)
    memories = [
        (torch.randn(given.frames * positions, KEY), torch.randn(given.frames * positions, VALUE))
        for _ in range(given.objects)
    ]
    masks = torch.rand(given.frames * positions)
    work, times = work_of(given.way), []
    with torch.inference_mode():
        for _ in range(given.repeat + 1):
            start = time.perf_counter()
            for keys, values in memories:
                found = work(query, keys, values, masks)
            times.append(time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        apart = float((found - plain_read(query, *memories[-1], masks)).abs().max())
    return statistics.median(times[1:]), peak, apart


if __name__ == "__main__":
    main()
