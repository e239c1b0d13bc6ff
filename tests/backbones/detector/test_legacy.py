"""The legacy family's own numbers: anchors, boxes, proposals, detections, masks, what it is trained towards."""

import json

import numpy as np
import pytest
import torch

from rotoscope.backbones.detector.anchors import anchors_of
from rotoscope.backbones.detector.box_head import DetectionOptions
from rotoscope.backbones.detector.conventions import LEGACY
from rotoscope.backbones.detector.mask_rcnn import SIZES, DetectorOptions, MaskRCNN
from rotoscope.backbones.detector.paste import pasted_legacy
from rotoscope.backbones.detector.roi_extract import pooled
from rotoscope.backbones.detector.rpn import ProposalOptions
from rotoscope.backbones.detector.targets import FIRST_STAGE, SECOND_STAGE, AssignOptions, assigned, mask_targets
from rotoscope.ops.boxes import BoxCode, clipped, overlap
from rotoscope.ops.nms import suppressed
from tests import golden

SYSTEM = "propose-reduce"
CASES = {case["case"]: case for case in json.loads((golden.HERE / SYSTEM / "cases.json").read_text())["cases"]}
PROPOSALS = ProposalOptions(200, 200, 200, least=0.0)
DETECTIONS = DetectionOptions(score=0.2, most=10, least=0.0, sort_always=False)
KEYS = {
    "rpn_head.rpn_conv": "proposal_head.conv",
    "rpn_head.rpn_cls": "proposal_head.score",
    "rpn_head.rpn_reg": "proposal_head.delta",
    "bbox_head.fc_cls": "box_head.score",
    "bbox_head.fc_reg": "box_head.delta",
    "bbox_head.shared_fcs.0": "box_head.hidden1",
    "bbox_head.shared_fcs.1": "box_head.hidden2",
    **{f"mask_head.convs.{number}.conv": f"mask_head.convs.{number}" for number in range(4)},
    "mask_head.upsample": "mask_head.enlarge",
    "mask_head.conv_logits": "mask_head.logits",
}


def heads(name, scales=None):
    """The detector without its encoder, with the deterministic weights."""
    table = golden.manifest(SYSTEM)["networks"][name]["keys"]
    wanted = {key: shape for key, shape in table.items() if key.rsplit(".", 1)[0] in KEYS}
    filled = golden.recipe.fill_state_dict(wanted)
    for key, factor in (scales or {}).items():
        if key in filled:
            filled[key] = filled[key] * np.float32(factor)
    classes = filled["bbox_head.fc_cls.bias"].shape[0] - 1
    network = MaskRCNN(torch.nn.Identity(), (), classes, conventions=LEGACY).eval()
    state = {}
    for key, value in filled.items():
        layer, leaf = key.rsplit(".", 1)
        state[f"{KEYS[layer]}.{leaf}"] = torch.from_numpy(value)
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert missing == unexpected == []
    return network


def inputs(case):
    return {
        name: torch.from_numpy(golden.recipe.random_input(spec["name"], spec["shape"], spec["low"], spec["high"]))
        for name, spec in case["inputs"].items()
        if isinstance(spec, dict) and spec.get("recipe") == "random_input"
    }


def levels_of(case):
    given = inputs(case)
    return [given[name] for name in ("p2", "p3", "p4", "p5", "p6") if name in given]


def check(name, case, found, expected):
    bounds = case["tolerance"][name]
    found = found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    if bounds == "exact":
        np.testing.assert_array_equal(found, expected)
    elif "max_fraction_different" in bounds:
        assert found.shape == expected.shape
        assert np.mean(found != expected) <= bounds["max_fraction_different"]
    else:
        np.testing.assert_allclose(found, expected, rtol=bounds["rtol"], atol=bounds["atol"])


def load(name):
    case = CASES[name]
    return case, golden.arrays(SYSTEM, case)


def sorted_boxes(uniform, size):
    x = uniform[:, [0, 2]].sort(dim=1).values * size[1]
    y = uniform[:, [1, 3]].sort(dim=1).values * size[0]
    return torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1)


def test_anchors():
    case, expected = load("anchors")
    base = torch.stack([LEGACY.base_anchors(size, size // 8) for size in SIZES])
    check("base", case, base, expected["base"])
    shapes = [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    check("grid", case, torch.cat(anchors_of(shapes, (64, 96), SIZES, LEGACY)), expected["grid"])


@pytest.mark.parametrize("name", ["box_code_rpn", "box_code_rcnn"])
def test_box_code(name):
    case, expected = load(name)
    size = case["options"]["image_shape"]
    code = BoxCode(tuple(case["options"]["stds"]), inclusive=True)
    given = inputs(case)
    boxes, goal = sorted_boxes(given["u_boxes"], size), sorted_boxes(given["u_gt"], size)
    check("encoded", case, code.encode(boxes, goal), expected["encoded"])
    check("decoded", case, clipped(code.decode(boxes, given["deltas"]), size, True), expected["decoded"])


@pytest.mark.parametrize("name", ["box_nms", "box_nms_many"])
def test_box_suppression(name):
    case, expected = load(name)
    dets = torch.from_numpy(expected["in_dets"])
    found = suppressed(dets[:, :4], dets[:, 4], case["options"]["iou_threshold"], inclusive=True)
    np.testing.assert_array_equal(found, expected["keep"])


@pytest.mark.parametrize("name", ["roi_align_7", "roi_align_14"])
def test_roi_align(name):
    case, expected = load(name)
    rois, options = torch.from_numpy(expected["in_rois"]), case["options"]
    found = LEGACY.align(options["out_size"])(
        inputs(case)["features"], rois[:, 1:], options["spatial_scale"], rois[:, 0].long()
    )
    check("pooled", case, found, expected["pooled"])


def test_levels():
    _, expected = load("roi_levels")
    np.testing.assert_array_equal(LEGACY.levels(torch.from_numpy(expected["in_boxes"])), expected["level"])


def test_pooling_from_the_pyramid():
    case, expected = load("roi_extract")
    levels, boxes = levels_of(case), torch.from_numpy(expected["in_boxes"])
    stride = case["options"]["channel_stride"]
    for name, size in (("box7", 7), ("mask14", 14)):
        found = pooled(levels, boxes, size, LEGACY, (128, 128))
        check(name, case, found[:, ::stride], expected[name])


@pytest.mark.parametrize("name", ["rpn", "rpn_small_quota"])
@torch.no_grad()
def test_proposals(name):
    case, expected = load(name)
    options = case["options"]
    head = heads(case["network"], case.get("scale_after_fill")).proposal_head
    outputs = head(levels_of(case))
    for number, (logits, deltas) in enumerate(outputs, start=2):
        check(f"cls_p{number}", case, logits, expected[f"cls_p{number}"].reshape(logits.shape))
        check(f"reg_p{number}", case, deltas, expected[f"reg_p{number}"].reshape(deltas.shape))
    quota = [options.get(key, 200) for key in ("nms_pre", "nms_post", "max_num")]
    found = head.proposals(
        outputs, tuple(options["image_shape"]), tuple(options["padded_size"]), ProposalOptions(*quota, least=0.0)
    )
    check("proposals", case, torch.cat([found.boxes, found.scores[:, None]], dim=1), expected["proposals"])


@pytest.mark.parametrize("name", ["box_head", "box_head_few", "box_head_davis"])
@torch.no_grad()
def test_box_head(name):
    case, expected = load(name)
    network = heads(case["network"], case.get("scale_after_fill"))
    given = inputs(case)
    size = tuple(case["options"]["image_shape"])
    rois = sorted_boxes(given["u_rois"], size)
    logits, deltas = network.box_head(given["roi_features"])
    check("cls_score", case, logits, expected["cls_score"])
    check("bbox_pred", case, deltas[:, :: 4 if logits.shape[1] > 2 else 1], expected["bbox_pred"])
    found = network.box_head.detections(rois, logits, deltas, size, DETECTIONS)
    check("det_boxes", case, torch.cat([found.boxes, found.scores[:, None]], dim=1), expected["det_boxes"])
    check("det_labels", case, found.labels, expected["det_labels"])


@torch.no_grad()
def test_mask_head():
    case, expected = load("mask_head")
    logits = heads(case["network"]).mask_head(inputs(case)["roi_features"])
    check("logits", case, logits[:, case["options"]["classes"]], expected["logits"])


def test_pasting():
    case, expected = load("mask_paste")
    boxes, labels = torch.from_numpy(expected["in_boxes"]), torch.from_numpy(expected["in_labels"])
    logits = inputs(case)["mask_logits"]
    maps = logits[torch.arange(len(labels)), labels + 1].sigmoid()
    found = pasted_legacy(maps, boxes, (60, 90))
    check("soft", case, found, expected["soft"])
    binary = (found > case["options"]["mask_threshold"]).numpy().astype(np.uint8)
    wanted = expected["binary"]
    if wanted.shape != binary.shape:
        binary = np.packbits(binary)
    check("binary", case, binary, wanted)


@pytest.mark.parametrize("name", ["detect", "detect_few"])
@torch.no_grad()
def test_detection_of_a_frame(name):
    case, expected = load(name)
    network = heads(case["network"], case.get("scale_after_fill"))
    options = case["options"]
    size, padded = tuple(options["image_shape"]), tuple(options["padded_size"])
    levels = levels_of(case)
    score = options.get("score_thr", 0.2)
    kept = DetectorOptions(PROPOSALS, DetectionOptions(score=score, most=10, least=0.0, sort_always=False))
    proposals = network.propose(levels, size, padded, PROPOSALS)
    check("proposals", case, torch.cat([proposals.boxes, proposals.scores[:, None]], dim=1), expected["proposals"])
    found, masks = network.detect(levels, size, padded, kept)
    check("det_boxes", case, torch.cat([found.boxes, found.scores[:, None]], dim=1), expected["det_boxes"])
    check("det_labels", case, found.labels, expected["det_labels"])
    binary = (pasted_legacy(masks, found.boxes, size) > 0.5).numpy()
    wanted = np.unpackbits(expected["masks"])[: binary.size].reshape(binary.shape)
    check("masks", case, binary.astype(np.uint8), wanted)


@pytest.mark.parametrize(("name", "stage"), [("assign_rpn", FIRST_STAGE), ("assign_rcnn", SECOND_STAGE)])
def test_assignment(name, stage):
    case, expected = load(name)
    boxes, objects = torch.from_numpy(expected["in_boxes"]), torch.from_numpy(expected["in_gt"])
    options = case["options"]
    assert stage == AssignOptions(options["pos_iou_thr"], options["neg_iou_thr"], options["min_pos_iou"])
    check("iou", case, overlap(objects, boxes, True), expected["iou"])
    np.testing.assert_array_equal(assigned(boxes, objects, stage, True), expected["assigned"])


def test_mask_targets():
    case, expected = load("mask_target")
    found = mask_targets(
        torch.from_numpy(expected["in_gt_masks"]),
        torch.from_numpy(expected["in_boxes"]),
        torch.from_numpy(expected["in_gt_index"]),
    )
    check("targets", case, found.numpy().astype(expected["targets"].dtype), expected["targets"])
