"""Where the proposals of a frame come from: a detector, a cache on disk, or nowhere; and how they are brought in shape.

As DMM-Net (ICCV 2019) prepares them: boxes are drawn tight around the masks, doubles are dropped whatever their
category, the best are kept. Differences to its code: boxes end where the mask does, and an empty mask is dropped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from rotoscope.errors import DataError, OptionError
from rotoscope.masks.proposal_cache import Detections, ProposalCache, cache_of
from rotoscope.models.dmn_aoa.network import Proposals
from rotoscope.ops.box_masks import best_masks, pasted
from rotoscope.types import Frame, VideoInfo

SOLID = 0.4  # of a soft mask, what its box is drawn around
DOUBLE = 0.4  # IoU of boxes above which the one of the lower score is dropped


class Detector(Protocol):
    """Finds objects in single pictures."""

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """(H, W, 3) uint8 RGB -> what is in it."""
        ...


class Provider(Protocol):
    """Where the proposals of one video come from."""

    def of(self, frame: Frame) -> Detections | None:
        """The proposals of a frame; None where there are none by choice."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


class NoProposals:
    """Objects are found by memory alone."""

    def of(self, frame: Frame) -> None:
        """See `Provider.of`."""

    def close(self) -> None:
        """See `Provider.close`."""


class DetectedProposals:
    """A detector runs on every frame.

    Args:
        detector: see `Detector`.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def of(self, frame: Frame) -> Detections:
        """See `Provider.of`."""
        return self._detector.detect(frame.image)

    def close(self) -> None:
        """See `Provider.close`."""


class CachedProposals:
    """A cache on disk, compared with the frames as they come.

    Args:
        path: of the npz.

    Raises:
        DataError: it is not there, or no cache.
    """

    def __init__(self, path: Path) -> None:
        self._cache = ProposalCache(path)

    def of(self, frame: Frame) -> Detections:
        """See `Provider.of`.

        Raises:
            DataError: the cache is of another video, or damaged.
        """
        return self._cache.read_for(frame.index, frame.image)

    def close(self) -> None:
        """See `Provider.close`."""
        self._cache.close()


def provider(choice: str, info: VideoInfo, detector: Detector | None) -> Provider:
    """Open what a video's proposals come from.

    Args:
        choice: "none", "built-in", or a folder with NAME.npz of each video, or one such file.
        info: of the video.
        detector: for "built-in".

    Raises:
        OptionError: no detector is there.
        DataError: the folder or the file is not there.
    """
    if choice == "none":
        return NoProposals()
    if choice == "built-in":
        if detector is None:
            raise OptionError(
                "proposals built-in needs a detector; give its weights with --detector FILE (Mask R-CNN of COCO), "
                "or make a cache with `rotoscope propose`, or choose none"
            )
        return DetectedProposals(detector)
    place = Path(choice)
    if place.suffix != ".npz" and not place.is_dir():
        raise DataError(f"there is no folder of proposals {place}; make it with `rotoscope propose`")
    return CachedProposals(cache_of(place, info.name))


def in_frame(
    found: Detections,
    frame: tuple[int, int],
    size: tuple[int, int],
    padding: tuple[int, int, int, int],
    device: torch.device,
    score: float = 0.05,
    limit: int = 50,
) -> Proposals:
    """Draw what was found into the network's frame.

    Args:
        found: in the pixels of the video's frame.
        frame: (height, width) of that.
        size: (height, width) of the network's frame, without padding.
        padding: (left, right, top, bottom) of that.
        device: where to.
        score: lower ones are left out.
        limit: at most so many, the best.
    """
    left, right, top, bottom = padding
    padded = (size[0] + top + bottom, size[1] + left + right)
    good = np.flatnonzero(found.scores >= score)
    if not len(good):
        return Proposals.none(padded, device)
    scale = torch.tensor([size[1] / frame[1], size[0] / frame[0]] * 2, device=device)
    boxes = torch.from_numpy(found.boxes[good]).to(device) * scale
    small, scores = (torch.from_numpy(values[good]).to(device) for values in (found.masks, found.scores))
    kept, tight = best_masks(small, boxes, scores, size, limit, SOLID, DOUBLE)
    masks = functional.pad(pasted(small[kept], boxes[kept], size), padding)
    shift = torch.tensor([left, top, left, top], device=device, dtype=torch.float32)
    return Proposals(masks, tight + shift, scores[kept])
