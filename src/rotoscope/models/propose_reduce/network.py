"""Seq Mask R-CNN: a detector of single frames, and a head on its maps that follows what it found.

Paper: Lin et al., "Video Instance Segmentation with a Propose-Reduce Paradigm" (ICCV 2021), section 3.

Intended differences to the authors' code: pixels are normalised with constants that are not read from files; heads that
the published files hold and nothing uses are left out; see also `propagation` and the detector's parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.detector.box_head import POOLED
from rotoscope.backbones.detector.conventions import LEGACY
from rotoscope.backbones.detector.mask_rcnn import MaskRCNN
from rotoscope.backbones.detector.paste import pasted_legacy
from rotoscope.backbones.detector.roi_extract import pooled
from rotoscope.backbones.pixels import PixelNorm
from rotoscope.backbones.resnet import ResNet
from rotoscope.models.propose_reduce.propagation import Asked, PropagationHead, PropagationWidths
from rotoscope.ops.soft_aggregation import soft_aggregation

MULTIPLE = 32  # of a padded frame's sides
YTVIS_CLASSES, DAVIS_CLASSES = 40, 1
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)
Size = tuple[int, int]
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, eq=False)
class FrameMaps:
    """A frame, encoded.

    Attributes:
        levels: (1, C, H/4, W/4) to (1, C, H/64, W/64), the pyramid's P2 to P6.
        asked: what the propagation head takes of it.
        size: (height, width) of the frame without padding.
    """

    levels: tuple[Tensor, ...]
    asked: Asked
    size: Size

    @property
    def padded(self) -> Size:
        """(height, width) with padding."""
        height, width = self.levels[0].shape[-2:]
        return 4 * height, 4 * width

    def tensors(self) -> tuple[Tensor, ...]:
        """All its tensors, levels first; `of_tensors` puts them together again."""
        return (*self.levels, self.asked.key, self.asked.value, *self.asked.skips)

    @classmethod
    def of_tensors(cls, tensors: tuple[Tensor, ...], size: Size) -> FrameMaps:
        """The reverse of `tensors`."""
        *levels, key, value, skip3, skip2 = tensors
        return cls(tuple(levels), Asked(key, value, (skip3, skip2)), size)


class SeqMaskRCNN(nn.Module):
    """The network.

    Args:
        body: gives maps of strides 4 to 32; its attribute `channels` says how many each has.
        classes: without the background; 1 for a detector of any object.
        channels: of the pyramid.
        hidden: of the box head's layers.
        mask_width: of the mask head's maps.
        widths: see `PropagationWidths`.
    """

    propagation_head: type[PropagationHead] = PropagationHead
    frozen: tuple[str, ...] = ("detector.body.conv1.", "detector.body.bn1.", "detector.body.layer1.")
    fresh = ("detector.box_head.score.", "detector.box_head.delta.", "detector.mask_head.logits.")  # of the classes

    def __init__(
        self,
        body: ResNet,
        classes: int = YTVIS_CLASSES,
        channels: int = 256,
        hidden: int = 1024,
        mask_width: int = 256,
        widths: PropagationWidths | None = None,
    ) -> None:
        super().__init__()
        self.pixels = PixelNorm(_MEAN, _STD, scale=1.0, dimensions=2)
        self._add_parts(body, body.channels, classes, channels, hidden, mask_width, widths or PropagationWidths())

    def _add_parts(
        self,
        body: nn.Module,
        body_channels: tuple[int, ...],
        classes: int,
        channels: int,
        hidden: int,
        mask_width: int,
        widths: PropagationWidths,
    ) -> None:
        self.classes = classes
        self.detector = MaskRCNN(body, body_channels, classes, channels, hidden, mask_width, LEGACY)
        self.propagation = self.propagation_head(channels, (body_channels[0], body_channels[1]), widths)

    def load_encoder(self, state: Mapping[str, Tensor]) -> None:
        """Start the body from a classifier's weights, under its own names."""
        self.detector.body.load_state_dict(state)

    def encode(self, frame: Tensor) -> FrameMaps:
        """Encode one frame for everything that follows.

        Args:
            frame: (1, 3, h, w) RGB, uint8 or float in [0, 1], at the network's size.
        """
        return self.encode_normalised(self.normalised(frame), (frame.shape[2], frame.shape[3]))

    def encode_normalised(self, x: Tensor, size: Size) -> FrameMaps:
        """The same for a frame that is normalised and padded: (1, 3, H, W); `size` is that without padding."""
        own, levels = self.detector.maps(x)
        return FrameMaps(tuple(levels), self.propagation.ask(levels[0], own[0], own[1]), size)

    def normalised(self, frames: Tensor) -> Tensor:
        """(B, 3, h, w) RGB, uint8 or float in [0, 1] -> (B, 3, H, W), zeros below and on the right."""
        height, width = frames.shape[-2:]
        return functional.pad(self.pixels(frames), (0, -width % MULTIPLE, 0, -height % MULTIPLE))

    def segment(self, maps: FrameMaps, memories: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Find objects in a frame and let them share its pixels (supplement, equation 1).

        Args:
            maps: of the frame.
            memories: see `PropagationHead.segment`; at least one object.

        Returns:
            (O, H, W) float32, of the padded frame, the objects' part of the distribution at every pixel.
        """
        return soft_aggregation(self.propagation.segment(maps.asked, memories)).softmax(dim=0)[1:]

    def class_scores(self, maps: FrameMaps, boxes: Tensor) -> Tensor:
        """What is in given boxes: (N, 4) inclusive, in pixels -> (N, 1 + classes), background first, sums 1."""
        features = pooled(maps.levels[:4], boxes, POOLED, LEGACY, maps.padded)
        return self.detector.box_head(features)[0].float().softmax(dim=1)  # type: ignore[no-any-return]

    def masks_of(self, levels: Sequence[Tensor], boxes: Tensor, labels: Tensor, size: Size) -> Tensor:
        """Soft masks of known objects, in the frame without padding.

        Args:
            levels: (1, C, h, w) the pyramid's maps, finest first.
            boxes: (D, 4).
            labels: (D,) int64, 0 for the first class.
            size: (height, width) of the frame without padding.

        Returns:
            (D, height, width) in [0, 1].
        """
        padded = (4 * levels[0].shape[2], 4 * levels[0].shape[3])
        return pasted_legacy(self.detector.mask_logits(levels, boxes, labels, padded).float().sigmoid(), boxes, size)

    def forward(self, work: Callable[[SeqMaskRCNN], Found]) -> Found:
        """Do some work with the network's parts.

        In training what goes into a part depends on what came out of another and on the truth, so the network has no
        single way through; but wrappers that gather gradients want to see the call.
        """
        return work(self)


def _resnet(layers: tuple[int, int, int, int], classes: int) -> Callable[[], SeqMaskRCNN]:
    return lambda: SeqMaskRCNN(ResNet(layers), classes)


def _resnext(classes: int) -> Callable[[], SeqMaskRCNN]:
    return lambda: SeqMaskRCNN(ResNet((3, 4, 23, 3), inner_width=256, groups=64), classes)


NETWORKS: Mapping[str, Callable[[], SeqMaskRCNN]] = {
    "r50": _resnet((3, 4, 6, 3), YTVIS_CLASSES),
    "r101": _resnet((3, 4, 23, 3), YTVIS_CLASSES),
    "x101": _resnext(YTVIS_CLASSES),
    "r101-davis": _resnet((3, 4, 23, 3), DAVIS_CLASSES),
    "x101-davis": _resnext(DAVIS_CLASSES),
}
