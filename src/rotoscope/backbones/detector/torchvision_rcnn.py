"""Torchvision's Mask R-CNN R50-FPN on frames of any size, and its published file key by key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.detector.box_head import DetectionOptions
from rotoscope.backbones.detector.mask_rcnn import DetectorOptions, MaskRCNN
from rotoscope.backbones.pixels import PixelNorm
from rotoscope.backbones.resnet import ResNet

CLASSES = 90  # COCO's numbers, with holes
_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)
_MULTIPLE = 32

_TABLE = (
    (r"backbone\.body\.(.*)", r"detector.body.\1"),
    (r"backbone\.fpn\.inner_blocks\.(\d)\.(?:0\.)?(weight|bias)", r"detector.pyramid.inner.\1.\2"),
    (r"backbone\.fpn\.layer_blocks\.(\d)\.(?:0\.)?(weight|bias)", r"detector.pyramid.outer.\1.\2"),
    (r"rpn\.head\.conv\.(?:0\.0\.)?(weight|bias)", r"detector.proposal_head.conv.\1"),
    (r"rpn\.head\.cls_logits\.(.*)", r"detector.proposal_head.score.\1"),
    (r"rpn\.head\.bbox_pred\.(.*)", r"detector.proposal_head.delta.\1"),
    (r"roi_heads\.box_head\.fc6\.(.*)", r"detector.box_head.hidden1.\1"),
    (r"roi_heads\.box_head\.fc7\.(.*)", r"detector.box_head.hidden2.\1"),
    (r"roi_heads\.box_predictor\.cls_score\.(.*)", r"detector.box_head.score.\1"),
    (r"roi_heads\.box_predictor\.bbox_pred\.(.*)", r"detector.box_head.delta.\1"),
    (r"roi_heads\.mask_predictor\.conv5_mask\.(.*)", r"detector.mask_head.enlarge.\1"),
    (r"roi_heads\.mask_predictor\.mask_fcn_logits\.(.*)", r"detector.mask_head.logits.\1"),
)


@dataclass(frozen=True, slots=True, eq=False)
class FrameDetections:
    """Objects of one frame, in its own pixels.

    Attributes:
        boxes: (D, 4), ends exclusive.
        scores: (D,) in [0, 1], descending.
        labels: (D,) int64, COCO's numbers from 1.
        masks: (D, 28, 28) in [0, 1], each stretched over its box; see `paste.pasted`.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor


class TorchvisionRCNN(nn.Module):
    """The detector with its preparation of frames.

    Args:
        short: that the short side is brought to, in pixels.
        long: that the long side may have at most.
        layers: of the ResNet; (3, 4, 6, 3) is the published one.
    """

    def __init__(self, short: int = 800, long: int = 1333, layers: tuple[int, ...] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.short, self.long = short, long
        self.pixels = PixelNorm(_MEAN, _STD, scale=1.0, dimensions=2)
        body = ResNet(layers, eps=0.0)
        self.detector = MaskRCNN(body, body.channels, CLASSES)

    def prepared(self, frame: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """A frame (3, H, W), uint8 or float in [0, 1], as the network sees it (1, 3, h, w), and its size unpadded."""
        height, width = frame.shape[-2:]
        scale = min(self.short / min(height, width), self.long / max(height, width))
        size = (max(1, int(height * scale)), max(1, int(width * scale)))
        x = functional.interpolate(self.pixels(frame[None]), size, mode="bilinear", align_corners=False)
        return functional.pad(x, (0, -size[1] % _MULTIPLE, 0, -size[0] % _MULTIPLE)), size

    @torch.no_grad()
    def detect(self, frame: Tensor, score: float = 0.05, most: int = 100) -> FrameDetections:
        """Find objects.

        Args:
            frame: (3, H, W) RGB, uint8 or float in [0, 1].
            score: see `DetectionOptions`.
            most: see `DetectionOptions`.
        """
        x, size = self.prepared(frame)
        padded = (x.shape[2], x.shape[3])
        _, levels = self.detector.maps(x)
        options = DetectorOptions(detections=DetectionOptions(score=score, most=most))
        found, masks = self.detector.detect(levels, size, padded, options)
        boxes = in_frame(found.boxes, size, (frame.shape[1], frame.shape[2]))
        return FrameDetections(boxes, found.scores, found.labels + 1, masks)


def in_frame(boxes: Tensor, seen: tuple[int, int], frame: tuple[int, int]) -> Tensor:
    """Boxes (N, 4) of the picture that the network sees, of size `seen`, in pixels of the frame."""
    down, across = frame[0] / seen[0], frame[1] / seen[1]
    return boxes * boxes.new_tensor([across, down, across, down])


def our_key(key: str) -> str | None:
    """Our name of a tensor of the published file, old or new style; None when there is none."""
    for number in range(1, 5):
        for theirs in (
            rf"roi_heads\.mask_head\.mask_fcn{number}\.(.*)",
            rf"roi_heads\.mask_head\.{number - 1}\.0\.(.*)",
        ):
            found = re.fullmatch(theirs, key)
            if found:
                return f"detector.mask_head.convs.{number - 1}.{found[1]}"
    for pattern, ours in _TABLE:
        if re.fullmatch(pattern, key):
            return re.sub(pattern, ours, key)
    return None


def published_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict under our names.

    What batch norms count is set to 0, as the file, whose norms are frozen, has no such numbers.

    Raises:
        KeyError: a name that is none of the published ones.
    """
    found = {}
    for key, value in state.items():
        ours = our_key(key)
        if ours is None:
            raise KeyError(key)
        found[ours] = value
        if ours.endswith("running_var"):
            found[ours.replace("running_var", "num_batches_tracked")] = torch.zeros((), dtype=torch.int64)
    return found
