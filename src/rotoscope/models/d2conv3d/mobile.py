"""The small network of D2Conv3D's design: 3DC-Seg's small network with kernels that choose their own dilation.

Paper: Schmidt, Athar, Mahadevan, Leibe, "D2Conv3D: Dynamic Dilated Convolutions for Object Segmentation in Videos"
(WACV 2022).

Intended differences to the paper's network, besides the encoder and the width: the refinement is 3DC-Seg's light one,
where a 1x1x1 convolution mixes channels and a depth-wise 3x3x3 one mixes places, and it is the depth-wise one that is
replaced; replaced are all five of the module at stride 16, but at stride 8, where a place costs as much and there are
four times as many, only the last one, which sees everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.bridges import BRIDGES
from rotoscope.backbones.enlarge import enlarged_four_times
from rotoscope.backbones.mobilenet3d import MobileNet3D
from rotoscope.backbones.refine3d import Light, Refine3d, ResidualPair
from rotoscope.ops.deform_layers import DeformableConv3d, Deformation

REPLACED = ("refine4", "refine3.merge_pair.conv2")
DONOR = "3dc-seg/mobile"


class MobileDecoder(nn.Module):
    """Bridge, a residual pair, three light refinements from coarse to fine, a prediction at stride 4.

    Args:
        encoder_channels: channels of r2, r3, r4, r5.
        channels: width of every decoder map.
        deformation: what takes the place of convolutions; None for nothing.
        replaced: children whose convolutions are replaced.
    """

    def __init__(
        self,
        encoder_channels: tuple[int, int, int, int],
        channels: int = 64,
        deformation: Deformation | None = None,
        replaced: tuple[str, ...] = REPLACED,
    ) -> None:
        super().__init__()
        r2, r3, r4, r5 = encoder_channels
        self.bridge = BRIDGES["gc3d"](r5, channels)
        self.pair = ResidualPair(channels, Light)
        self.refine4 = Refine3d(r4, channels, Light)
        self.refine3 = Refine3d(r3, channels, Light)
        self.refine2 = Refine3d(r2, channels, Light)
        self.predict = nn.Conv3d(channels, 1, 3, padding=1)
        if deformation is not None:
            DeformableConv3d.replace_in(self, replaced, deformation)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """[r2, r3, r4, r5] -> logits (B, 1, T, H/4, W/4)."""
        r2, r3, r4, r5 = maps
        m4 = self.refine4(r4, self.pair(self.bridge(r5)))
        m2 = self.refine2(r2, self.refine3(r3, m4))
        return cast(Tensor, self.predict(functional.relu(m2)))


class MobileD2(nn.Module):
    """Encoder, decoder, enlargement to the input's size; used as `D2Network` is.

    Args:
        channels: width of the decoder.
        deformation: what takes the place of convolutions; None for nothing.
    """

    def __init__(self, channels: int = 64, deformation: Deformation | None = None) -> None:
        super().__init__()
        self.encoder = MobileNet3D()
        self.decoder = MobileDecoder(self.encoder.channels, channels, deformation)

    def forward(self, clip: Tensor) -> Tensor:
        """Segment a clip; see `D2Network.forward`."""
        return enlarged_four_times(self.decoder(self.encoder(clip)))

    def state_from(self, whose: str, state: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Weights for this network that make it what 3DC-Seg's small network is.

        Three steps. What has the same name is copied. The weights of a convolution that is replaced by one with
        modulation are doubled, since every kernel point starts at the factor sigmoid(0) = 1/2; a bias is not, for
        the factor does not touch it. The two logits become one, foreground less background. What is left, the
        convolutions that predict sizes and factors, stays as it is: at zero, if the network is new.

        Args:
            whose: "system/network" of the state.
            state: its weights.

        Returns:
            A state dict of this network, together with whatever of `state` has no place here; None where the weights
            are of a network that this one cannot start from.
        """
        if whose != DONOR:
            return None
        own = {key: value for key, value in self.state_dict().items() if ".deform_params." in key}
        deformable = {name: m for name, m in self.named_modules() if isinstance(m, DeformableConv3d)}
        for key, value in state.items():
            name, _, leaf = key.rpartition(".")
            if name in deformable:
                halved = deformable[name].version.modulated and leaf == "weight"
                own[f"{name}.deform_conv.{leaf}"] = 2 * value if halved else value
            elif name == "decoder.predict" and value.shape[0] == 2:
                own[key] = value[1:].float() - value[:1].float()  # files hold halves
            else:
                own[key] = value
        return own


def mobile(channels: int = 64, deformation: Deformation | None = None) -> MobileD2:
    """The small network with random weights.

    Args:
        channels: width of the decoder.
        deformation: what takes the place of convolutions; D2Conv3D where it is not given.
    """
    return MobileD2(channels, deformation or Deformation())
