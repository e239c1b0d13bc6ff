"""Golden cases of the official Seq Mask R-CNN's training: the six losses, and gradients of their sum."""

import numpy as np
import pytest
import torch

from rotoscope.backbones.detector.losses import DetectorTraining, Objects
from rotoscope.backbones.detector.targets import SampleOptions
from rotoscope.models.propose_reduce import published
from rotoscope.models.propose_reduce.losses import Pair, pair_losses, soft_iou_losses
from rotoscope.models.propose_reduce.training import TrainingOptions, _begin
from rotoscope.ops.box_masks import tight_boxes
from tests.models.propose_reduce.given import check, load, made, network_of

NAMES = {
    "loss_rpn_cls": "proposal_score",
    "loss_rpn_reg": "proposal_box",
    "loss_cls": "score",
    "loss_reg": "box",
    "loss_mask": "mask",
    "loss_prop": "propagation",
}
ALL = SampleOptions(10**6, 10**6)


def test_scale_balanced_loss():
    case, expected = load("prop_loss")
    given = made(case)
    losses = torch.cat(
        [
            soft_iou_losses(given[f"logits{n}"].reshape(-1, 20, 24).softmax(dim=0)[1:], torch.from_numpy(true))
            for n, true in enumerate([expected["in_targets0"], expected["in_targets1"]])
        ]
    )
    check("per_object", case, losses, expected["per_object"])
    check("loss", case, losses.mean().reshape(expected["loss"].shape), expected["loss"])


def pairs_of(case, expected):
    suffixes = [""] if "in_labels" in expected else [str(n) for n in range(len(case["options"]["objects_per_image"]))]
    for suffix in suffixes:
        labels = torch.from_numpy(expected[f"in_labels{suffix}"]) - 1
        masks, before = (torch.from_numpy(expected[f"in_{name}_masks{suffix}"]) for name in ("gt", "ref"))
        inside = torch.tensor([0.0, 0.0, 1.0, 1.0])
        boxes, old = (tight_boxes(own > 0)[0] - inside for own in (masks, before))
        yield Pair(Objects(boxes, labels, masks, tuple(case["options"]["image_shape"])), old, labels, masks)


@pytest.mark.parametrize("name", ["train_losses", "train_losses_batch"])
def test_losses_and_gradients(name):
    case, expected = load(name)
    given, network = made(case), network_of(case)
    network.requires_grad_(True).zero_grad()
    _begin(network, TrainingOptions())
    chosen = DetectorTraining(ALL, ALL)
    losses = pair_losses(
        network,
        given["image"],
        given["ref_image"],
        list(pairs_of(case, expected)),
        chosen,
        np.random.default_rng(0),
    )
    for theirs, ours in NAMES.items():
        check(theirs, case, losses[ours].reshape(expected[theirs].shape), expected[theirs])
    total = sum(losses.values())
    check("total", case, total.reshape(expected["total"].shape), expected["total"])
    total.backward()
    gradients = {key: parameter.grad for key, parameter in network.named_parameters()}
    for kind in ("grad_norm", "grad_norm_shared"):
        keys = case["options"][kind.replace("norm", "keys")]
        norms = [float(gradients[published.TABLE.ours(key)[1]].norm()) for key in keys]
        check(kind, case, np.array(norms, np.float32), expected[kind])
    without = {key for key, gradient in gradients.items() if gradient is None}
    assert without == {key for key in gradients if key.startswith(network.frozen)}
    network.zero_grad()
