"""Torchvision's own numbers, and what a frame may be."""

import numpy as np
import pytest
import torch

from rotoscope.backbones.detector.mask_head import POOLED
from rotoscope.backbones.detector.paste import pasted
from rotoscope.backbones.detector.roi_extract import pooled
from rotoscope.backbones.detector.rpn import ProposalOptions
from rotoscope.backbones.detector.torchvision_rcnn import TorchvisionRCNN, in_frame, our_key, published_state
from tests import golden

SYSTEM = "maskrcnn-torchvision"
CASE = golden.cases(SYSTEM, "maskrcnn")[0]


@pytest.fixture(scope="module")
def network():
    network = TorchvisionRCNN(CASE["options"]["min_size"], CASE["options"]["max_size"]).eval()
    weights = {key: torch.from_numpy(value) for key, value in golden.state(SYSTEM, "maskrcnn_resnet50_fpn").items()}
    missing, unexpected = network.load_state_dict(published_state(weights), strict=False)
    assert [key for key in missing if not key.startswith("pixels.")] == []
    assert unexpected == []
    return network


@pytest.fixture(scope="module")
def expected():
    return golden.arrays(SYSTEM, CASE)


@pytest.fixture(scope="module")
def image():
    return golden.inputs(CASE)["image"]


@pytest.fixture(scope="module")
def seen(network, image):
    with torch.no_grad():
        x, size = network.prepared(image)
        return x, size, network.detector.maps(x)[1]


def test_prepared(seen, expected):
    x, size, levels = seen
    assert list(size) == CASE["options"]["resized_size"]
    golden.check(CASE, "resized", x[0], expected["resized"])
    for level, name in zip(levels, ("p2_first8", "p3_first32", "p4_first64", "p5", "p6"), strict=True):
        np.testing.assert_allclose(level[0, : len(expected[name])], expected[name], rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_first_stage(network, seen, expected):
    x, size, levels = seen
    head = network.detector.proposal_head
    outputs = head(levels)
    for number, (logits, deltas) in enumerate(outputs[1:], start=3):
        golden.check(CASE, f"rpn_logits{number}", logits[0], expected[f"rpn_logits{number}"])
        golden.check(CASE, f"rpn_deltas{number}", deltas[0], expected[f"rpn_deltas{number}"])
    padded = tuple(x.shape[2:])
    anchors = torch.cat(head.anchors(outputs, padded))
    golden.check(CASE, "anchors_head", anchors[:12], expected["anchors_head"])
    golden.check(CASE, "anchors_tail", anchors[-12:], expected["anchors_tail"])
    found = head.proposals(outputs, size, padded, ProposalOptions())
    golden.check(CASE, "rpn_boxes_top20", found.boxes[:20], expected["rpn_boxes_top20"])
    golden.check(CASE, "rpn_scores_top20", found.scores[:20], expected["rpn_scores_top20"])


@torch.no_grad()
def test_second_stage(network, seen, expected):
    x, size, levels = seen
    padded = tuple(x.shape[2:])
    rois, labels = torch.from_numpy(expected["rois"]), torch.from_numpy(expected["labels"])
    detector = network.detector
    np.testing.assert_allclose(
        pooled(levels, rois, 7, detector.conventions, padded)[:, :8], expected["box_pool_first8"], rtol=1e-3, atol=1e-3
    )
    logits, deltas = detector.box_outputs(levels, rois, padded)
    golden.check(CASE, "class_logits", logits, expected["class_logits"])
    golden.check(CASE, "box_deltas", deltas, expected["box_deltas"])
    masks = detector.mask_logits(levels, rois, labels - 1, padded).sigmoid()
    golden.check(CASE, "mask_prob", masks[:, None], expected["mask_prob"])
    boxes = in_frame(rois, size, (70, 100))
    golden.check(CASE, "boxes_in_image", boxes, expected["boxes_in_image"])
    golden.check(CASE, "pasted_mask", pasted(masks, boxes, (70, 100))[:, None], expected["pasted_mask"])


def test_whole(network, image, expected):
    options = CASE["options"]
    found = network.detect(image, options["score_thresh"], options["detections"])
    np.testing.assert_allclose(found.scores, expected["det_scores"], rtol=0, atol=1e-3)
    assert np.mean(found.labels.numpy() == expected["det_labels"]) >= 0.8
    distance = (found.boxes[:, None] - torch.from_numpy(expected["det_boxes"])[None]).abs().amax(dim=2)
    assert (distance.amin(dim=0) < 0.1).float().mean() >= 0.8
    assert found.masks.shape == (20, 28, 28)
    assert POOLED == 14


def test_new_key_names_are_known_too():
    old = golden.manifest(SYSTEM)["networks"]["maskrcnn_resnet50_fpn"]["keys"]
    for theirs, newer in (
        ("backbone.fpn.inner_blocks.0.weight", "backbone.fpn.inner_blocks.0.0.weight"),
        ("rpn.head.conv.bias", "rpn.head.conv.0.0.bias"),
        ("roi_heads.mask_head.mask_fcn3.weight", "roi_heads.mask_head.2.0.weight"),
    ):
        assert theirs in old
        assert our_key(newer) == our_key(theirs) is not None
    assert our_key("somebody.else") is None
    with pytest.raises(KeyError, match=r"somebody\.else"):
        published_state({"somebody.else": torch.zeros(1)})


@pytest.mark.parametrize("size", [(5, 7), (200, 31)])
def test_frames_of_any_size(network, size):
    found = network.detect((torch.rand(3, *size) * 255).byte())
    assert found.boxes.shape == (len(found.scores), 4)
    assert (found.boxes[:, 2] <= size[1] + 1e-3).all()
    assert (found.boxes[:, 3] <= size[0] + 1e-3).all()


def test_pasting_at_and_outside_the_edges():
    masks = torch.ones(4, 28, 28)
    boxes = torch.tensor([[-10.0, -10, 5, 5], [50, 50, 60, 60], [3, 3, 3, 3], [2.0, 2, 7, 9]])
    frame = pasted(masks, boxes, (20, 30))
    assert frame[0, 0, 0] == 1
    assert frame[1].sum() == 0
    assert frame[2].sum() <= 1
    assert 30 < frame[3].sum() < 70
    assert pasted(masks[:0], boxes[:0], (20, 30)).shape == (0, 20, 30)
