"""Proposals of training clips: read from caches, cut as the clip is, carried to the device with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.data.clips import Draft
from rotoscope.masks.proposal_cache import Detections, ProposalCache
from rotoscope.ops.box_masks import best_masks, pasted, tight_boxes

SCORE, SOLID, DOUBLE, MOST = 0.05, 0.4, 0.4, 50  # as at inference
KEPT_SHARE, KEPT_PIXELS, KEPT = 0.2, 16, 30  # what must be left of a proposal in a crop; how many are kept


@dataclass(frozen=True, eq=False)
class FrameProposals:
    """The proposals of one frame of a clip.

    Attributes:
        masks: (P, H, W) uint8, 255 times the probability.
        boxes: (P, 4) float32 left, top, right, bottom of what is above 0.4, ends exclusive.
        scores: (P,) float32.
    """

    masks: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ClipProposals:
    """The proposals of a clip.

    Attributes:
        frames: one for each frame.
        dataset: where the clip is from: "davis", "ytvos" or "default".
    """

    frames: tuple[FrameProposals, ...]
    dataset: str = "default"


@dataclass(frozen=True, eq=False)
class ProposedDraft:
    """A draft with the proposals of its frames; itself a `Draft`.

    Attributes:
        draft: of the clip.
        proposals: cut and mirrored as the clip will be.
    """

    draft: Draft
    proposals: ClipProposals

    def render(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """See `Draft.render`."""
        return self.draft.render(device)


@dataclass(frozen=True)
class Window:
    """How frames are cut: resized, then a window of them, then perhaps mirrored.

    Attributes:
        scaled: (height, width) of the whole frame after resizing.
        top: of the window.
        left: of the window.
        size: (height, width) of the window.
        mirrored: left and right are exchanged.
    """

    scaled: tuple[int, int]
    top: int
    left: int
    size: tuple[int, int]
    mirrored: bool = False


def cut_proposals(found: Detections, frame: tuple[int, int], window: Window) -> FrameProposals:
    """Draw what was found in a frame into a window of it; what is hardly left is dropped.

    Args:
        found: in the pixels of the frame.
        frame: its (height, width).
        window: see `Window`.
    """
    good = np.flatnonzero(found.scores >= SCORE)
    height, width = window.size
    if not len(good):
        return FrameProposals(np.zeros((0, height, width), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, "f4"))
    scale = torch.tensor([window.scaled[1] / frame[1], window.scaled[0] / frame[0]] * 2)
    boxes = torch.from_numpy(found.boxes[good]) * scale
    small, scores = torch.from_numpy(found.masks[good]), torch.from_numpy(found.scores[good])
    kept, _ = best_masks(small, boxes, scores, window.scaled, MOST, SOLID, DOUBLE)
    masks = pasted(small[kept], boxes[kept], window.scaled)
    whole = (masks > SOLID).sum(dim=(1, 2))
    masks = masks[:, window.top : window.top + height, window.left : window.left + width]
    left = (masks > SOLID).sum(dim=(1, 2))
    enough = ((left >= KEPT_SHARE * whole) & (left >= KEPT_PIXELS)).nonzero()[:KEPT, 0]
    masks = masks[enough].flip(2) if window.mirrored else masks[enough]
    boxes, _ = tight_boxes(masks > SOLID)
    return FrameProposals((masks * 255).round().byte().numpy(), boxes.numpy(), scores[kept[enough]].numpy())


@dataclass(frozen=True)
class ProposalFolder:
    """Caches by sequence name; see `masks.proposal_cache`.

    Attributes:
        path: the folder.
        dataset: see `ClipProposals`.
    """

    path: Path
    dataset: str = "default"

    def read(self, name: str, indices: list[int], frames: NDArray[np.uint8]) -> list[Detections]:
        """What was found in some frames of a sequence.

        Args:
            name: of the sequence.
            indices: of the frames.
            frames: (T, H, W, 3) uint8, the frames themselves.

        Raises:
            DataError: there is no cache, or it is of another video.
        """
        with ProposalCache(self.path / f"{name}.npz") as cache:
            return [cache.read_for(index, frame) for index, frame in zip(indices, frames, strict=True)]
