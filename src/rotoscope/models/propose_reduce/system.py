"""Propose-Reduce as the rest of the house sees it."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from rotoscope.errors import OptionError, WeightsError
from rotoscope.masks.category_names import KINDS
from rotoscope.models.contract import PublishedNetwork, System
from rotoscope.models.propose_reduce import published
from rotoscope.models.propose_reduce.analyses import ANALYSES
from rotoscope.models.propose_reduce.categories import names_of
from rotoscope.models.propose_reduce.mobile import MobileSeqMaskRCNN
from rotoscope.models.propose_reduce.network import NETWORKS, SeqMaskRCNN
from rotoscope.models.propose_reduce.options import WholeVideoOptions
from rotoscope.models.propose_reduce.session import WholeVideoSession, declare
from rotoscope.types import VideoInfo


def _session(
    network: nn.Module, info: VideoInfo, options: WholeVideoOptions, device: torch.device
) -> WholeVideoSession:
    if not isinstance(network, SeqMaskRCNN):
        raise OptionError(f"propose-reduce runs a Seq Mask R-CNN, not a {type(network).__name__}")
    return WholeVideoSession(network, info, options, device)


def _categories(network: nn.Module, options: WholeVideoOptions) -> tuple[str, ...]:
    if not isinstance(network, SeqMaskRCNN):
        raise OptionError(f"propose-reduce runs a Seq Mask R-CNN, not a {type(network).__name__}")
    return tuple(name for name in names_of(options.categories, network.classes) if name)


def _published(network: str) -> PublishedNetwork:
    if network not in NETWORKS:
        raise WeightsError(f"propose-reduce has no published network {network!r}; known are {', '.join(NETWORKS)}")
    return PublishedNetwork(network, published.TABLE, published.CONSTANTS)


SYSTEM = System(
    name="propose-reduce",
    title="proposes every instance of a whole video from key frames, and reduces the proposals to the best",
    paper="Lin et al., Video Instance Segmentation with a Propose-Reduce Paradigm, ICCV 2021",
    task="instances",
    networks={**NETWORKS, "mobile": MobileSeqMaskRCNN, "mobile_kinds": partial(MobileSeqMaskRCNN, classes=len(KINDS))},
    options=WholeVideoOptions,
    declare=declare,
    session=_session,
    identify=published.identify,
    tidy=dict,
    published=_published,
    encoder_weights=published.classifier_weights,
    analyses=ANALYSES,
    categories=_categories,
)
