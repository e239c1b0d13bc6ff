"""STEm-Seg: a clip as one volume, an embedding for every place, instances as Gaussians in it.

Paper: Athar, Mahadevan, Osep, Leal-Taixe, Leibe, "STEm-Seg: Spatio-temporal Embeddings for Instance Segmentation in
Videos" (ECCV 2020). With D2Conv3D or another moving kernel in its decoders: Schmidt et al., "D2Conv3D: Dynamic Dilated
Convolutions for Object Segmentation in Videos" (WACV 2022), supplement, tables 2 to 5; no code of that was published,
so which convolutions are replaced is an option, all seven 3x3x3 ones of each decoder by default.

Intended differences to the authors' code: frames come as RGB and are normalised and padded here (the stem's weights are
turned around when a file is read); a clip may have any length that the decoders know, whatever length the network was
trained with; frames may be smaller than 96 pixels; the scale of the time axis is a constant
and the bandwidths of free dimensions are options, not weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.fpn import FeaturePyramid
from rotoscope.backbones.pixels import PixelNorm
from rotoscope.backbones.resnet import ResNet
from rotoscope.masks.category_names import KITTI_MOTS, OVIS, YOUTUBE_VIS_2019
from rotoscope.models.stem_seg.decoders import SITES, DecoderOptions, EmbeddingHead, MapHead
from rotoscope.models.stem_seg.embedding import mode_of
from rotoscope.models.stem_seg.maps import Maps
from rotoscope.ops.deform_layers import D2CONV3D, DeformableConv3d, Deformation

MULTIPLE = 32  # of a padded frame's sides
MEAN = (122.7717, 115.9465, 102.9801)
WIDTHS = (256, 256, 128, 128)
RESNET50, RESNET101 = (3, 4, 6, 3), (3, 4, 23, 3)


class FrameEncoder(nn.Module):
    """ResNet and feature pyramid of single frames, as Mask R-CNN has them.

    Args:
        layers: bottlenecks a stage.
        width: of the ResNet's stem; 64 as published.
        channels: of the pyramid.
    """

    def __init__(self, layers: Sequence[int] = RESNET101, width: int = 64, channels: int = 256) -> None:
        super().__init__()
        self.pixels = PixelNorm(MEAN, (1.0, 1.0, 1.0), scale=1.0, dimensions=2)
        self.body = ResNet(layers, width=width, stride_on="1x1", eps=0.0)
        self.pyramid = FeaturePyramid(self.body.channels, channels, enlarge="bilinear")

    def forward(self, frames: Tensor) -> list[Tensor]:
        """See `StemSeg.features`."""
        x = self.pixels(frames)
        bottom, right = (-side % MULTIPLE for side in x.shape[-2:])
        return self.maps(functional.pad(x, (0, right, 0, bottom)))

    def first_parts(self) -> list[nn.Module]:
        """What is published to stay as it is in training: the stem and the first stage."""
        return [self.body.conv1, self.body.bn1, self.body.get_submodule("layer1")]

    def maps(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W), normalised and padded -> maps of strides 4 to 32, finest first."""
        return self.pyramid(self.body(x))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class NetworkOptions:
    """What the networks of the paper differ in.

    Attributes:
        mode: of the embedding, see `embedding.MODES`.
        length: frames of a clip at inference, as published.
        categories: names, by number from 1; () where all objects are alike.
        semantic: whether there is a head for classes and the foreground.
        seediness: whether the seediness has a decoder of its own; a channel of the embedding's otherwise.
        widths: channels of the decoders at strides 32, 16, 8, 4.
        semantic_widths: those of the semantic decoder; as `widths` when empty.
        decoder: see `DecoderOptions`.
        bounded: see `EmbeddingHead`.
        deformation: what takes the place of the decoders' 3x3x3 convolutions; None for nothing.
        sites: which of them, see `decoders.SITES`.
    """

    mode: str = "xyff"
    length: int = 8
    categories: tuple[str, ...] = ()
    semantic: bool = False
    seediness: bool = False
    widths: tuple[int, ...] = WIDTHS
    semantic_widths: tuple[int, ...] = ()
    decoder: DecoderOptions = field(default_factory=DecoderOptions)
    bounded: bool = True
    deformation: Deformation | None = None
    sites: tuple[str, ...] = SITES


class StemSeg(nn.Module):
    """Encoder and pyramid of single frames, heads over the clip.

    Args:
        encoder: frames to maps, see `features`.
        options: of the heads.

    Attributes:
        length: T, frames of a clip as published; 2, 4, 8, 16, 24 and 32 are possible with the same weights.
        mode: of the embedding, see `embedding.MODES`.
        dimensions: E of the embedding.
        free: F, how many of these are free.
        classes: C, categories with the background; 0 without a semantic head. Where it is 2, all objects are alike.
        categories: their names, by number from 1; () where all objects are alike.
    """

    def __init__(self, encoder: nn.Module, options: NetworkOptions) -> None:
        super().__init__()
        mode = mode_of(options.mode)
        self.length, self.mode = options.length, options.mode
        self.dimensions, self.free = mode.dimensions, mode.free
        self.categories = options.categories
        self.classes = max(1, len(options.categories)) + 1 if options.semantic else 0
        self.encoder = encoder
        own = options.decoder
        self.embedding = EmbeddingHead(options.widths, options.mode, own, not options.seediness, options.bounded)
        self.seediness = MapHead(options.widths, 1, own) if options.seediness else None
        widths = options.semantic_widths or options.widths
        self.semantic = MapHead(widths, self.classes + 1, own) if options.semantic else None
        if options.deformation is not None:
            for head in (self.embedding, self.seediness, self.semantic):
                if head is not None:
                    DeformableConv3d.replace_in(head.trunk, options.sites, options.deformation)

    def features(self, frames: Tensor) -> list[Tensor]:
        """Encode frames, each by itself.

        Args:
            frames: (N, 3, H, W) RGB, uint8 or float in [0, 1], of any size. They are normalised, then padded with
                zeros at the bottom and right to multiples of 32.

        Returns:
            (N, channels, h, w) of strides 4, 8, 16 and 32 of the padded frames, finest first. Kept a frame, they serve
            every clip that has it.
        """
        return self.encoder(frames)  # type: ignore[no-any-return]

    def heads(self, features: Sequence[Tensor]) -> Maps:
        """Look at a clip as a whole.

        Args:
            features: (B, channels, T, h, w) of strides 4, 8, 16 and 32, finest first; of one clip:
                `[torch.stack(maps, dim=1)[None] for maps in ...]` of its frames.

        Raises:
            OptionError: the decoders know no clip of T frames.
        """
        embeddings, bandwidths, seediness = self.embedding(features)
        if self.seediness is not None:
            seediness = self.seediness(features).sigmoid()
        if self.semantic is None:
            return Maps(embeddings, bandwidths, seediness)
        logits = self.semantic(features)
        return Maps(embeddings, bandwidths, seediness, logits[:, : self.classes], logits[:, self.classes :])

    def forward(self, clips: Tensor) -> Maps:
        """Embed clips.

        Args:
            clips: (B, 3, T, H, W) RGB, uint8 or float in [0, 1]; see `features`.
        """
        batch, _, length = clips.shape[:3]
        maps = self.features(clips.transpose(1, 2).flatten(0, 1))  # (B * T, C, h, w)
        return self.heads([x.view(batch, length, *x.shape[1:]).transpose(1, 2) for x in maps])


DAVIS = NetworkOptions(length=16, seediness=True)
YOUTUBE_VIS = NetworkOptions(categories=YOUTUBE_VIS_2019, semantic=True, semantic_widths=(256, 256, 256, 256))
KITTI = NetworkOptions("xyt", categories=KITTI_MOTS, semantic=True)
OVIS_VIS = replace(YOUTUBE_VIS, categories=OVIS)
TASKS: Mapping[str, NetworkOptions] = {
    "davis": DAVIS,
    "youtube_vis": YOUTUBE_VIS,
    "kitti_mots": KITTI,
    "ovis": OVIS_VIS,
}
ENCODERS: Mapping[str, tuple[int, ...]] = {"r101": RESNET101, "r50": RESNET50}
DEFORMATIONS: Mapping[str, str] = {"dcnv1": "DCNv1", "dcnv2": "DCNv2", "d2conv3d": D2CONV3D}
COARSE = SITES[:5]  # those at strides 32 and 16, where moving kernels cost little


def _builder(options: NetworkOptions, layers: Sequence[int]) -> Callable[[], StemSeg]:
    return lambda: StemSeg(FrameEncoder(layers), options)


def _networks() -> dict[str, Callable[[], StemSeg]]:
    """Every task with both encoders, and ResNet-50 with moving kernels in the decoders, as the supplement has them."""
    found = {}
    for task, options in TASKS.items():
        for name, layers in ENCODERS.items():
            found[f"{task}_{name}"] = _builder(options, layers)
        for name, version in DEFORMATIONS.items():
            moved = replace(options, deformation=Deformation(version))
            found[f"{task}_r50_{name}"] = _builder(moved, RESNET50)
            found[f"{task}_r50_{name}_coarse"] = _builder(replace(moved, sites=COARSE), RESNET50)
    return found


NETWORKS = _networks()
