"""Mask R-CNN: an encoder with a pyramid, proposals, boxes, masks.

Papers: He et al., "Mask R-CNN" (ICCV 2017); Lin et al., "Feature Pyramid Networks" (CVPR 2017). Built for the weights
of two families, see `Conventions`.

Intended differences to both families' code: one network for both; all anchors of a map are laid at once and never kept;
masks of the detections are pasted only where their boxes are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rotoscope.backbones.detector.box_head import POOLED as BOX_POOLED
from rotoscope.backbones.detector.box_head import BoxHead, DetectionOptions, Detections
from rotoscope.backbones.detector.conventions import CURRENT, Conventions
from rotoscope.backbones.detector.mask_head import POOLED as MASK_POOLED
from rotoscope.backbones.detector.mask_head import MaskHead
from rotoscope.backbones.detector.roi_extract import pooled
from rotoscope.backbones.detector.rpn import ProposalHead, ProposalOptions, Proposals
from rotoscope.backbones.fpn import FeaturePyramid

SIZES = (32, 64, 128, 256, 512)  # of the square anchors on P2 to P6, in pixels


@dataclass(frozen=True)
class DetectorOptions:
    """What is kept at each stage; the defaults are torchvision's.

    Attributes:
        proposals: see `ProposalOptions`.
        detections: see `DetectionOptions`.
    """

    proposals: ProposalOptions = field(default_factory=ProposalOptions)
    detections: DetectionOptions = field(default_factory=DetectionOptions)


class MaskRCNN(nn.Module):
    """The detector.

    Args:
        body: gives maps of strides 4 to 32 from normalised pictures.
        in_channels: of those maps.
        classes: without the background; 1 for a detector of any object.
        channels: of the pyramid.
        hidden: of the box head's layers.
        mask_width: of the mask head's maps.
        conventions: see `Conventions`.
    """

    def __init__(
        self,
        body: nn.Module,
        in_channels: Sequence[int],
        classes: int,
        channels: int = 256,
        hidden: int = 1024,
        mask_width: int = 256,
        conventions: Conventions = CURRENT,
    ) -> None:
        super().__init__()
        self.conventions = conventions
        self.body = body
        self.pyramid = FeaturePyramid(in_channels, channels)
        self.proposal_head = ProposalHead(channels, SIZES, conventions)
        self.box_head = BoxHead(channels, classes, hidden, conventions)
        self.mask_head = MaskHead(channels, classes, mask_width)

    def maps(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Encode pictures.

        Args:
            x: (B, 3, H, W), normalised, H and W multiples of 32.

        Returns:
            The body's maps C2 to C5, and the pyramid's P2 to P6.
        """
        own = self.body(x)
        levels = self.pyramid(own)
        return own, [*levels, levels[-1][..., ::2, ::2]]

    def propose(
        self, levels: Sequence[Tensor], size: tuple[int, int], padded: tuple[int, int], options: ProposalOptions
    ) -> Proposals:
        """First stage on one picture: P2 to P6 (1, C, h, w) -> boxes; see `ProposalHead.proposals`."""
        return self.proposal_head.proposals(self.proposal_head(levels), size, padded, options)

    def box_outputs(
        self, levels: Sequence[Tensor], boxes: Tensor, padded: tuple[int, int], of: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the box head says of boxes; see `BoxHead.forward`."""
        features = pooled(levels, boxes, BOX_POOLED, self.conventions, padded, of)
        return self.box_head(features)  # type: ignore[no-any-return]

    def mask_logits(self, levels: Sequence[Tensor], boxes: Tensor, labels: Tensor, padded: tuple[int, int]) -> Tensor:
        """(D, 28, 28) mask logits of detections."""
        if not len(boxes):
            return boxes.new_zeros(0, 28, 28)
        features = pooled(levels, boxes, MASK_POOLED, self.conventions, padded)
        return self.mask_head.of_labels(features, labels)

    @torch.no_grad()
    def detect(
        self, levels: Sequence[Tensor], size: tuple[int, int], padded: tuple[int, int], options: DetectorOptions
    ) -> tuple[Detections, Tensor]:
        """Both stages on one picture.

        Args:
            levels: P2 to P6, (1, C, h, w).
            size: (height, width) of the picture without padding.
            padded: with padding.
            options: see `DetectorOptions`.

        Returns:
            The detections, and their masks (D, 28, 28) in [0, 1].
        """
        proposals = self.propose(levels, size, padded, options.proposals)
        if len(proposals.boxes):
            logits, deltas = self.box_outputs(levels, proposals.boxes, padded)
            found = self.box_head.detections(proposals.boxes, logits, deltas, size, options.detections)
        else:
            none = proposals.boxes.new_zeros(0, dtype=torch.int64)
            found = Detections(proposals.boxes, proposals.scores, none)
        return found, self.mask_logits(levels, found.boxes, found.labels, padded).float().sigmoid()
