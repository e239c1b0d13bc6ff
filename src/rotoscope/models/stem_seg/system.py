"""STEm-Seg as the rest of the house sees it."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from rotoscope.errors import OptionError, WeightsError
from rotoscope.masks.category_names import KINDS
from rotoscope.models.contract import PublishedNetwork, System
from rotoscope.models.stem_seg import published
from rotoscope.models.stem_seg.analyses import ANALYSES
from rotoscope.models.stem_seg.mobile import MobileStemSeg
from rotoscope.models.stem_seg.network import NETWORKS, TASKS, StemSeg
from rotoscope.models.stem_seg.options import PUBLISHED, EmbeddingOptions
from rotoscope.models.stem_seg.session import EmbeddingSession, declare
from rotoscope.types import VideoInfo


def _session(network: nn.Module, info: VideoInfo, options: EmbeddingOptions, device: torch.device) -> EmbeddingSession:
    if not isinstance(network, StemSeg):
        raise OptionError(f"stem-seg runs a StemSeg network, not a {type(network).__name__}")
    return EmbeddingSession(network, info, options, device)


def _categories(network: nn.Module, options: EmbeddingOptions) -> tuple[str, ...]:
    return network.categories if isinstance(network, StemSeg) else ()


def _published(network: str) -> PublishedNetwork:
    if network not in NETWORKS:
        raise WeightsError(f"stem-seg has no published network {network!r}; known are {', '.join(NETWORKS)}")
    return PublishedNetwork(network, published.TABLE, published.CONSTANTS)


SYSTEM = System(
    name="stem-seg",
    title="instances as Gaussians in an embedding of whole clips",
    paper="Athar et al., STEm-Seg: Spatio-temporal Embeddings for Instance Segmentation in Videos, ECCV 2020",
    task="instances",
    networks={**NETWORKS, "mobile": MobileStemSeg, "mobile_kinds": partial(MobileStemSeg, categories=KINDS)},
    options=EmbeddingOptions,
    analyses=ANALYSES,
    published_options={name: PUBLISHED[task] for name in NETWORKS for task in TASKS if name.startswith(f"{task}_")},
    declare=declare,
    session=_session,
    identify=published.identify,
    tidy=published.turned_around,
    published=_published,
    encoder_weights=published.encoder_weights,
    categories=_categories,
)
