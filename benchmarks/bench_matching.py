"""Times how DMN-AOA finds objects in a frame without and with proposals: what templates, alignment, matching cost.

    python benchmarks/bench_matching.py [--size 480x854] [--objects 3] [--proposals 50] [--frames 5] [--threads 1]

Weights, frames and masks are random. The two are timed in turn, in seconds of the processor.
"""

import argparse
import statistics
import time

import torch

from rotoscope.backbones.space_time_memory import other_objects
from rotoscope.inference.prepare import prepare
from rotoscope.models.dmn_aoa.network import DMNAOA, MatchRule, Proposals, Remembered
from rotoscope.models.dmn_aoa.template import Views
from rotoscope.ops.resize import padding_to


def squares(count, size):
    """Masks (count, H, W) of squares at random, and their boxes."""
    masks, boxes = torch.zeros(count, *size), torch.zeros(count, 4)
    side = min(size) // 3
    for mask, box in zip(masks, boxes, strict=True):
        top, left = (int(torch.randint(0, length - side, ())) for length in size)
        mask[top : top + side, left : left + side] = 1
        box[:] = torch.tensor([left, top, left + side, top + side])
    return masks, boxes


def memories(network, frame, masks, frames):
    """Each object as it is remembered of so many frames, all alike."""
    entry = network.remember(frame, masks, other_objects(masks), MatchRule())
    for keys, values, cells, *views in zip(*entry, strict=True):
        shown = Views(*(part[None].expand(frames, *part.shape) for part in views))
        yield Remembered(keys.repeat(frames, 1), values.repeat(frames, 1), cells.repeat(frames), shown)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="480x854")
    for name, default in (("objects", 3), ("proposals", 50), ("frames", 5), ("threads", 1), ("repeat", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    device = torch.device("cpu")
    network = prepare(DMNAOA(), device, torch.float32)
    height, width = map(int, given.size.split("x"))
    top, bottom, left, right = padding_to((height, width), 16)
    size = (height + top + bottom, width + left + right)
    frame = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    masks, _ = squares(given.objects, size)
    choices = {0: Proposals.none(size), given.proposals: None}
    maps, boxes = squares(given.proposals, size)
    choices[given.proposals] = Proposals(maps, boxes, torch.linspace(0.9, 0.1, given.proposals))
    times = {count: [] for count in choices}
    with torch.inference_mode():
        known = list(memories(network, frame, masks, given.frames))
        for _ in range(given.repeat + 1):
            for count, proposals in choices.items():
                start = time.process_time()
                network.find(network.query(frame), known, proposals, masks > 0.5, MatchRule())
                times[count].append(time.process_time() - start)
    print(f"{given.size}, {given.objects} object(s), {given.frames} frames in memory, {given.threads} thread(s)")
    for count, seconds in times.items():  # the first of each does not count
        own = seconds[1:]
        print(f"{count:3} proposals: median {statistics.median(own):.2f} s, least {min(own):.2f} s of the processor")


if __name__ == "__main__":
    main()
