"""STEm-Seg on a video, frame by frame: clips as they fill, instances once nothing about them changes any more.

What is kept: features of the frames that a clip to come may need, maps of the clips that wait, labels of one clip.
Masks are run lengths as soon as they are known.
"""

from __future__ import annotations

from collections import deque

import torch

from rotoscope.errors import OptionError
from rotoscope.models.closing import ClosingSession
from rotoscope.models.frame_check import check_frame, check_video
from rotoscope.models.stem_seg.answers import Answers, Stamp
from rotoscope.models.stem_seg.fit import FrameFit
from rotoscope.models.stem_seg.labelling import Labelled, Labeller
from rotoscope.models.stem_seg.network import StemSeg
from rotoscope.models.stem_seg.options import EmbeddingOptions
from rotoscope.models.stem_seg.schedule import look_ahead
from rotoscope.types import Declaration, Frame, FrameResult, Prompt, VideoInfo


def declare(options: EmbeddingOptions) -> Declaration:
    """What STEm-Seg says of itself under these options."""
    wait = look_ahead(options.clip, options.overlap, options.patient)
    streams = options.tracks == "stream"
    return Declaration(
        task="instances",
        look_ahead=wait if streams else None,
        prompts="none",
        memory="features of the frames of a clip, maps of the clips that wait, run lengths of all frames where "
        "instances are chosen at the end",
        frames_held=max(wait, options.clip) + 1,
    )


class EmbeddingSession(ClosingSession):
    """One video going through STEm-Seg; see `rotoscope.types.Session`.

    An object's label and score are those of its instance by the frames so far, or by all where instances are chosen at
    the end. The score is the instance's size in places against that of the largest one, as published for YouTube-VIS.

    Args:
        network: in eval mode.
        info: of the video; its size decides the network's size.
        options: see `EmbeddingOptions`.
        device: where the network is.
    """

    def __init__(self, network: StemSeg, info: VideoInfo, options: EmbeddingOptions, device: torch.device) -> None:
        check_video(info)
        self.options, self.device = options, device
        self.labeller = Labeller(network, options)
        self._fit = FrameFit.of(info.size, options.size, options.full_size)
        self.answers = Answers(self._fit, options, network.categories)
        self._stamps: deque[Stamp] = deque()
        self._finished = False

    def step(self, frame: Frame, prompt: Prompt | None = None) -> list[FrameResult]:
        """Take the next frame; answer those that became final.

        Raises:
            OptionError: a prompt; the frame is of another size; the session is over.
        """
        check_frame(frame, self._fit.frame, self._finished)
        if prompt is not None:
            raise OptionError("stem-seg finds objects by itself and takes no prompts; leave them out")
        pixels = self._fit.pixels(frame.image, self.options.antialias).to(self.device)
        self._stamps.append(Stamp(frame.index, frame.timestamp, frame.name))
        return self._results(self.labeller.push(pixels))

    def finish(self) -> list[FrameResult]:
        """Run the clip that the end still needs and answer the rest."""
        if self._finished:
            return []
        self._finished = True
        return [*self._results(self.labeller.finish()), *self.answers.finish()]

    def _let_go(self) -> None:
        self.labeller.forget()
        self._stamps.clear()

    def _results(self, frames: list[Labelled]) -> list[FrameResult]:
        return [result for frame in frames for result in self.answers.add(self._stamps.popleft(), frame)]
