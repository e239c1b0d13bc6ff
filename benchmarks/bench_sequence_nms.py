"""How long the reduction of many sequences takes (Propose-Reduce, Algorithm 1), and how much memory.

    python benchmarks/bench_sequence_nms.py [--sequences 500] [--frames 100] [--objects 20]

Ellipses of some objects move through a video of 480x854; every object is found many times, each time a little another
way. Nothing is read; one process, one thread.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from rotoscope.masks.run_length import encode
from rotoscope.models.propose_reduce.packed import PackedMasks
from rotoscope.models.propose_reduce.reduction import (
    SequenceOverlaps,
    category_reduction,
    hard_reduction,
    soft_reduced,
)
from rotoscope.models.propose_reduce.sequences import MaskSequence

SIZE = (480, 854)


def sequences(count: int, frames: int, objects: int, seed: int = 0) -> list[MaskSequence]:
    """`count` sequences of `objects` moving ellipses, with scores of 40 categories."""
    generator = np.random.default_rng(seed)
    y, x = np.ogrid[: SIZE[0], : SIZE[1]]
    starts = generator.uniform((60, 60), (420, 790), (objects, 2))
    speeds = generator.uniform(-1.5, 1.5, (objects, 2))
    radii = generator.uniform(25, 110, (objects, 2))
    found = []
    for number in range(count):
        which = number % objects
        shift, grown = generator.normal(0, 4, 2), generator.uniform(0.9, 1.1, 2)
        masks = {}
        for frame in range(frames):
            cy, cx = starts[which] + speeds[which] * frame + shift
            ry, rx = radii[which] * grown
            wave = 1 + 0.1 * np.sin(x / 7 + number)
            mask = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < wave
            if mask.any():
                masks[frame] = encode(mask)
        scores = generator.dirichlet(np.full(41, 0.1)).astype(np.float32)
        found.append(MaskSequence(0, scores, PackedMasks(masks)))
    return found


def peak() -> float:
    """The most memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=500)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--objects", type=int, default=20)
    chosen = parser.parse_args()
    given = sequences(chosen.sequences, chosen.frames, chosen.objects)
    runs = sum(len(mask.counts) for one in given for mask in one.masks.values())
    print(
        f"{chosen.sequences} sequences of {chosen.frames} frames of {SIZE[1]}x{SIZE[0]}, {runs / 2e6:.1f} million runs"
    )
    print(f"{'made':>10}  peak {peak():5.0f} MiB")
    start = time.perf_counter()
    overlaps = SequenceOverlaps(given, chosen.frames)
    print(f"{'prepared':>10}  {time.perf_counter() - start:5.2f} s  peak {peak():5.0f} MiB")
    for name, run in (
        ("hard", lambda: hard_reduction(given, overlaps)),
        ("soft, 20", lambda: soft_reduced(given, overlaps, 20)),
        ("category", lambda: category_reduction(given, overlaps)),
    ):
        start = time.perf_counter()
        kept = run()
        seconds = time.perf_counter() - start
        print(f"{name:>10}  {seconds:5.2f} s  peak {peak():5.0f} MiB  {len(kept)} kept")


if __name__ == "__main__":
    main()
