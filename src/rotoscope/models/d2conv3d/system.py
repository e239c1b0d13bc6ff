"""D2Conv3D as the rest of the house sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rotoscope.errors import WeightsError
from rotoscope.models.clip_session import declare
from rotoscope.models.contract import PublishedNetwork, System
from rotoscope.models.d2conv3d import published
from rotoscope.models.d2conv3d.analyses import ANALYSES
from rotoscope.models.d2conv3d.network import NETWORKS
from rotoscope.models.d2conv3d.options import GapOptions
from rotoscope.models.d2conv3d.session import D2Session
from rotoscope.models.encoder_files import csn152_names, encoder_state
from rotoscope.types import VideoInfo


def _session(network: nn.Module, info: VideoInfo, options: GapOptions, device: torch.device) -> D2Session:
    return D2Session(network, info, options, device)


def _published(network: str) -> PublishedNetwork:
    known = [name for name in NETWORKS if not name.startswith("mobile")]
    if network not in known:
        raise WeightsError(f"d2conv3d has no published network {network!r}; known are {', '.join(known)}")
    return PublishedNetwork(network, published.TABLE, published.CONSTANTS)


def _encoder_weights(arrays: Mapping[str, Any]) -> tuple[str, dict[str, Tensor]] | None:
    """Weights of the encoder from an ir-CSN-152 classifier; its batch norms are frozen as they stand there."""
    name_of = csn152_names(arrays)
    if name_of is None:
        return None
    with torch.device("meta"):
        encoder = NETWORKS["xyz"]().get_submodule("encoder")
    return "xyz", encoder_state(encoder, arrays, name_of, "ir-CSN-152")


SYSTEM = System(
    name="d2conv3d",
    title="salient moving foreground with convolutions that choose their own dilation",
    paper="Schmidt et al., D2Conv3D: Dynamic Dilated Convolutions for Object Segmentation in Videos, WACV 2022",
    task="foreground",
    networks=NETWORKS,
    options=GapOptions,
    declare=declare,
    session=_session,
    identify=published.identify,
    tidy=published.tidy,
    published=_published,
    encoder_weights=_encoder_weights,
    analyses=ANALYSES,
)
