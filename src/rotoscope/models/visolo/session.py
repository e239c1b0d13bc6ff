"""VISOLO on a video, frame by frame: every frame is answered at once, memory has a bound.

What is kept: embeddings and values of some frames on the grid, embeddings of instances that may be seen again, and the
sum of their probability vectors. Masks are let go as soon as they are run lengths.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rotoscope.errors import OptionError
from rotoscope.masks.run_length import encode
from rotoscope.models.closing import ClosingSession
from rotoscope.models.frame_check import check_frame, check_video
from rotoscope.models.visolo.categories import names_of
from rotoscope.models.visolo.network import VISOLO
from rotoscope.models.visolo.options import OnlineOptions
from rotoscope.models.visolo.tracker import Tracker
from rotoscope.models.visolo.votes import Votes
from rotoscope.ops.resize import SizeRule, resize_picture, to_channels
from rotoscope.types import Declaration, Frame, FrameResult, ObjectMask, Prompt, Verdict, VideoInfo

_HALF = 0.5


def declare(options: OnlineOptions) -> Declaration:
    """What VISOLO says of itself under these options."""
    return Declaration(
        task="instances",
        look_ahead=0,
        prompts="none",
        memory="grid features of the newest and of some earlier frames, embeddings of instances out of sight",
        frames_held=options.memory_limit + options.memory_recent,
    )


class OnlineSession(ClosingSession):
    """One video going through VISOLO; see `rotoscope.types.Session`.

    An object's label and score are those of its instance by all frames so far; so its last verdict is the video's.

    Args:
        network: in eval mode.
        info: of the video; its size decides the network's size.
        options: see `OnlineOptions`.
        device: where the network is.
    """

    def __init__(self, network: VISOLO, info: VideoInfo, options: OnlineOptions, device: torch.device) -> None:
        check_video(info)
        self.options, self.device = options, device
        self.names = names_of(options.categories, network.classes)
        self._size = info.size
        self._resized = SizeRule.parse(options.size).of(info.size)
        self.tracker = Tracker(network, options)
        self._votes = Votes()
        self._finished = False

    def step(self, frame: Frame, prompt: Prompt | None = None) -> list[FrameResult]:
        """Take the next frame and answer it.

        Raises:
            OptionError: a prompt; the frame is of another size; the session is over.
        """
        check_frame(frame, self._size, self._finished)
        if prompt is not None:
            raise OptionError("visolo finds objects by itself and takes no prompts; leave them out")
        pixels = to_channels(resize_picture(frame.image, self._resized)).to(self.device)
        found = self.tracker.step(pixels)
        objects: list[ObjectMask] = []
        verdicts: dict[int, Verdict] = {}
        for track_id, mask, vector in zip(
            found.ids, found.detections.masks, found.detections.vectors.cpu(), strict=True
        ):
            vote = self._votes.add(track_id, vector)
            verdict = verdicts[track_id] = Verdict(min(1.0, vote.score), self.names[vote.label])
            large = enlarged(mask, self._size)
            if large.any():
                objects.append(ObjectMask(track_id, encode(large), verdict.score, verdict.label))
        self._votes.keep(self.tracker.associator.known)
        objects.sort(key=lambda item: item.track_id)
        return [FrameResult(frame.index, frame.timestamp, frame.size, tuple(objects), frame.name, None, verdicts)]

    def finish(self) -> list[FrameResult]:
        """Nothing is open: every frame was answered at once."""
        self._finished = True
        return []

    def _let_go(self) -> None:
        self.tracker.forget()
        self._votes.keep(())


def enlarged(mask: Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(h, w) bool -> (H, W) bool: bilinear as zeros and ones, then 0.5 or more, as published."""
    if tuple(mask.shape) != size:
        soft = functional.interpolate(mask[None, None].float(), size, mode="bilinear", align_corners=False)
        mask = soft[0, 0] >= _HALF
    large: NDArray[np.bool_] = mask.cpu().numpy()
    return large
