"""The detector as systems use it: what it gives, its published file, and files that are something else."""

import numpy as np
import pytest
import torch

from rotoscope.backbones.detector.torchvision_rcnn import TorchvisionRCNN
from rotoscope.errors import WeightsError
from rotoscope.models.dmn_aoa.proposals import in_frame
from rotoscope.models.picture_detector import PictureDetector
from tests import golden

CPU = torch.device("cpu")


def image(size=(40, 70)):
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_what_it_finds_is_the_networks():
    torch.manual_seed(0)
    network = TorchvisionRCNN(64, 128, layers=(1, 1, 1, 1)).eval()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_var.fill_(1.0)
    detector = PictureDetector(network, CPU, score=0.0, most=20)
    found = detector.detect(image())
    count = len(found)
    assert 0 < count <= 20
    assert (found.boxes.shape, found.masks.shape, found.labels.shape) == ((count, 4), (count, 28, 28), (count,))
    assert (found.boxes.dtype, found.masks.dtype, found.labels.dtype) == (np.float32, np.uint8, np.int64)
    expected = network.detect(torch.from_numpy(image()).permute(2, 0, 1), 0.0, 20)
    np.testing.assert_allclose(found.boxes, expected.boxes.numpy(), atol=1e-3)
    np.testing.assert_allclose(found.masks / 255, expected.masks.numpy(), atol=0.003)
    proposals = in_frame(found, (40, 70), (40, 70), (5, 5, 4, 4), CPU, score=0.0)
    assert proposals.masks.shape[1:] == (48, 80)
    assert float(proposals.masks[:, :, :5].abs().sum()) == 0
    solid = proposals.masks > 0.4
    for mask, (left, top, right, bottom) in zip(solid, proposals.boxes.int().tolist(), strict=True):
        assert int(mask[top:bottom, left:right].sum()) == int(mask.sum()) > 0


def test_its_published_file():
    (name,) = golden.manifest("maskrcnn-torchvision")["networks"]
    state = {key: torch.from_numpy(value) for key, value in golden.state("maskrcnn-torchvision", name).items()}
    detector = PictureDetector.from_published(state, CPU)
    assert torch.equal(detector._network.detector.box_head.hidden2.bias, state["roi_heads.box_head.fc7.bias"])
    with pytest.raises(WeightsError, match=r"conv\.0\.weight is no weight of Mask R-CNN"):
        PictureDetector.from_published({"conv.0.weight": torch.zeros(1)}, CPU)
    lacking = {key: value for key, value in state.items() if "fc7.bias" not in key}
    with pytest.raises(WeightsError, match=r"1 missing.*hidden2\.bias"):
        PictureDetector.from_published(lacking, CPU)
    with pytest.raises(WeightsError, match="1 of another shape"):
        PictureDetector.from_published(state | {"roi_heads.box_head.fc7.bias": torch.zeros(3)}, CPU)


def test_it_is_no_part_of_a_networks_weights():
    from rotoscope.models.dmn_aoa.network import DMNAOA

    network = DMNAOA((1, 1, 1), width=8, key=8, value=16, decoder=8, tokens=16)
    before = set(network.state_dict())
    network.detector = PictureDetector(TorchvisionRCNN(64, 128, layers=(1, 1, 1, 1)), CPU)
    assert set(network.state_dict()) == before
