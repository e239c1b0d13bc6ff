"""VISOLO as the rest of the house sees it."""

from __future__ import annotations

import torch
from torch import nn

from rotoscope.errors import OptionError, WeightsError
from rotoscope.models.contract import PublishedNetwork, System
from rotoscope.models.visolo import published
from rotoscope.models.visolo.analyses import ANALYSES
from rotoscope.models.visolo.categories import names_of
from rotoscope.models.visolo.mobile import MobileVISOLO
from rotoscope.models.visolo.network import NETWORKS, VISOLO
from rotoscope.models.visolo.options import OnlineOptions
from rotoscope.models.visolo.session import OnlineSession, declare
from rotoscope.types import VideoInfo


def _session(network: nn.Module, info: VideoInfo, options: OnlineOptions, device: torch.device) -> OnlineSession:
    if not isinstance(network, VISOLO):
        raise OptionError(f"visolo runs a VISOLO network, not a {type(network).__name__}")
    return OnlineSession(network, info, options, device)


def _categories(network: nn.Module, options: OnlineOptions) -> tuple[str, ...]:
    if not isinstance(network, VISOLO):
        raise OptionError(f"visolo runs a VISOLO network, not a {type(network).__name__}")
    return names_of(options.categories, network.classes)


def _published(network: str) -> PublishedNetwork:
    if network not in NETWORKS:
        raise WeightsError(f"visolo has no published network {network!r}; known are {', '.join(NETWORKS)}")
    return PublishedNetwork(network, published.TABLE, published.CONSTANTS)


SYSTEM = System(
    name="visolo",
    title="finds, names and follows every instance online, on a grid of cells",
    paper="Han et al., VISOLO: Grid-Based Space-Time Aggregation for Efficient Online Video Instance Segmentation, "
    "CVPR 2022",
    task="instances",
    networks={**NETWORKS, "mobile": MobileVISOLO, "mobile_movers": lambda: MobileVISOLO(3)},
    options=OnlineOptions,
    declare=declare,
    session=_session,
    identify=published.identify,
    tidy=published.tidy,
    published=_published,
    encoder_weights=published.classifier_weights,
    analyses=ANALYSES,
    categories=_categories,
)
