"""D2Conv3D in the revised 3DC-Seg: an encoder-decoder whose refinement chooses the dilation of its convolutions.

Paper: Schmidt, Athar, Mahadevan, Leibe, "D2Conv3D: Dynamic Dilated Convolutions for Object Segmentation in Videos"
(WACV 2022); the host is 3DC-Seg (BMVC 2020) with one logit, norms in the decoder and a frozen encoder norm.

Intended differences to the authors' code: the input may have any size, where theirs wants multiples of 32; options that
cannot work there (LayerNorm, CoordConv) do not exist. `NETWORKS` names every run script and option of the spec's
section 3, and a small network with each of the three operators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.bridges import BRIDGES
from rotoscope.backbones.csn import CSN, FrozenBatchNorm3d
from rotoscope.backbones.enlarge import enlarged_four_times
from rotoscope.models.d2conv3d.mobile import MobileD2, mobile
from rotoscope.models.d2conv3d.refinement import Rates, Refine, RefinementOptions
from rotoscope.ops.deform_layers import D2CONV3D, DeformableConv3d, Deformation

MEAN = (0.43216, 0.394666, 0.37645)
STD = (0.22803, 0.22145, 0.216989)
REPLACED = ("refine3", "refine2")  # rf1, at stride 4, keeps plain convolutions
PYRAMIDS: dict[int, Rates] = {3: (3, 6, 9), 2: (6, 12, 18)}


class Decoder(nn.Module):
    """Bridge, a residual pair, three refinements from coarse to fine, a prediction at stride 4.

    Args:
        encoder_channels: channels of e1, e2, e3, e4.
        channels: width of every decoder map.
        bridge: a name in `BRIDGES`.
        options: of the refinement modules.
        pyramids: dilations of the pyramid in module 3 and 2, where there is one.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        channels: int = 256,
        bridge: str = "gc3d",
        options: RefinementOptions | None = None,
        pyramids: dict[int, Rates] | None = None,
    ) -> None:
        super().__init__()
        options, pyramids = options or RefinementOptions(), pyramids or {}
        self.bridge = BRIDGES[bridge](encoder_channels[3], channels)
        self.pair1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.pair2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.refine3 = Refine(encoder_channels[2], channels, options, pyramids.get(3))
        self.refine2 = Refine(encoder_channels[1], channels, options, pyramids.get(2))
        self.refine1 = Refine(encoder_channels[0], channels, options, pyramids.get(1))
        self.predict = nn.Conv3d(channels, 1, 3, padding=1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """[e1, e2, e3, e4] -> logits (B, 1, T, H/4, W/4)."""
        e1, e2, e3, e4 = maps
        m4 = self.coarsest(e4)
        m3 = self.refine3(e3, m4)
        m2 = self.refine2(e2, m3)
        m1 = self.refine1(e1, m2)
        return self.predict(functional.relu(m1))  # type: ignore[no-any-return]

    def coarsest(self, e4: Tensor) -> Tensor:
        """(B, 2048, t, h, w) -> m4 (B, C, t, h, w)."""
        x = self.bridge(e4)
        return x + self.pair2(functional.relu(self.pair1(functional.relu(x))))  # type: ignore[no-any-return]


class D2Network(nn.Module):
    """Encoder, decoder, enlargement to the input's size.

    Args:
        encoder: gives four maps.
        decoder: turns them into logits at stride 4.
    """

    def __init__(self, encoder: CSN, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, clip: Tensor) -> Tensor:
        """Segment a clip.

        Args:
            clip: (B, 3, T, H, W) RGB, float in [0, 1] or uint8.

        Returns:
            Logits (B, 1, T, 4 * ceil(H/4), 4 * ceil(W/4)) of the foreground. A side that is no multiple of 4 comes out
            larger; the surplus is at the bottom and right.
        """
        return enlarged_four_times(self.decoder(self.encoder(clip)))


def build(
    deformation: Deformation | None = None,
    replaced: Sequence[str] = REPLACED,
    *,
    bridge: str = "gc3d",
    options: RefinementOptions | None = None,
    pyramids: dict[int, Rates] | None = None,
    layers: Sequence[int] = (3, 8, 36, 3),
    in_encoder: bool = False,
) -> D2Network:
    """A network with random weights.

    Args:
        deformation: what takes the place of convolutions; None for nothing.
        replaced: children whose convolutions are replaced, of the encoder or decoder.
        bridge: a name in `BRIDGES`.
        options: of the refinement modules.
        pyramids: see `Decoder`.
        layers: of the encoder.
        in_encoder: whether `replaced` names children of the encoder.
    """
    encoder = CSN(layers, [255 * m for m in MEAN], STD, guidance=False, norm=FrozenBatchNorm3d)
    decoder = Decoder(CSN.channels, bridge=bridge, options=options, pyramids=pyramids)
    if deformation is not None:
        DeformableConv3d.replace_in(encoder if in_encoder else decoder, replaced, deformation)
    return D2Network(encoder, decoder)


XYZ = Deformation(D2CONV3D)

NETWORKS: dict[str, Callable[[], D2Network | MobileD2]] = {
    "xyz": lambda: build(XYZ),  # the method
    "baseline": build,
    "dconv": lambda: build(Deformation("DCNv1")),
    "mdconv": lambda: build(Deformation("DCNv2")),
    "xx1": lambda: build(Deformation("SizeConditionedDCNv2")),
    "xy1": lambda: build(Deformation("XYConditionedDCNv2")),
    "xyz_no_modulation": lambda: build(Deformation("XYZConditionedDCNv1")),
    "xyz_linear": lambda: build(Deformation(size_activation="linear")),
    "xyz_relu": lambda: build(Deformation(size_activation="relu")),
    "xyz_relu_plus_one": lambda: build(Deformation(size_activation="relu_plus_one")),
    "aspp": lambda: build(pyramids=PYRAMIDS),
    "xyz_rf3": lambda: build(XYZ, ["refine3"]),
    "xyz_rf123": lambda: build(XYZ, ["refine1", "refine2", "refine3"]),
    "xyz_bridge": lambda: build(XYZ, ["bridge", "pair1"]),
    "baseline_group32_halfpixel": lambda: build(options=RefinementOptions(32, "centres")),
    "baseline_c3d": lambda: build(bridge="c3d"),
    "baseline_csn50": lambda: build(layers=(3, 4, 6, 3)),
    "baseline_nearest_nonorm": lambda: build(options=RefinementOptions(None, "nearest")),
    "baseline_backbone_norm": lambda: build(options=RefinementOptions(norm_input=True)),
    "inter_deformable_gc3d": lambda: build(Deformation("DCNv1"), ["bridge"]),
    "backbone_layer4_xyz": lambda: build(XYZ, ["layer4"], in_encoder=True),
    "mobile": mobile,
    "mobile_dconv": lambda: mobile(deformation=Deformation("DCNv1")),
    "mobile_mdconv": lambda: mobile(deformation=Deformation("DCNv2")),
}
