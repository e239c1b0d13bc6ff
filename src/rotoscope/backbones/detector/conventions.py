"""The two families of published Mask R-CNN weights, and where their arithmetic differs.

Paper: He et al., "Mask R-CNN" (ICCV 2017), with the pyramid of Lin et al. (CVPR 2017). One network stands behind both;
the numbers are only those of the published files when boxes are counted, anchors laid and samples taken as there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rotoscope.ops.boxes import BoxCode, sides
from rotoscope.ops.roi_align import RoiAlign

RATIOS = (0.5, 1.0, 2.0)  # height to width
_FINEST, _LEVELS = 2, 4  # boxes are pooled from P2 to P5


@dataclass(frozen=True)
class Conventions:
    """How boxes are counted.

    Attributes:
        inclusive: x2 and y2 of a box are its last pixels; see `ops.boxes`. That is the legacy family, Propose-Reduce's;
            the current one is torchvision's.
        box_stds: see `BoxCode`, for the second stage.
    """

    inclusive: bool = False
    box_stds: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)

    @property
    def proposal_code(self) -> BoxCode:
        """How the first stage tells boxes relative to anchors."""
        return BoxCode(inclusive=self.inclusive)

    @property
    def box_code(self) -> BoxCode:
        """How the second stage tells boxes relative to proposals."""
        return BoxCode(self.box_stds, self.inclusive)

    def align(self, size: int) -> RoiAlign:
        """The pooling of boxes to `size` bins a side."""
        return RoiAlign(size, inclusive=self.inclusive, least=0.0 if self.inclusive else 1.0)

    def base_anchors(self, size: int, stride: int) -> Tensor:
        """The anchors of one position, at the map's first cell.

        Args:
            size: side of the square one, in pixels; those of other ratios have its area.
            stride: of the map, in pixels.

        Returns:
            (3, 4) float32, whole numbers, in the order of `RATIOS`.
        """
        roots = torch.tensor(RATIOS).sqrt()
        half = torch.stack([size / roots, size * roots], dim=1) / 2  # (3, 2) half width and height
        if not self.inclusive:
            return torch.cat([-half, half], dim=1).round()
        middle = (stride - 1) / 2
        return torch.cat([middle - half + 0.5, middle + half - 0.5], dim=1).round()

    def strides(self, shape: tuple[int, int], padded: tuple[int, int], size: int) -> tuple[int, int]:
        """How far the anchors of neighbouring cells of a map lie apart, down and across, in pixels.

        Args:
            shape: (height, width) of the map.
            padded: (height, width) of the padded picture.
            size: side of its square anchor; the legacy anchors are eight strides wide.
        """
        return (size // 8, size // 8) if self.inclusive else (padded[0] // shape[0], padded[1] // shape[1])

    def levels(self, boxes: Tensor) -> Tensor:
        """The map that each box is pooled from.

        Args:
            boxes: (N, 4).

        Returns:
            (N,) int64, 0 for P2 to 3 for P5.
        """
        width_height = sides(boxes, self.inclusive).prod(dim=1).clamp(min=0).sqrt()
        if self.inclusive:
            level = torch.floor(torch.log2(width_height / 56 + 1e-6))
        else:
            level = torch.floor(4 + torch.log2(width_height / 224) + 1e-6) - _FINEST
        return level.nan_to_num(0).clamp(0, _LEVELS - 1).long()


CURRENT = Conventions()
LEGACY = Conventions(inclusive=True)
