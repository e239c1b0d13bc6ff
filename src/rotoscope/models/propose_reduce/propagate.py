"""From the objects of a key frame to their sequences: through the whole video, forwards and backwards.

Paper: Lin et al., "Video Instance Segmentation with a Propose-Reduce Paradigm" (ICCV 2021), section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from rotoscope.backbones.detector.box_head import DetectionOptions
from rotoscope.backbones.detector.mask_rcnn import DetectorOptions
from rotoscope.backbones.detector.paste import pasted_legacy
from rotoscope.backbones.detector.rpn import ProposalOptions
from rotoscope.masks.run_length import encode
from rotoscope.models.memory.entries import ObjectMemory
from rotoscope.models.propose_reduce.network import FrameMaps, SeqMaskRCNN
from rotoscope.models.propose_reduce.options import WholeVideoOptions
from rotoscope.models.propose_reduce.packed import PackedMasks
from rotoscope.models.propose_reduce.sequences import MaskSequence
from rotoscope.ops.box_masks import tight_boxes

_PROPOSALS = ProposalOptions(200, 200, 200, least=0.0)
_SOLID = 0.5  # of a mask
MapsOf = Callable[[int], FrameMaps]


@torch.inference_mode()
def found_in(network: SeqMaskRCNN, maps: FrameMaps, options: WholeVideoOptions) -> Tensor:
    """The masks of a key frame that are followed: (O, h, w) bool of the frame without padding, none a double."""
    chosen = DetectionOptions(options.score, most=options.detections, least=0.0, sort_always=False)
    detector = network.detector
    found, small = detector.detect(maps.levels, maps.size, maps.padded, DetectorOptions(_PROPOSALS, chosen))
    masks = pasted_legacy(small, found.boxes, maps.size) > _SOLID
    return masks[single(masks, options.double)]


def single(masks: Tensor, double: float) -> Tensor:
    """Which masks are no doubles of earlier ones.

    Args:
        masks: (O, H, W) bool, in the order that counts.
        double: IoU from which a mask is dropped; empty ones share nothing.

    Returns:
        (K,) int64, places, ascending.
    """
    flat = masks.flatten(1).float()
    shared = flat @ flat.T  # whole numbers below 2**24, exact
    areas = shared.diagonal()
    iou = shared.double() / (areas[:, None] + areas - shared).clamp(min=1)
    kept: list[int] = []
    for place in range(len(masks)):
        if not kept or bool((iou[place, kept] < double).all()):
            kept.append(place)
    return torch.tensor(kept, dtype=torch.int64, device=masks.device)


@torch.inference_mode()
def followed(
    network: SeqMaskRCNN, maps_of: MapsOf, masks: Tensor, key_frame: int, frames: int, every: int, limit: int
) -> Iterator[tuple[int, Tensor]]:
    """Follow the objects of a key frame: in it, in the frames after it, in those before it.

    Args:
        network: see `SeqMaskRCNN`.
        maps_of: encodes a frame.
        masks: (O, h, w) on the key frame, at least one.
        key_frame: its index.
        frames: of the video.
        every: every so many-th frame is remembered, counted from the key frame.
        limit: frames that are remembered.

    Yields:
        Frame index and (O, H, W) float32, the objects' parts of the padded frame.
    """
    for way in (range(key_frame, frames), range(key_frame - 1, -1, -1)):
        if not way:
            continue
        memories = [ObjectMemory(limit, every=1) for _ in masks]
        _remember(network, memories, maps_of(key_frame), masks.float())
        for frame in way:
            maps = maps_of(frame)
            parts = network.segment(maps, [memory.read() for memory in memories])
            yield frame, parts
            if frame != key_frame and (frame - key_frame) % every == 0:
                _remember(network, memories, maps, parts)


@torch.inference_mode()
def remembered_bytes(
    network: SeqMaskRCNN, maps: FrameMaps, objects: int, key_frame: int, frames: int, every: int, limit: int
) -> int:
    """How much memory `followed` takes for what it remembers, at most.

    Args:
        network: see `SeqMaskRCNN`.
        maps: of any frame of the video.
        objects: that are followed.
        key_frame: and the rest as in `followed`.
        frames: likewise.
        every: likewise.
        limit: likewise.
    """
    keys, values = network.propagation.memorise(
        maps.levels[0], torch.zeros(1, *maps.size, device=maps.levels[0].device)
    )
    entries = 1 + max(key_frame, frames - 1 - key_frame) // every
    room = min(limit, max(4, 1 << (entries - 1).bit_length()))  # a memory grows by doubling
    return objects * room * (keys.nbytes + values.nbytes)


def _remember(network: SeqMaskRCNN, memories: Sequence[ObjectMemory], maps: FrameMaps, masks: Tensor) -> None:
    keys, values = network.propagation.memorise(maps.levels[0], masks)
    for memory, key, value in zip(memories, keys, values, strict=True):
        memory.put(key, value)


class SequenceBuilder:
    """Puts the sequences of a key frame together as its objects are followed.

    Args:
        network: scores what is in their boxes.
        key_frame: its index.
        objects: how many.
    """

    def __init__(self, network: SeqMaskRCNN, key_frame: int, objects: int) -> None:
        self._network, self._key_frame = network, key_frame
        self._masks = [PackedMasks() for _ in range(objects)]
        self._sums = np.zeros((objects, network.classes + 1), np.float64)
        self._seen = np.zeros(objects, np.int64)

    @torch.inference_mode()
    def add(self, frame: int, maps: FrameMaps, parts: Tensor) -> None:
        """Take what `followed` says of a frame."""
        solid = parts >= _SOLID
        boxes, there = score_boxes(solid)
        places = there.nonzero()[:, 0].tolist()
        if not places:
            return
        self._sums[places] += self._network.class_scores(maps, boxes[there]).double().cpu().numpy()
        self._seen[places] += 1
        masks = solid.cpu().numpy()
        for place in places:
            self._masks[place].put(frame, encode(masks[place]))

    def sequences(self) -> list[MaskSequence]:
        """Everything that was added, an object each; what was never seen is background for certain."""
        found = []
        for total, seen, masks in zip(self._sums, self._seen, self._masks, strict=True):
            scores = total / max(1, int(seen))
            scores[0] += seen == 0
            found.append(MaskSequence(self._key_frame, scores.astype(np.float32), masks))
        return found


def score_boxes(masks: Tensor) -> tuple[Tensor, Tensor]:
    """Where masks are scored: their extent and a pixel on each side, inside the frame.

    Args:
        masks: (O, H, W) bool.

    Returns:
        (O, 4) float32 boxes with inclusive ends, and (O,) bool, whether there is anything.
    """
    height, width = masks.shape[1:]
    boxes, there = tight_boxes(masks)  # ends exclusive, as large as one more pixel
    grown = boxes - boxes.new_tensor([1, 1, 0, 0])
    return grown.clamp(min=0).minimum(grown.new_tensor([width - 1, height - 1, width - 1, height - 1])), there
