"""STEm-Seg as the rest of the house sees it."""

from __future__ import annotations

import torch
from torch import nn

from rotoscope.errors import OptionError, WeightsError
from rotoscope.models.contract import PublishedNetwork, System
from rotoscope.models.stem_seg import published
from rotoscope.models.stem_seg.mobile import MobileStemSeg
from rotoscope.models.stem_seg.network import NETWORKS
from rotoscope.models.stem_seg.options import EmbeddingOptions
from rotoscope.types import Declaration, Session, VideoInfo


def _declare(options: EmbeddingOptions) -> Declaration:
    return Declaration("instances", None, "none", "features of the frames of one clip", 0)


def _session(network: nn.Module, info: VideoInfo, options: EmbeddingOptions, device: torch.device) -> Session:
    raise OptionError("stem-seg cannot be run on videos in this version, only trained; choose another system")


def _published(network: str) -> PublishedNetwork:
    if network not in NETWORKS:
        raise WeightsError(f"stem-seg has no published network {network!r}; known are {', '.join(NETWORKS)}")
    return PublishedNetwork(network, published.TABLE, published.CONSTANTS)


SYSTEM = System(
    name="stem-seg",
    title="instances as Gaussians in an embedding of whole clips",
    paper="Athar et al., STEm-Seg: Spatio-temporal Embeddings for Instance Segmentation in Videos, ECCV 2020",
    task="instances",
    networks={**NETWORKS, "mobile": MobileStemSeg},
    options=EmbeddingOptions,
    declare=_declare,
    session=_session,
    identify=published.identify,
    tidy=published.turned_around,
    published=_published,
    encoder_weights=published.encoder_weights,
)
