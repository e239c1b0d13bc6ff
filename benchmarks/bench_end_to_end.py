"""`segment` on an ordinary 854x480 video: frames a second, and where the time goes.

    python benchmarks/bench_end_to_end.py [--video FILE] [--model 3dc-seg-mobile] [--precision auto]

Without --video a clip of 240 frames is rendered and encoded first. Printed are the whole job (masks, overlay video,
contact sheet), and each stage run alone on the same frames: since stages overlap, the sum of the parts is more than the
whole.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

import rotoscope
from rotoscope.data.synthetic import SyntheticClip
from rotoscope.inference.jobs import Outputs, plan, run
from rotoscope.inference.sinks import MaskSink, OverlaySink, SheetSink, Sink
from rotoscope.types import Frame, FrameResult, VideoInfo
from rotoscope.video import VideoWriter, open_video

FRAMES = 240


def rendered(path: Path) -> Path:
    """The frames of a rendered clip, forwards and backwards, as H.264."""
    frames = [frame.image for frame, _ in SyntheticClip(frames=60, seed=2)]
    loop = [*frames, *frames[::-1]]
    with VideoWriter(path, frames[0].shape[:2], 24.0) as writer:
        for number in range(FRAMES):
            writer.write(loop[number % len(loop)])
    return path


@contextmanager
def timed(name: str, frames: int) -> Iterator[None]:
    start, cpu = time.perf_counter(), time.process_time()
    yield
    wall, used = time.perf_counter() - start, time.process_time() - cpu
    times = f"{wall / frames * 1e3:7.2f} ms wall {used / frames * 1e3:7.2f} ms CPU a frame"
    print(f"{name:34} {frames / wall:7.1f} frames/s {times}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--video", type=Path)
    parser.add_argument("--model", default="3dc-seg-mobile")
    parser.add_argument("--precision", default="auto")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        video = given.video or rendered(place / "clip.mp4")
        try:
            model = rotoscope.load(given.model, device="cpu", precision=given.precision)
        except rotoscope.RotoscopeError as error:
            parser.error(str(error))
        print(
            f"{model.name}, {model.dtype}, {torch.get_num_threads()} threads, torch {torch.__version__}, {video.name}"
        )
        outputs = Outputs(place / "out")
        (job,) = plan([video], outputs)
        with open_video(video) as opened:
            pairs = [(frame, FrameResult(frame.index, frame.timestamp, frame.size, ())) for frame in opened]
            info = opened.info
        count = len(pairs)
        run(job, model, outputs)  # warm
        with timed("whole: masks, overlay, sheet", count):
            run(job, model, outputs)
        with timed("whole: masks alone", count):
            run(job, model, Outputs(place / "plain", pictures=False))
        with timed("decode", count), open_video(video) as opened:
            for _ in opened:
                pass
        results = list(stepped(model, info, [frame for frame, _ in pairs], count))
        for name, make in stages(place, info).items():
            with timed(name, count), make() as sink:
                for (frame, _), result in zip(pairs, results, strict=True):
                    sink.write(frame, result)


def stepped(model: rotoscope.Model, info: VideoInfo, frames: list[Frame], count: int) -> Iterator[FrameResult]:
    found: list[FrameResult] = []
    with timed("network session (resize to masks)", count), model.session(info) as session:
        for frame in frames:
            found += session.step(frame)
        found += session.finish()
    yield from found


def stages(place: Path, info: VideoInfo) -> dict[str, Callable[[], Sink]]:
    return {
        "palette PNG": lambda: MaskSink(place / "masks"),
        "overlay drawn and encoded": lambda: OverlaySink(place / "overlay.mp4", info),
        "contact sheet": lambda: SheetSink(place / "sheet.png", info),
    }


if __name__ == "__main__":
    main()
