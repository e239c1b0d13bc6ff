"""The published 3DC-Seg on a CPU: the network as it is written against the prepared one, fp32 and bf16; ratios of one
run.

    python benchmarks/bench_published.py [--size 240x432] [--repeat 3]

Plain means eager, contiguous layout, no folding, inference mode. The weights are the deterministic ones of the golden
cases, for which the parity tolerance of the logits is known; the masks' agreement is the share of equal pixels.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests import golden

from rotoscope.inference.loading import from_published
from rotoscope.inference.prepare import prepare
from rotoscope.ops.bfloat16 import why_no_bfloat16
from rotoscope.ops.resize import SizeRule


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="240x432")
    parser.add_argument("--network", default="csn_gc3d")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--frames", type=int, default=8)
    given = parser.parse_args()
    height, width = SizeRule.parse(given.size).exact or (240, 432)
    plain = from_published("3dc-seg", golden.state("3dc-seg", given.network), given.network)
    cpu = torch.device("cpu")
    ways = {
        "plain": plain,
        "prepared fp32": prepare(copy.deepcopy(plain), cpu, torch.float32),
    }
    lacking = why_no_bfloat16(cpu)
    if lacking is None:
        ways["prepared bf16"] = prepare(copy.deepcopy(plain), cpu, torch.bfloat16)
    contiguous = torch.rand(1, 3, given.frames, height, width, generator=torch.Generator().manual_seed(0))
    last = contiguous.contiguous(memory_format=torch.channels_last_3d)
    times: dict[str, list[float]] = {name: [] for name in ways}
    logits: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        for number in range(given.repeat + 1):  # interleaved; the first round warms up
            for name, network in ways.items():
                start = time.perf_counter()
                logits[name] = network(contiguous if name == "plain" else last).float()
                if number:
                    times[name].append(time.perf_counter() - start)
    base = statistics.median(times["plain"])
    largest = logits["plain"].abs().max()
    masks = logits["plain"].argmax(1)
    threads = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{given.network}, clip 1x3x{given.frames}x{height}x{width}, {threads}")
    for name, found in times.items():
        seconds = statistics.median(found)
        error = (logits[name] - logits["plain"]).abs().max() / largest
        agree = (logits[name].argmax(1) == masks).float().mean()
        print(
            f"{name:14} {seconds:6.2f} s a clip, {base / seconds:4.2f}x, largest difference {error:.1e} of the largest "
            f"logit, masks agree on {agree:.3%}"
        )
    if lacking is not None:
        print(f"{'prepared bf16':14} left out: {lacking}")


if __name__ == "__main__":
    main()
