"""The parts of VISOLO's network that work on the grid, and its decoder.

Paper: Han et al., "VISOLO: Grid-Based Space-Time Aggregation for Efficient Online Video Instance Segmentation"
(CVPR 2022). Order is always convolution, group norm, activation.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.mask_decoder import Refine, ResidualPair

COORDINATES = 2  # channels y and x
_NORM_GROUPS = 32


class NormedConv(nn.Module):
    """A convolution with bias and a group norm; no activation.

    Args:
        in_channels: of the input.
        out_channels: of the output, a multiple of 32.
        kernel: 3 or 1.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
        self.norm = nn.GroupNorm(_NORM_GROUPS, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K, H, W)."""
        return self.norm(self.conv(x))  # type: ignore[no-any-return]


class NormedConvs(nn.Sequential):
    """Several `NormedConv`, a ReLU after each.

    Args:
        in_channels: of the input.
        width: of all outputs.
        count: how many.
    """

    def __init__(self, in_channels: int, width: int, count: int) -> None:
        super().__init__(*(NormedConv(width if place else in_channels, width) for place in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width, H, W), 0 or more."""
        for layer in self:
            x = functional.relu(layer(x), inplace=True)
        return x


class CategoryBranch(nn.Module):
    """From the picture to key and category feature, and from what was aggregated to categories.

    Args:
        in_channels: of the map at stride 16.
        width: of the branch.
        classes: categories.
    """

    def __init__(self, in_channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.key = NormedConv(in_channels, width)
        self.convs = NormedConvs(width, width, 2)
        self.feature = NormedConv(width, width, 1)
        self.post = NormedConvs(width, width, 3)
        self.predict = nn.Conv2d(width, classes, 3, padding=1)

    def before(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, S1, S2) -> key feature and category feature, (B, width, S1, S2) each, of either sign."""
        key = self.key(x)
        return key, self.feature(self.convs(functional.relu(key)))

    def forward(self, feature: Tensor) -> Tensor:
        """Category feature after aggregation (B, width, S1, S2) -> logits (B, classes, S1, S2)."""
        return self.predict(self.post(feature))  # type: ignore[no-any-return]


class KernelBranch(nn.Module):
    """From the picture to the mask feature, and from what was aggregated to kernels.

    Args:
        in_channels: of the map at stride 16, without coordinates.
        width: of the branch.
        kernel: length of a kernel.
    """

    def __init__(self, in_channels: int, width: int, kernel: int) -> None:
        super().__init__()
        self.convs = NormedConvs(in_channels + COORDINATES, width, 3)
        self.post = NormedConvs(width, width, 2)
        self.predict = NormedConv(width, kernel, 1)

    def before(self, x: Tensor) -> Tensor:
        """(B, C + 2, S1, S2) with coordinates -> mask feature (B, width, S1, S2), 0 or more."""
        return self.convs(x)  # type: ignore[no-any-return]

    def forward(self, feature: Tensor) -> Tensor:
        """Mask feature after aggregation (B, width, S1, S2) -> kernels (B, kernel, S1, S2)."""
        return self.predict(self.post(feature))  # type: ignore[no-any-return]


class FeatureBranch(nn.Module):
    """The decoder: from the maps of three strides to the features that kernels are applied to.

    Args:
        channels: of the maps at strides 4, 8 and 16.
        width: of the decoder.
        out_channels: of the features.
    """

    def __init__(self, channels: Sequence[int], width: int, out_channels: int) -> None:
        super().__init__()
        fine, middle, coarse = channels
        self.bridge = NormedConv(coarse + COORDINATES, width)
        self.pair = ResidualPair(width)
        self.refine3 = Refine(middle, width)
        self.refine2 = Refine(fine, width)
        self.merge = NormedConv(width, width)
        self.predict = NormedConv(width, out_channels, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps at strides 4, 8, 16, the last one with coordinates -> (B, out_channels, H/4, W/4), of either sign."""
        fine, middle, coarse = maps
        x = self.pair(self.bridge(coarse))
        x = self.refine2(fine, self.refine3(middle, x))
        x = functional.relu(self.merge(functional.relu(x)), inplace=True)
        return self.predict(x)  # type: ignore[no-any-return]


class SimilarityBranch(nn.Module):
    """Embeddings whose products say how alike cells of two frames are.

    Args:
        width: of the key feature.
        embedding: length of an embedding.
    """

    def __init__(self, width: int, embedding: int) -> None:
        super().__init__()
        self.shared = NormedConvs(width, width, 2)
        self.query = nn.Sequential(NormedConv(width, width), NormedConv(width, embedding, 1))
        self.reference = nn.Sequential(NormedConv(width, width), NormedConv(width, embedding, 1))

    def forward(self, key: Tensor) -> tuple[Tensor, Tensor]:
        """Key feature (B, width, S1, S2) -> query and reference embeddings, (B, S, embedding) each."""
        x = self.shared(functional.relu(key))
        return cells(self.query(x)), cells(self.reference(x))


def cells(maps: Tensor) -> Tensor:
    """(B, C, S1, S2) -> (B, S, C), row by row."""
    return maps.flatten(2).transpose(1, 2)
