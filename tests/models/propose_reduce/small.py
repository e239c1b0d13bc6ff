"""A small random network that finds things, and videos for it."""

import numpy as np
import torch

from rotoscope.backbones.resnet import ResNet
from rotoscope.inference.prepare import prepare
from rotoscope.models.propose_reduce.network import SeqMaskRCNN
from rotoscope.models.propose_reduce.options import WholeVideoOptions
from rotoscope.models.propose_reduce.propagation import PropagationWidths
from rotoscope.models.propose_reduce.session import WholeVideoSession
from rotoscope.types import Frame, VideoInfo

CPU = torch.device("cpu")
WIDTHS = PropagationWidths(16, 16, 8, 16, 16)


def plain(classes=40, seed=0):
    torch.manual_seed(seed)
    return SeqMaskRCNN(ResNet((1, 1, 1, 1), width=8), classes, 16, 32, 16, WIDTHS)


def small(classes=40, seed=0, sure=60.0):
    """`sure` of its classes, so that detections pass; their masks are patches."""
    network = plain(classes, seed)
    with torch.no_grad():
        network.detector.box_head.score.weight.mul_(sure)
        network.detector.mask_head.logits.weight.mul_(20)
        network.detector.mask_head.logits.bias.add_(0.5)
        network.propagation.place.weight.mul_(200)
        network.propagation.decoder.predict.weight.mul_(200)
    return prepare(network, CPU, torch.float32)


def images(count, size=(48, 80), seed=0):
    generator = np.random.default_rng(seed)
    base = generator.integers(0, 256, (*size, 3))
    return [((3 * base + generator.integers(0, 256, (*size, 3))) // 4).astype(np.uint8) for _ in range(count)]


def opened(network, pictures, **options):
    height, width = pictures[0].shape[:2]
    chosen = WholeVideoOptions(**{"size": "unchanged", **options})
    session = WholeVideoSession(network, VideoInfo("clip", width, height), chosen, CPU)
    for index, image in enumerate(pictures):
        assert session.step(Frame(index, index / 25, image, f"{index:05d}")) == []
    return session


def told(results):
    """Results as plain values that can be compared."""
    return [
        (result.index, [(o.track_id, o.label, o.score, o.mask.counts.tolist()) for o in result.objects])
        for result in results
    ]
