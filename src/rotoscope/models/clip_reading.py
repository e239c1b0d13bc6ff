"""The clips of a whole video as a network takes them, for looking at one; a session is for segmenting one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rotoscope.models.clip_fit import ClipFit
from rotoscope.models.clip_options import ClipOptions
from rotoscope.models.clip_windows import ClipWindows, Fill
from rotoscope.types import Frame


@dataclass(frozen=True, eq=False)
class Clip:
    """One clip of a video.

    Attributes:
        indices: of its frames; one may stand several times.
        pixels: (1, 3, T, h, w) uint8, resized and padded, channels-last.
    """

    indices: list[int]
    pixels: Tensor

    def nearest(self, frame: int) -> float:
        """How far a frame is from the clip's middle; infinite where it is not in it."""
        if frame not in self.indices:
            return float("inf")
        return abs(self.indices.index(frame) - (len(self.indices) - 1) / 2)


def clips(frames: Iterable[Frame], fit: ClipFit, options: ClipOptions, fill: Fill) -> Iterator[Clip]:
    """Cut a video into the clips that a session would run, holding only the frames that clips to come may need.

    Args:
        frames: in order, from the first.
        fit: how they go into the network.
        options: length and overlap of clips.
        fill: which frame is copied where the video is over.
    """
    windows = ClipWindows(options.clip, options.shared, options.last_clip, fill)
    held: dict[int, Tensor] = {}

    def clip(indices: list[int]) -> Clip:
        pixels = torch.stack([held[index].permute(1, 2, 0) for index in indices])  # (T, h, w, 3)
        return Clip(indices, pixels[None].permute(0, 4, 1, 2, 3))

    for position, frame in enumerate(frames):
        held[position] = fit.pixels(frame.image)
        indices = windows.push()
        if indices is not None:
            yield clip(indices)
        for index in [index for index in held if index < windows.final_before]:
            del held[index]
    for indices in windows.finish():
        yield clip(indices)
