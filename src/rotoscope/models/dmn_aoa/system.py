"""DMN-AOA as the rest of the house sees it."""

from __future__ import annotations

import torch
from torch import nn

from rotoscope.errors import OptionError, WeightsError
from rotoscope.models.contract import PublishedNetwork, System
from rotoscope.models.dmn_aoa import published
from rotoscope.models.dmn_aoa.looking import ANALYSES
from rotoscope.models.dmn_aoa.mobile import MobileDMNAOA
from rotoscope.models.dmn_aoa.network import DMNAOA
from rotoscope.models.dmn_aoa.options import AlignmentOptions
from rotoscope.models.dmn_aoa.proposals import provider
from rotoscope.models.dmn_aoa.session import MatchingSession, declare
from rotoscope.models.memory.published import with_one_stem
from rotoscope.types import VideoInfo


def _session(network: nn.Module, info: VideoInfo, options: AlignmentOptions, device: torch.device) -> MatchingSession:
    if not isinstance(network, DMNAOA):
        raise OptionError(f"dmn-aoa runs a DMNAOA network, not a {type(network).__name__}")
    return MatchingSession(network, info, options, device, provider(options.proposals, info, network.detector))


def _published(network: str) -> PublishedNetwork:
    if network not in published.CONSTANTS:
        raise WeightsError(f"dmn-aoa has no published network {network!r}; known are {', '.join(published.CONSTANTS)}")
    return PublishedNetwork("dmn-aoa", published.TABLE, published.CONSTANTS[network])


SYSTEM = System(
    name="dmn-aoa",
    title="follows given objects by matching proposals with what a memory says that they look like",
    paper="Liang et al., Video Object Segmentation with Dynamic Memory Networks and Adaptive Object Alignment, "
    "ICCV 2021",
    task="propagate",
    networks={"dmn-aoa": DMNAOA, "mobile": MobileDMNAOA},
    options=AlignmentOptions,
    declare=declare,
    session=_session,
    identify=published.identify,
    tidy=with_one_stem,
    published=_published,
    encoder_weights=published.classifier_weights,
    analyses=ANALYSES,
)
