"""The small network of Propose-Reduce's design: MobileNetV2 in place of ResNet, a narrow pyramid and narrow heads.

Paper: Lin et al., "Video Instance Segmentation with a Propose-Reduce Paradigm" (ICCV 2021).

Intended differences to the paper's network, besides the encoder and the widths: its propagation head, see
`mobile_propagation`; rules and training are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.mobilenet2 import MobileNet2
from rotoscope.models.propose_reduce.mobile_propagation import MobilePropagationHead
from rotoscope.models.propose_reduce.network import MULTIPLE, YTVIS_CLASSES, SeqMaskRCNN
from rotoscope.models.propose_reduce.propagation import PropagationWidths

_MEAN_GREY = 128  # what MobileNetV2 subtracts
_WIDTHS = PropagationWidths(inner=96, outer=160, key=32, value=96, decoder=64)


class MobileSeqMaskRCNN(SeqMaskRCNN):
    """See the module; used as `SeqMaskRCNN` is.

    Args:
        classes: without the background.
        channels: of the pyramid.
        hidden: of the box head's layers.
        mask_width: of the mask head's maps.
        widths: of the propagation head.
    """

    propagation_head = MobilePropagationHead
    frozen = ()

    def __init__(
        self,
        classes: int = YTVIS_CLASSES,
        channels: int = 96,
        hidden: int = 320,
        mask_width: int = 96,
        widths: PropagationWidths = _WIDTHS,
    ) -> None:
        nn.Module.__init__(self)
        body = MobileNet2()
        fine, middle, coarse, last = body.channels
        self._add_parts(body, (fine, middle, coarse, last), classes, channels, hidden, mask_width, widths)

    def load_picture_weights(self, weights: Mapping[str, Any]) -> list[str]:
        """Start the encoder from DeepLabv3 on MobileNetV2.

        Args:
            weights: arrays, see `MobileNet2.picture_state`.

        Returns:
            The names in `weights` that the encoder has no place for.

        Raises:
            WeightsError: a weight is missing or of another shape.
        """
        body = self.detector.body
        if not isinstance(body, MobileNet2):
            raise AssertionError("the small network has another encoder")
        body.load_state_dict(body.picture_state(weights), strict=False)
        return sorted(name for name in weights if name.startswith(("classifier.", "head.")))

    def normalised(self, frames: Tensor) -> Tensor:
        """Padded only: the encoder normalises itself; see `SeqMaskRCNN.normalised`."""
        height, width = frames.shape[-2:]
        grey = float(_MEAN_GREY) if not frames.is_floating_point() else _MEAN_GREY / 255
        return functional.pad(frames, (0, -width % MULTIPLE, 0, -height % MULTIPLE), value=grey)
