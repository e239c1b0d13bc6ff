"""The first training of the bundled 3dc-seg-mobile: DeepLab's picture weights, then clips of davis16-half, on a CPU.

    python scripts/train_first_mobile.py --data DATA --start deeplabv3_mobilenetv2_voc.npz --out runs/first --steps 4000

DATA holds `train.txt`, `JPEGImages/<sequence>` and `Annotations/<sequence>`. The weights' moving average is written to
`<out>/mobile.pt` every five minutes and at the end, and to `<out>/mobile.safetensors` for `rotoscope train`; a line of
JSON goes to `<out>/log.jsonl` every 50 steps.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from rotoscope.data.clips import Augmentation, ClipBatch, paper_indices
from rotoscope.errors import OptionError
from rotoscope.inference.checkpoint import Card, save_weights
from rotoscope.inference.prepare import choose_precision
from rotoscope.models.three_dc_seg.losses import LossOptions
from rotoscope.models.three_dc_seg.network import ThreeDCSeg, mobile
from rotoscope.models.three_dc_seg.training import training_step
from rotoscope.training.average import WeightAverage
from rotoscope.training.loop import Progress, fit

Video = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def load_videos(root: Path, names: list[str]) -> list[Video]:
    def load(name: str) -> Video:
        pictures = sorted((root / "JPEGImages" / name).iterdir())
        masks = sorted((root / "Annotations" / name).iterdir())
        frames = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in pictures])
        return frames, np.stack([np.asarray(Image.open(path).convert("L")) for path in masks])

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(load, names))


def batches(videos: list[Video], size: tuple[int, int], length: int, batch: int, seed: int) -> Iterator[ClipBatch]:
    generator = np.random.default_rng(seed)
    augment = Augmentation(size)
    while True:
        clips, masks = [], []
        for _ in range(batch):
            frames, truth = videos[generator.integers(len(videos))]
            span = int(generator.choice([length, 12, 20]))
            start = int(generator.integers(0, max(1, len(frames) - length)))
            chosen = paper_indices(len(frames), start, length, span, generator)
            clip, labels = augment.draft(frames[chosen], truth[chosen], generator).render()
            clips.append(clip)
            masks.append((labels > 0).float()[None])
        stacked = torch.stack(clips).contiguous(memory_format=torch.channels_last_3d)
        yield ClipBatch(stacked, torch.stack(masks))


def starting_network(weights: Path) -> ThreeDCSeg:
    """From DeepLab's picture weights (.npz), or from the weights that an earlier run of this script left (.pt)."""
    torch.manual_seed(0)
    network = mobile()
    if weights.suffix == ".pt":
        network.load_state_dict(torch.load(weights, weights_only=True))
    else:
        network.encoder.load_picture_weights(dict(np.load(weights)))
    return network.to(memory_format=torch.channels_last_3d)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--encoder-rate", type=float, default=1.5e-4)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--clip", type=int, default=6)
    parser.add_argument("--size", type=int, nargs=2, default=(192, 336))
    parser.add_argument("--seed", type=int, default=0, help="of the clips drawn")
    parser.add_argument("--fp32", action="store_true", help="train in float32 instead of bfloat16 autocast")
    arguments = parser.parse_args()

    try:
        kind = choose_precision("fp32" if arguments.fp32 else "bf16", torch.device("cpu"), False)
    except OptionError as error:
        parser.error(f"{error} with --fp32")
    amp = torch.bfloat16 if kind == torch.bfloat16 else None
    arguments.out.mkdir(parents=True, exist_ok=True)
    videos = load_videos(arguments.data, (arguments.data / "train.txt").read_text().split())
    network = starting_network(arguments.start)
    optimiser = torch.optim.AdamW(
        [
            {"params": network.encoder.parameters(), "lr": arguments.encoder_rate},
            {"params": network.decoder.parameters(), "lr": arguments.rate},
        ],
        weight_decay=1e-4,
    )
    average = WeightAverage(network)
    options = LossOptions("two_class", bootstrap=None)
    saved = time.monotonic()

    def step(batch: ClipBatch) -> tuple[torch.Tensor, torch.Tensor]:
        result = training_step(network, batch, options, amp)
        return result.loss, result.score

    def report(progress: Progress) -> None:
        nonlocal saved
        line = {**vars(progress), "seconds_left": round(progress.seconds_left)}
        with (arguments.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        print(line, flush=True)
        if time.monotonic() - saved > 300 or progress.step == progress.steps:
            torch.save(average.network.state_dict(), arguments.out / "mobile.pt")
            card = Card("3dc-seg-mobile", "3dc-seg", "mobile", licence="Apache-2.0")
            save_weights(arguments.out / "mobile.safetensors", average.network.state_dict(), card)
            saved = time.monotonic()

    clips = batches(videos, tuple(arguments.size), arguments.clip, arguments.batch, arguments.seed)
    fit(network, clips, step, optimiser, steps=arguments.steps, average=average, report=report)


if __name__ == "__main__":
    main()
