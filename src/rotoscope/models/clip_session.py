"""A network of clips on a video, frame by frame: clips as they fill, their results averaged, masks when they are final.

3DC-Seg and D2Conv3D differ in what they average and in how they fill the last clip; see `ClipSession`.

What is kept at once: the frames of the clips at work at the network's size and one probability map for each of them,
whatever the length of the video.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.errors import OptionError
from rotoscope.masks.run_length import encode
from rotoscope.models.clip_fit import ClipFit
from rotoscope.models.clip_options import ClipOptions
from rotoscope.models.clip_windows import ClipWindows, Fill
from rotoscope.models.closing import ClosingSession
from rotoscope.models.frame_check import check_frame, check_video
from rotoscope.ops.resize import resize_mask
from rotoscope.ops.threads import single_core_pool
from rotoscope.types import Declaration, Frame, FrameResult, ObjectMask, Prompt, VideoInfo

LABEL = "foreground"


def declare(options: ClipOptions) -> Declaration:
    """What a system of clips says of itself under these options."""
    windows = ClipWindows(options.clip, options.shared, options.last_clip)
    look_ahead = windows.look_ahead + (options.parallel - 1) * windows.stride
    return Declaration(
        task="foreground",
        look_ahead=look_ahead,
        prompts="none",
        memory="the frames of the clips at work at the network's size, and a probability map for each",
        frames_held=look_ahead + 1,
    )


@dataclass(slots=True)
class _Held:
    """One frame that is not final yet.

    Attributes:
        frame: without its picture.
        pixels: (3, h, w) uint8, resized and padded, channels-last in memory.
        total: (h, w) float32 sum of evidence, without the padding.
        count: how many were summed.
    """

    index: int
    timestamp: float
    size: tuple[int, int]
    name: str | None
    pixels: Tensor
    total: Tensor | None = None
    count: int = 0


class ClipSession(ClosingSession):
    """One video going through a network of clips; see `rotoscope.types.Session`.

    A system says by a subclass what is averaged over the clips (`evidence`), above which mean a pixel is foreground
    (`threshold`), what probability that is, and with which frame a clip is filled.

    Args:
        network: clip (1, 3, T, h, w) uint8 -> logits (1, C, T, >= h, >= w).
        info: of the video; its size decides the network's size.
        options: see `ClipOptions`.
        device: where the network is.
    """

    system: str
    threshold: float
    fill: Fill

    @staticmethod
    @abstractmethod
    def evidence(logits: Tensor) -> Tensor:
        """(C, T, h, w) float32 -> (T, h, w), what is averaged over the clips of a frame."""

    @staticmethod
    @abstractmethod
    def probability(mean: Tensor) -> Tensor:
        """(h, w) -> (h, w), the foreground's probability from the mean of `evidence`."""

    def __init__(self, network: nn.Module, info: VideoInfo, options: ClipOptions, device: torch.device) -> None:
        self.network = network
        self.options = options
        self.device = device
        check_video(info)
        self._size = info.size
        self._fit = ClipFit.of(info.size, options)
        self._windows = ClipWindows(options.clip, options.shared, options.last_clip, self.fill)
        self._held: dict[int, _Held] = {}
        self._parallel = options.parallel if device.type == "cpu" else 1
        self._at_work: deque[tuple[list[int], Future[Tensor]]] = deque()
        self._next = 0
        self._finished = False

    def step(self, frame: Frame, prompt: Prompt | None = None) -> list[FrameResult]:
        """Take the next frame; answer those that became final.

        Raises:
            OptionError: a prompt was given, the frame is out of order or of another size, or the session is over.
        """
        self._check(frame, prompt)
        pixels = self._fit.pixels(frame.image)
        position = self._next
        self._next += 1
        self._held[position] = _Held(frame.index, frame.timestamp, frame.size, frame.name, pixels)
        clip = self._windows.push()
        if clip is not None:
            self._run(clip)
        return self._final(self._windows.final_before)

    def finish(self) -> list[FrameResult]:
        """Run the clips that the end still needs and answer the rest."""
        results: list[FrameResult] = []
        if not self._finished:
            self._finished = True
            for clip in self._windows.finish():
                self._run(clip)
                if self.options.last_clip == "published":  # clips only move forward there
                    results += self._final(clip[0])
            self._take_due(0)
            results += self._final(self._next)
        return results

    def _let_go(self) -> None:
        for _, future in self._at_work:
            future.cancel()
        self._at_work.clear()
        self._held.clear()

    def _check(self, frame: Frame, prompt: Prompt | None) -> None:
        if prompt is not None:
            raise OptionError(
                f"{self.system} finds the foreground by itself and takes no masks; use a system that propagates"
            )
        check_frame(frame, self._size, self._finished)

    def _run(self, clip: list[int]) -> None:
        """Give a clip to the network; take in the results that are due, in order."""
        pixels = torch.stack([self._held[index].pixels.permute(1, 2, 0) for index in clip])  # (T, h, w, 3) uint8
        batch = pixels.to(self.device)[None].permute(0, 4, 1, 2, 3)  # (1, 3, T, h, w), channels-last
        if self._parallel == 1:
            self._take(clip, self._evidence(batch))
            return
        self._at_work.append((clip, single_core_pool(self._parallel).submit(self._evidence, batch)))
        self._take_due(self._parallel - 1)

    def _take_due(self, left: int) -> None:
        """Wait for the oldest clips at work until at most `left` are."""
        while len(self._at_work) > left:
            clip, future = self._at_work.popleft()
            self._take(clip, future.result())

    @torch.inference_mode()
    def _evidence(self, batch: Tensor) -> Tensor:
        """(1, 3, T, h, w) uint8 with padding -> (T, h, w) evidence without, float32."""
        logits = self.network(batch)
        return self.evidence(self._fit.without_padding(logits[0]).float())

    @torch.inference_mode()
    def _take(self, clip: list[int], evidence: Tensor) -> None:
        """Add the evidence of every place of the clip to its frame; repeated frames count as often."""
        for place, index in enumerate(clip):
            held = self._held[index]
            held.total = evidence[place].clone() if held.total is None else held.total.add_(evidence[place])
            held.count += 1

    def _final(self, before: int) -> list[FrameResult]:
        before = min([before, *(min(clip) for clip, _ in self._at_work)])
        ready = [position for position in self._held if position < before]
        return [self._result(self._held.pop(position)) for position in ready]

    @torch.inference_mode()
    def _result(self, held: _Held) -> FrameResult:
        if held.total is None:
            raise AssertionError("a frame became final without a prediction")
        mean = held.total / held.count  # (h, w)
        probability, found = self.probability(mean), mean > self.threshold
        smooth = _enlarged(probability, held.size) if self.options.edges == "smooth" or self.options.soft else None
        if self.options.edges == "smooth" and smooth is not None:
            mask: NDArray[np.bool_] = (smooth > 0.5).cpu().numpy()
        else:
            mask = resize_mask(found.cpu().numpy(), held.size)
        objects: tuple[ObjectMask, ...] = ()
        if mask.any():
            score = float(probability[found].mean()) if bool(found.any()) else 0.5
            objects = (ObjectMask(1, encode(mask), min(1.0, score), LABEL),)
        soft = None
        if self.options.soft and smooth is not None:
            soft = smooth.mul(255).round_().to(torch.uint8).cpu().numpy()
        return FrameResult(held.index, held.timestamp, held.size, objects, held.name, soft)


def _enlarged(probability: Tensor, size: tuple[int, int]) -> Tensor:
    """(h, w) -> (H, W), bilinear, pixel centres; antialiased where it shrinks."""
    if probability.shape == size:
        return probability
    shrinks = size[0] < probability.shape[0]
    return functional.interpolate(
        probability[None, None], size=size, mode="bilinear", align_corners=False, antialias=shrinks
    )[0, 0]
