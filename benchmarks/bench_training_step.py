"""Steps of training the small foreground network, by the library's 3D code and frame by frame; CPU seconds of one run.

    python benchmarks/bench_training_step.py [--size 192x256] [--batch 8] [--repeat 3]

A step is forward, loss and gradients, in float32 on one thread. "Pictures" are clips of one frame, on which no kernel
mixes time; "clips" have six frames, of which only the kernels of one tap in time go frame by frame.
"""

from __future__ import annotations

import argparse
import statistics
import time
from unittest.mock import patch

import torch
from torch import nn

from rotoscope.inference.prepare import channels_last
from rotoscope.models.three_dc_seg.losses import LossOptions, foreground_loss
from rotoscope.models.three_dc_seg.network import mobile
from rotoscope.ops import depthwise, fused
from rotoscope.ops.frame_conv import FrameConv3d


def step(network: nn.Module, clips: torch.Tensor, masks: torch.Tensor) -> float:
    """CPU seconds of a sample."""
    start = time.process_time()
    foreground_loss(network(clips), masks, LossOptions(form="two_class")).backward()
    network.zero_grad()
    return (time.process_time() - start) / len(clips)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="192x256")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    height, width = (int(side) for side in arguments.size.split("x"))
    torch.set_num_threads(1)
    plain, fast = channels_last(mobile()), channels_last(mobile())
    FrameConv3d.replace_in(fast)
    for words, frames, batch in (("pictures", 1, arguments.batch), ("clips", 6, max(1, arguments.batch // 4))):
        clips = torch.rand(batch, 3, frames, height, width).contiguous(memory_format=torch.channels_last_3d)
        masks = (torch.rand(batch, 1, frames, height, width) > 0.5).byte()
        times: dict[str, list[float]] = {"plain": [], "fast": []}
        for number in range(arguments.repeat + 1):
            with (
                patch.object(fused, "frames_apart", lambda x, conv: False),
                patch.object(depthwise, "frames_apart", lambda x, conv: False),
            ):
                slow = step(plain, clips, masks)
            quick = step(fast, clips, masks)
            if number:
                times["plain"].append(slow)
                times["fast"].append(quick)
        slow, quick = statistics.median(times["plain"]), statistics.median(times["fast"])
        print(
            f"{words} of {frames}x{height}x{width}: plain {slow:.3f} CPU s a sample, frame by frame {quick:.3f} "
            f"({1 / quick:.1f} samples a second), {slow / quick:.1f}x"
        )


if __name__ == "__main__":
    main()
