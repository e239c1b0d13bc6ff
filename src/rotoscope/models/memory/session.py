"""Given objects through a video, frame by frame: every frame is answered at once, memory has a bound.

What is kept: the frame before with its soft masks, and for each object at most `memory_limit` frames as keys and values
at stride 16. Frames before the first prompt are answered without objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rotoscope.backbones.space_time_memory import SpaceTimeMemory
from rotoscope.errors import MaskError, OptionError
from rotoscope.masks.run_length import encode
from rotoscope.models.closing import ClosingSession
from rotoscope.models.frame_check import check_frame, check_video
from rotoscope.models.memory.options import MemoryOptions
from rotoscope.models.memory.tracker import Tracker
from rotoscope.ops.resize import SizeRule, resize_picture, to_channels
from rotoscope.types import Declaration, Frame, FrameResult, ObjectMask, Prompt, VideoInfo

_CHANNELS = 8  # enlarged to the frame's size at once


def declare(options: MemoryOptions) -> Declaration:
    """What a system of this kind says of itself under these options."""
    return Declaration(
        task="propagate",
        look_ahead=0,
        prompts="masks",
        memory="the frame before, and for each object keys and values of the first and of some earlier frames",
        frames_held=options.most + 1,
    )


class MemorySession(ClosingSession):
    """One video going through a space-time memory; see `rotoscope.types.Session`.

    Args:
        network: in eval mode.
        info: of the video; its size decides the network's size.
        options: see `MemoryOptions`.
        device: where the network is.
    """

    def __init__(self, network: SpaceTimeMemory, info: VideoInfo, options: MemoryOptions, device: torch.device) -> None:
        check_video(info)
        self.options = options
        self.device = device
        self._size = info.size
        self._resized = SizeRule.parse(options.size).of(info.size)
        self.tracker = self._tracker(network)
        self._finished = False

    def _tracker(self, network: SpaceTimeMemory) -> Tracker:
        return Tracker(network, self._resized, self.options)

    def step(self, frame: Frame, prompt: Prompt | None = None) -> list[FrameResult]:
        """Take the next frame, and with it objects to add, to correct or to remove; answer it.

        An object that is removed and given on the same frame begins anew.

        Raises:
            MaskError: a mask is empty, of another size or type, or overlaps another; an id cannot be used.
            OptionError: the prompt is of another frame, removes what is not followed, or the session is over; the
                frame is of another size.
        """
        check_frame(frame, self._size, self._finished)
        if prompt is not None:
            _check_prompt(prompt, frame, self.tracker.ids)
        self._before_step(frame)
        if prompt is not None:
            self.tracker.remove(tuple(dict.fromkeys(prompt.remove)))
        masks = {} if prompt is None else dict(sorted(prompt.masks.items()))
        pixels = to_channels(resize_picture(frame.image, self._resized)).to(self.device)
        logits = self._track(pixels, {track_id: self._shrunk(mask) for track_id, mask in masks.items()})
        return [self._result(frame, logits, masks)]

    def _before_step(self, frame: Frame) -> None:
        """Called before the tracker takes a frame that was found good; may refuse it while nothing has changed."""

    def _track(self, pixels: Tensor, given: dict[int, Tensor]) -> Tensor:
        return self.tracker.step(pixels, given)

    def finish(self) -> list[FrameResult]:
        """Nothing is open: every frame was answered at once."""
        self._finished = True
        return []

    def _let_go(self) -> None:
        self.tracker.forget()

    def _shrunk(self, mask: NDArray[np.bool_]) -> Tensor:
        """(H, W) bool -> (h, w) float in [0, 1]; what is smaller than a pixel there becomes a whole one."""
        full = torch.from_numpy(np.ascontiguousarray(mask)).to(self.device).float()
        small = _resized(full[None], self._resized)[0].clamp(0, 1)
        peak = float(small.max())
        return small if peak >= 0.5 or peak == 0 else small / peak

    @torch.inference_mode()
    def _result(self, frame: Frame, logits: Tensor, given: dict[int, NDArray[np.bool_]]) -> FrameResult:
        """Aggregated logits (1 + O, h, w) -> the answer; given masks come back as they were given."""
        probabilities = logits.softmax(dim=0)
        best = _best(probabilities, frame.size)
        labels, scores = best.labels.cpu().numpy(), best.scores.cpu().numpy()
        over = np.logical_or.reduce(list(given.values())) if given else None
        objects = []
        for place, track_id in enumerate(self.tracker.ids, start=1):
            mask: NDArray[np.bool_] = labels == place
            if over is not None:
                mask = given[track_id] if track_id in given else mask & ~over
            if mask.any():
                score = 1.0 if track_id in given else min(1.0, float(scores[mask].mean()))
                objects.append(ObjectMask(track_id, encode(mask), score))
        soft = None
        if self.options.soft:
            foreground = 1 - _resized(probabilities[:1], frame.size)[0]
            soft = foreground.clamp_(0, 1).mul_(255).round_().to(torch.uint8).cpu().numpy()
        return FrameResult(frame.index, frame.timestamp, frame.size, tuple(objects), frame.name, soft)


def _check_prompt(prompt: Prompt, frame: Frame, followed: tuple[int, ...]) -> None:
    """Refuse what cannot be meant; nothing of the session has changed yet."""
    if prompt.frame_index != frame.index:
        raise OptionError(f"a prompt for frame {prompt.frame_index} was given with frame {frame.index}")
    for track_id in prompt.remove:
        if track_id not in followed:
            known = ", ".join(map(str, followed)) or "none"
            raise OptionError(f"object {track_id} cannot be removed on frame {frame.index}; followed are: {known}")
    taken: NDArray[np.bool_] = np.zeros(frame.size, np.bool_)
    for track_id, mask in prompt.masks.items():
        where = f"the mask of object {track_id} on frame {frame.index}"
        if not isinstance(track_id, int | np.integer) or track_id < 1:
            raise MaskError(f"{where}: an object's id is a whole number of 1 or more")
        if mask.shape != frame.size:
            found = "x".join(map(str, mask.shape[::-1]))
            raise MaskError(f"{where} is {found}, the frame is {frame.size[1]}x{frame.size[0]} (width x height)")
        if mask.dtype != np.bool_:
            raise MaskError(f"{where} is {mask.dtype}, not bool; compare a label map with the object's id")
        if not mask.any():
            raise MaskError(f"{where} is empty; leave the object out, or remove it, where it cannot be seen")
        if (taken & mask).any():
            raise MaskError(f"{where} overlaps another object's; give every pixel to one object")
        taken |= mask


@dataclass(frozen=True, slots=True, eq=False)
class _Best:
    """The channel with the largest probability, and that probability; both (H, W)."""

    labels: Tensor
    scores: Tensor


def _best(probabilities: Tensor, size: tuple[int, int]) -> _Best:
    """(1 + O, h, w) -> the best channel at each pixel of the frame; only some channels are enlarged at once."""
    parts = _enlarged(probabilities, size)
    first, scores = next(parts)
    labels = first
    for start, (channel, score) in enumerate(parts, start=1):
        better = score > scores  # the lower channel wins a tie
        labels = torch.where(better, channel + start * _CHANNELS, labels)
        scores = torch.where(better, score, scores)
    return _Best(labels, scores)


def _enlarged(probabilities: Tensor, size: tuple[int, int]) -> Iterator[tuple[Tensor, Tensor]]:
    for part in torch.split(probabilities, _CHANNELS):
        scores, channels = _resized(part, size).max(dim=0)
        yield channels, scores


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, h, w) float -> (C, H, W), bilinear, pixel centres; antialiased where it shrinks."""
    if maps.shape[1:] == size:
        return maps
    shrinks = size[0] < maps.shape[1] or size[1] < maps.shape[2]
    return functional.interpolate(maps[None], size=size, mode="bilinear", align_corners=False, antialias=shrinks)[0]
