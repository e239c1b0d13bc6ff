"""A detector of objects in single pictures, as systems that match proposals use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.backbones.detector.torchvision_rcnn import TorchvisionRCNN, published_state
from rotoscope.errors import WeightsError
from rotoscope.masks.proposal_cache import Detections


class PictureDetector:
    """Mask R-CNN on a device; not a module, so that it is no part of the weights of a network that it is given to.

    Args:
        network: with its weights, in eval mode.
        device: where it is.
        score: detections of a smaller score are left out.
        most: at most so many in a picture, the best.
    """

    def __init__(self, network: TorchvisionRCNN, device: torch.device, score: float = 0.05, most: int = 100) -> None:
        self._network = network
        self._device = device
        self._score, self._most = score, most

    @classmethod
    def from_published(cls, state: Mapping[str, Tensor], device: torch.device) -> Self:
        """Open torchvision's Mask R-CNN R50-FPN of COCO, in either style of its keys.

        Args:
            state: the flat state dict of maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth or a later copy of it.
            device: where it is to run.

        Raises:
            WeightsError: weights are missing, unknown or of another shape.
        """
        network = TorchvisionRCNN()
        own = {key: value.shape for key, value in network.state_dict().items() if not key.startswith("pixels.")}
        kept = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
        try:
            found = published_state(kept)
        except KeyError as error:
            raise WeightsError(
                f"{error.args[0]} is no weight of Mask R-CNN R50-FPN; give torchvision's "
                f"maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"
            ) from error
        missing = sorted(set(own) - set(found))
        wrong = [key for key, value in found.items() if key in own and value.shape != own[key]]
        if missing or wrong:
            first = [*missing, *wrong][0]
            raise WeightsError(
                f"the weights do not fit Mask R-CNN R50-FPN of COCO: {len(missing)} missing, {len(wrong)} of another "
                f"shape (the first is {first}); get the file again"
            )
        network.load_state_dict(found, strict=False)
        return cls(network.eval().requires_grad_(False).to(device), device)

    @torch.inference_mode()
    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Find objects.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        frame = torch.tensor(image, device=self._device).permute(2, 0, 1)
        found = self._network.detect(frame, self._score, self._most)
        masks = found.masks.mul(255).round().byte()
        arrays = (values.cpu().numpy() for values in (found.boxes.float(), masks, found.scores.float(), found.labels))
        return Detections(*arrays)
