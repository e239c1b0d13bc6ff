"""A narrow STEm-Seg that runs in a moment."""

from dataclasses import replace

from rotoscope.models.stem_seg.decoders import DecoderOptions
from rotoscope.models.stem_seg.network import DAVIS, FrameEncoder, NetworkOptions, StemSeg

NARROW = DecoderOptions(in_channels=16, groups=4)


def small(options: NetworkOptions = DAVIS, **changes) -> StemSeg:
    """The networks of the paper at a sixteenth of their widths, ResNet of one block a stage."""
    chosen = replace(options, widths=(16, 16, 8, 8), semantic_widths=(), decoder=NARROW, **changes)
    return StemSeg(FrameEncoder((1, 1, 1, 1), width=8, channels=16), chosen)
