import numpy as np
import pytest
import torch

from rotoscope.backbones.detector.conventions import LEGACY
from rotoscope.backbones.detector.losses import DetectorTraining, Objects, detector_losses
from rotoscope.backbones.detector.mask_rcnn import MaskRCNN
from rotoscope.backbones.detector.targets import SampleOptions, mask_targets, sampled
from rotoscope.backbones.resnet import ResNet

NAMES = {"proposal_score", "proposal_box", "score", "box", "mask"}


def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    body = ResNet((1, 1, 1, 1), width=4)
    return MaskRCNN(body, body.channels, 2, channels=16, hidden=32, mask_width=16, conventions=LEGACY)


def objects(*boxes):
    masks = torch.zeros(len(boxes), 64, 96)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1 : y2 + 1, x1 : x2 + 1] = 1
    return Objects(torch.tensor(boxes).float().view(-1, 4), torch.arange(len(boxes)) % 2, masks, (60, 90))


def test_every_part_learns(network):
    _, levels = network.maps(torch.rand(2, 3, 64, 96))
    batch = [objects((5, 5, 40, 50), (50, 10, 80, 40)), objects()]  # the second picture is empty
    found = detector_losses(network, levels, batch, (64, 96), DetectorTraining(), rng())
    assert set(found) == NAMES
    sum(found.values()).backward()
    for part in ("proposal_head.score", "proposal_head.delta", "box_head.score", "box_head.delta", "mask_head.logits"):
        assert network.get_submodule(part).weight.grad.abs().sum() > 0, part
    assert network.body.conv1.weight.grad.isfinite().all()


def test_pictures_without_objects_have_losses_too(network):
    _, levels = network.maps(torch.rand(1, 3, 64, 96))
    found = detector_losses(network, levels, [objects()], (64, 96), DetectorTraining(), rng())
    assert found["mask"] == 0
    assert found["box"] == 0
    assert all(value.isfinite() for value in found.values())


def test_the_same_chance_gives_the_same_losses(network):
    _, levels = network.maps(torch.rand(1, 3, 64, 96))
    once, again = (
        detector_losses(network, levels, [objects((5, 5, 40, 50))], (64, 96), DetectorTraining(), rng()) for _ in "ab"
    )
    assert all(torch.equal(once[name], again[name]) for name in NAMES)


def test_objects_themselves_are_always_sampled():
    assignment = torch.tensor([1, 2, 3, 1, 1, 1, 0, 0, 0, -1])
    positive, negative = sampled(assignment, SampleOptions(6, 4), rng(), always=3)
    assert positive[:3].tolist() == [0, 1, 2]
    assert len(positive) == 4
    assert len(negative) == 2
    assert set(negative.tolist()) <= {6, 7, 8}


def test_targets_of_boxes_at_the_edge():
    masks = torch.ones(1, 20, 30)
    found = mask_targets(masks, torch.tensor([[-5.0, -5, 8, 8], [25, 15, 40, 40], [3, 3, 3, 3]]), torch.zeros(3).long())
    assert found.shape == (3, 28, 28)
    assert found.min() == 1
