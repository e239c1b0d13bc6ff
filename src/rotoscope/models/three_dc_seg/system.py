"""3DC-Seg as the rest of the house sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rotoscope.errors import WeightsError
from rotoscope.models.clip_options import ClipOptions
from rotoscope.models.clip_session import declare
from rotoscope.models.contract import PublishedNetwork, System
from rotoscope.models.encoder_files import csn152_names, encoder_state
from rotoscope.models.three_dc_seg import published
from rotoscope.models.three_dc_seg.network import NETWORKS
from rotoscope.models.three_dc_seg.session import ThreeDCSession
from rotoscope.types import VideoInfo


def _session(network: nn.Module, info: VideoInfo, options: ClipOptions, device: torch.device) -> ThreeDCSession:
    return ThreeDCSession(network, info, options, device)


def _published(network: str) -> PublishedNetwork:
    name = published.LEGACY.get(network, network)
    if name not in NETWORKS or name == "mobile":
        known = [*(name for name in NETWORKS if name != "mobile"), *published.LEGACY]
        raise WeightsError(f"3dc-seg has no published network {network!r}; known are {', '.join(known)}")
    return PublishedNetwork(name, published.key_table(name), published.CONSTANTS)


def _encoder_weights(arrays: Mapping[str, Any]) -> tuple[str, dict[str, Tensor]] | None:
    """Weights of an encoder from its classifier.

    Read are ir-CSN-152 as VMZ's Caffe2 blobs or as a converted state dict, and R(2+1)D-34 in torchvision's layout.
    """
    name_of = csn152_names(arrays)
    if name_of is not None:
        network, title = "csn_gc3d", "ir-CSN-152"
    elif "stem.0.weight" in arrays and "layer4.2.conv2.0.3.weight" in arrays:
        network, title, name_of = "r2plus1d34_gc3d", "R(2+1)D-34", published.torchvision_key
    else:
        return None
    with torch.device("meta"):
        encoder = NETWORKS[network]().get_submodule("encoder")
    return network, encoder_state(encoder, arrays, name_of, title)


SYSTEM = System(
    name="3dc-seg",
    title="salient moving foreground with a fully 3D network",
    paper="Mahadevan et al., Making a Case for 3D Convolutions for Object Segmentation in Videos, BMVC 2020",
    task="foreground",
    networks=NETWORKS,
    options=ClipOptions,
    declare=declare,
    session=_session,
    identify=published.identify,
    tidy=published.without_aliases,
    published=_published,
    encoder_weights=_encoder_weights,
)
