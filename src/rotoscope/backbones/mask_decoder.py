"""A decoder from a map of stride 16 to one object's mask: a bridge, two refinements with skips, two logits a pixel.

Paper: Oh et al., "Video Object Segmentation using Space-Time Memory Networks" (ICCV 2019), section 3.4; its blocks are
those of RGMP (Oh et al., CVPR 2018). Several systems that follow given objects end in it.

Intended difference to the authors' code: what a refinement makes of its skip is the same for all objects of a frame, so
a skip of batch 1 is worked on once and shared by them.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class ResidualPair(nn.Module):
    """x + two 3x3 convolutions of it, each after a ReLU; no norm.

    Args:
        channels: of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        return x + self.conv2(functional.relu(self.conv1(functional.relu(x)), inplace=True))  # type: ignore[no-any-return]


class Refine(nn.Module):
    """Adds a finer map of the encoder to a coarse one of the decoder.

    Args:
        skip_channels: of the encoder's map.
        channels: of the decoder's maps.
    """

    def __init__(self, skip_channels: int, channels: int) -> None:
        super().__init__()
        self.skip = nn.Conv2d(skip_channels, channels, 3, padding=1)
        self.skip_pair = ResidualPair(channels)
        self.merge_pair = ResidualPair(channels)

    def forward(self, skip: Tensor, coarse: Tensor, added: Tensor | None = None) -> Tensor:
        """(1 or B, S, 2h, 2w), (B, C, h, w), to be added (B, C, 2h, 2w) -> (B, C, 2h, 2w)."""
        return self.merged(self.skipped(skip), coarse, added)

    def skipped(self, skip: Tensor) -> Tensor:
        """What is added of the encoder's map, the same for all objects: (1 or B, S, H, W) -> (1 or B, C, H, W)."""
        return self.skip_pair(self.skip(skip))  # type: ignore[no-any-return]

    def merged(self, skipped: Tensor, coarse: Tensor, added: Tensor | None = None) -> Tensor:
        """The same as `forward`, after `skipped`."""
        merged = skipped + functional.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.merge_pair(merged if added is None else merged + added)  # type: ignore[no-any-return]


class MaskDecoder(nn.Module):
    """Bridge, residual pair, refinements at strides 8 and 4, a prediction enlarged four times.

    Args:
        in_channels: of the map at stride 16.
        skip_channels: of the encoder's maps at strides 4 and 8.
        channels: width of every decoder map.
    """

    def __init__(self, in_channels: int, skip_channels: tuple[int, int], channels: int = 256) -> None:
        super().__init__()
        self.bridge = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.pair = ResidualPair(channels)
        self.refine3 = Refine(skip_channels[1], channels)
        self.refine2 = Refine(skip_channels[0], channels)
        self.predict = nn.Conv2d(channels, 2, 3, padding=1)

    def forward(self, x: Tensor, r3: Tensor, r2: Tensor, added: tuple[Tensor, Tensor, Tensor] | None = None) -> Tensor:
        """Decode.

        Args:
            x: (B, in_channels, h, w) at stride 16.
            r3: (1 or B, S3, 2h, 2w) at stride 8.
            r2: (1 or B, S2, 4h, 4w) at stride 4.
            added: (B, C, h, w), (B, C, 2h, 2w) and (B, C, 4h, 4w), added to what the pairs at strides 16, 8 and 4
                take: more that is known of the object; None: nothing.

        Returns:
            Logits (B, 2, 16h, 16w) float32, channel 0 background, 1 the object.
        """
        m3 = self.refine3(r3, self._coarse(x, added), None if added is None else added[1])
        m2 = self.refine2(r2, m3, None if added is None else added[2])
        return self._predicted(m2)

    def skips(self, r3: Tensor, r2: Tensor) -> tuple[Tensor, Tensor]:
        """What a frame adds at strides 8 and 4, whatever the object; see `Refine.skipped`."""
        return self.refine3.skipped(r3), self.refine2.skipped(r2)

    def decoded(self, x: Tensor, skips: tuple[Tensor, Tensor]) -> Tensor:
        """The same as `forward`, after `skips`."""
        m3 = self.refine3.merged(skips[0], self._coarse(x))
        return self._predicted(self.refine2.merged(skips[1], m3))

    def _coarse(self, x: Tensor, added: tuple[Tensor, Tensor, Tensor] | None = None) -> Tensor:
        bridged = self.bridge(x)
        return self.pair(bridged if added is None else bridged + added[0])  # type: ignore[no-any-return]

    def _predicted(self, m2: Tensor) -> Tensor:
        p2 = self.predict(functional.relu(m2))
        return functional.interpolate(p2.float(), scale_factor=4.0, mode="bilinear", align_corners=False)
