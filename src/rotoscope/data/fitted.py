"""Clips of whole frames with the boxes and masks of their objects, as Propose-Reduce's released code prepares them.

Frames are fitted into the clip's size, whichever way they lie; what is left of it is not filled. Objects may overlap
and have the boxes of the video's own pixels, brought to the frames' new size; a map of labels would lose both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rotoscope.data.tracks import VOID
from rotoscope.ops.box_masks import tight_boxes
from rotoscope.ops.resize import fitted, fitting_scale, resize_unsmoothed


@dataclass(frozen=True, slots=True, eq=False)
class ClipObjects:
    """The objects of a clip's T frames, each by itself.

    Attributes:
        ids: (N,) int64, ascending.
        boxes: (T, N, 4) float32 left, top, right, bottom, of the first and last pixel; (0, 0, 0, 0) where an object is
            not annotated.
        annotated: (T, N) bool.
        masks: (T, N, h, w) bool, of the frames without padding; an annotated one is empty where nothing is left of it.
    """

    ids: Tensor
    boxes: Tensor
    annotated: Tensor
    masks: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the frames."""
        return self.masks.shape[2], self.masks.shape[3]

    def to(self, device: torch.device) -> ClipObjects:
        """The same on a device."""
        return ClipObjects(*(x.to(device) for x in (self.ids, self.boxes, self.annotated, self.masks)))


@dataclass(frozen=True, eq=False)
class FittedDraft:
    """Frames that are fitted already; see `clips.Draft`.

    Attributes:
        frames: (T, 3, h, w) uint8 RGB.
        objects: of the frames.
    """

    frames: Tensor
    objects: ClipObjects

    def render(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """See `clips.Draft.render`; where objects overlap, the later one is in the labels."""
        clip = self.frames.to(device).transpose(0, 1).float().div_(255)  # (3, T, h, w)
        masks = self.objects.masks.to(device)
        labels = torch.zeros(masks.shape[0], *masks.shape[2:], dtype=torch.uint8, device=masks.device)
        for number, own in zip(self.objects.ids.tolist(), masks.unbind(1), strict=True):
            labels.masked_fill_(own, number)
        return clip, labels


@dataclass(frozen=True)
class FittedFrames:
    """The cutting; see `clips.Cutting`. Frames of another aspect ratio make clips of another size.

    Attributes:
        size: (height, width) that frames fit into, whichever way they lie.
        flip: probability of mirroring.
        reverse: probability of running backwards.
    """

    size: tuple[int, int]
    flip: float = 0.5
    reverse: float = 0.0

    def draft(
        self, frames: NDArray[np.uint8], labels: NDArray[np.uint8], generator: np.random.Generator
    ) -> FittedDraft:
        """See `Cutting.draft`."""
        numbers = [[number for number in np.unique(own).tolist() if number not in (0, VOID)] for own in labels]
        masks = [{number: own == number for number in found} for own, found in zip(labels, numbers, strict=True)]
        return self.draft_of(frames, masks, generator)

    def draft_of(
        self,
        frames: NDArray[np.uint8],
        masks: Sequence[Mapping[int, NDArray[np.bool_]]],
        generator: np.random.Generator,
    ) -> FittedDraft:
        """Prepare a clip whose objects may overlap.

        Args:
            frames: (T, H, W, 3) uint8 RGB.
            masks: for each frame those (H, W) of its objects, by id, none of them empty.
            generator: source of chance.
        """
        if generator.random() < self.reverse:
            frames, masks = frames[::-1], masks[::-1]
        full = (frames.shape[1], frames.shape[2])
        sides = (min(self.size), max(self.size))
        size = fitted(full, *sides)
        pictures = torch.stack([resize_unsmoothed(frame, size) for frame in frames])
        objects = _objects(masks, full, size, fitting_scale(full, *sides))
        if generator.random() < self.flip:
            pictures, objects = pictures.flip(-1), _mirrored(objects)
        return FittedDraft(pictures, objects)


def _objects(
    masks: Sequence[Mapping[int, NDArray[np.bool_]]], full: tuple[int, int], size: tuple[int, int], scale: float
) -> ClipObjects:
    ids = sorted({number for own in masks for number in own})
    stack = np.zeros((len(masks), len(ids), *full), np.bool_)
    for frame, own in zip(stack, masks, strict=True):
        for place, number in enumerate(ids):
            if number in own:
                frame[place] = own[number]
    whole = torch.from_numpy(stack)
    boxes, annotated = tight_boxes(whole.flatten(0, 1)) if ids else (torch.zeros(0, 4), torch.zeros(0).bool())
    boxes = (boxes - boxes.new_tensor([0, 0, 1, 1])) * scale  # the last pixel, then as the published code scales
    boxes = boxes.clamp(min=0).minimum(boxes.new_tensor([size[1], size[0], size[1], size[0]]))
    small = functional.interpolate(whole.to(torch.uint8), size, mode="nearest") if ids else whole.new_zeros(0)
    shape = (len(masks), len(ids))
    return ClipObjects(
        torch.tensor(ids, dtype=torch.int64),
        (boxes * annotated[:, None]).reshape(*shape, 4),
        annotated.reshape(shape),
        small.reshape(*shape, *size).bool(),
    )


def _mirrored(objects: ClipObjects) -> ClipObjects:
    left, top, right, bottom = objects.boxes.unbind(-1)
    width = objects.size[1]
    boxes = torch.stack([width - right - 1, top, width - left - 1, bottom], dim=-1).clamp(min=0)
    boxes = boxes * objects.annotated[..., None]
    return ClipObjects(objects.ids, boxes, objects.annotated, objects.masks.flip(-1))
