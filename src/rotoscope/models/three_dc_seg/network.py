"""3DC-Seg: a fully 3D encoder-decoder that finds the salient moving foreground of a clip.

Paper: Mahadevan, Athar, Osep, Hennen, Leal-Taixe, Leibe, "Making a Case for 3D Convolutions for Object Segmentation in
Videos" (BMVC 2020).

Intended differences to the authors' code: the three heads on the coarser maps, whose output was thrown away, do not
exist; the encoder's second copy and its classifier are not kept; the input may have any size, where theirs wants
multiples of 32; `forward` returns the logits, not a list of one. `NETWORKS` names every network of the paper's
ablations; each is built from plain keyword arguments.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.bridges import BRIDGES
from rotoscope.backbones.csn import CSN
from rotoscope.backbones.enlarge import enlarged_four_times
from rotoscope.backbones.mobilenet3d import MobileNet3D
from rotoscope.backbones.r2plus1d import R2Plus1D
from rotoscope.backbones.refine3d import Light, ResidualPair, full
from rotoscope.models.three_dc_seg.refinement import REFINEMENTS

Encoder = CSN | R2Plus1D | MobileNet3D


class Decoder(nn.Module):
    """Bridge, one residual pair, three refinements from coarse to fine, a prediction at stride 4.

    Args:
        encoder_channels: channels of r2, r3, r4, r5.
        channels: width of every decoder map.
        bridge: a name in `BRIDGES`.
        refinement: a name in `REFINEMENTS`.
        classes: logits per position, 2 as published (background, foreground).
        narrow: use the light convolution for the residual pair and the prediction too.
    """

    def __init__(
        self,
        encoder_channels: tuple[int, int, int, int],
        channels: int = 256,
        bridge: str = "gc3d",
        refinement: str = "refine3d",
        classes: int = 2,
        narrow: bool = False,
    ) -> None:
        super().__init__()
        refine = REFINEMENTS[refinement]
        self.bridge = BRIDGES[bridge](encoder_channels[3], channels)
        self.pair = ResidualPair(channels, Light if narrow else full)
        self.refine4 = refine(encoder_channels[2], channels)
        self.refine3 = refine(encoder_channels[1], channels)
        self.refine2 = refine(encoder_channels[0], channels)
        self.predict = nn.Conv3d(channels, classes, 3, padding=1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """[r2, r3, r4, r5] -> logits (B, classes, T, H/4, W/4)."""
        r2, r3, r4, r5 = maps
        m5 = self.pair(self.bridge(r5))
        m4 = self.refine4(r4, m5)
        m3 = self.refine3(r3, m4)
        m2 = self.refine2(r2, m3)
        return self.predict(functional.relu(m2))  # type: ignore[no-any-return]


class ThreeDCSeg(nn.Module):
    """Encoder, decoder, enlargement to the input's size.

    Args:
        encoder: gives four maps; see `CSN`.
        decoder: turns them into logits at stride 4.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, clip: Tensor, guidance: Tensor | None = None) -> Tensor:
        """Segment a clip.

        Args:
            clip: (B, 3, T, H, W) RGB, float in [0, 1] or uint8.
            guidance: (B, 1, T, H, W) or None; see `CSN.forward`.

        Returns:
            Logits (B, 2, T, 4 * ceil(H/4), 4 * ceil(W/4)), channel 0 background, 1 foreground. A side that is no
            multiple of 4 comes out larger; the surplus is at the bottom and right.
        """
        return enlarged_four_times(self.decoder(self.encoder(clip, guidance)))


def _csn(bridge: str = "gc3d", refinement: str = "refine3d") -> ThreeDCSeg:
    return ThreeDCSeg(CSN(), Decoder(CSN.channels, bridge=bridge, refinement=refinement))


def mobile(channels: int = 64) -> ThreeDCSeg:
    """The small network of the same design: MobileNetV2 channel-separated 3D, GC3D and light RF3D, at most 5 M
    parameters.

    Args:
        channels: width of the decoder.
    """
    encoder = MobileNet3D()
    return ThreeDCSeg(encoder, Decoder(encoder.channels, channels, refinement="light", narrow=True))


NETWORKS: dict[str, Callable[[], ThreeDCSeg]] = {
    "csn_gc3d": _csn,
    "csn_c3d": lambda: _csn("c3d"),
    "csn_nl": lambda: _csn("nl3d"),
    "csn_aspp": lambda: _csn("aspp"),
    "csn_upsampling": lambda: _csn(refinement="upsampling"),
    "csn_refine_2plus1d": lambda: _csn(refinement="factored"),
    "csn_refine_transpose": lambda: _csn(refinement="transposed"),
    "csn_refine_light": lambda: _csn(refinement="light"),
    "csn_refine_light_gn": lambda: _csn(refinement="light_group_norm"),
    "csn_refine_dg": lambda: _csn(refinement="depthwise"),
    "r2plus1d34_gc3d": lambda: ThreeDCSeg(R2Plus1D(), Decoder(R2Plus1D.channels)),
    "mobile": mobile,
}
