"""STM as the rest of the house sees it."""

from __future__ import annotations

import torch
from torch import nn

from rotoscope.errors import OptionError, WeightsError
from rotoscope.models.contract import PublishedNetwork, System
from rotoscope.models.memory.looking import relevance
from rotoscope.models.memory.options import MemoryOptions
from rotoscope.models.memory.published import CONSTANTS, with_one_stem
from rotoscope.models.memory.session import MemorySession, declare
from rotoscope.models.stm import published
from rotoscope.models.stm.mobile import MobileSTM
from rotoscope.models.stm.network import NETWORKS, STM
from rotoscope.types import VideoInfo


def _session(network: nn.Module, info: VideoInfo, options: MemoryOptions, device: torch.device) -> MemorySession:
    if not isinstance(network, STM):
        raise OptionError(f"stm runs an STM network, not a {type(network).__name__}")
    return MemorySession(network, info, options, device)


def _published(network: str) -> PublishedNetwork:
    if network not in NETWORKS:
        raise WeightsError(f"stm has no published network {network!r}; known are {', '.join(NETWORKS)}")
    return PublishedNetwork(network, published.TABLE, CONSTANTS)


SYSTEM = System(
    name="stm",
    title="follows given objects by reading a memory of earlier frames",
    paper="Oh et al., Video Object Segmentation using Space-Time Memory Networks, ICCV 2019",
    task="propagate",
    networks={**NETWORKS, "mobile": MobileSTM},
    options=MemoryOptions,
    declare=declare,
    session=_session,
    identify=published.identify,
    tidy=with_one_stem,
    published=_published,
    encoder_weights=published.classifier_weights,
    analyses={"relevance": relevance(lambda at: _session(at.network, at.info, at.options, at.device))},
)
