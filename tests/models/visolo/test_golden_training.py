"""Golden cases of the official VISOLO's training: targets and losses."""

import numpy as np
import pytest
import torch

from rotoscope.models.visolo.losses import category_loss, mask_loss, similarity_loss
from rotoscope.models.visolo.targets import clip_targets
from tests import golden
from tests.models.visolo.test_golden import SYSTEM, cases
from tests.models.visolo.test_golden_online import unpacked


@cases("targets")
def test_targets(case):
    given, chosen = golden.arrays(SYSTEM, case), case["options"]
    masks = torch.from_numpy(unpacked(given, "mask"))
    categories = torch.from_numpy(given["classes"]).long()
    found = clip_targets(
        masks, categories, chosen["classes"], tuple(chosen["grid"]), chosen["center_fraction"], published_extent=True
    )
    assert found.instance.tolist() == given["cell_instance"].tolist()
    category = found.category.transpose(0, 1).unflatten(2, chosen["grid"])
    assert np.array_equal(category.numpy() == 1, unpacked(given, "category"))
    assert np.array_equal(found.similarity.numpy() == 1, unpacked(given, "similarity"))
    areas = masks.sum(dim=(2, 3))  # (T, N)
    areas = torch.where(found.instance >= 0, areas.gather(1, found.instance.clamp(min=0)), 0)
    assert areas.T.tolist() == given["mask_target_area"].tolist()


def gradients(case, loss, expected, leaves):
    bounds = {name: case["tolerance"][name] for name in ("rtol", "atol")}
    np.testing.assert_allclose(loss.detach(), expected["loss"], **bounds)
    loss.backward()
    for name, leaf in leaves.items():
        np.testing.assert_allclose(leaf.grad, expected[name], err_msg=name, **bounds)
    return True


@cases("category_loss")
def test_category_loss(case):
    expected = golden.arrays(SYSTEM, case)
    logits = recipe_inputs(case)["logits"].requires_grad_()
    target = torch.from_numpy(expected["target"]).float()
    loss = category_loss(logits.transpose(1, 2), target.transpose(1, 2))
    assert gradients(case, loss, expected, {"grad": logits})


@cases("similarity_loss")
def test_similarity_loss(case):
    expected = golden.arrays(SYSTEM, case)
    logits = recipe_inputs(case)["logits"].requires_grad_()
    loss = similarity_loss(logits, torch.from_numpy(expected["target"]).float())
    assert gradients(case, loss, expected, {"grad": logits})


@cases("mask_loss")
def test_mask_loss(case):
    expected, given = golden.arrays(SYSTEM, case), recipe_inputs(case)
    features, kernels = given["features"].requires_grad_(), given["kernels"].requires_grad_()
    target = torch.from_numpy(unpacked(expected, "target"))  # (B, S, T, H, W)
    positive = target.flatten(3).any(dim=3).transpose(1, 2)  # (B, T, S)
    instance = torch.where(positive, torch.arange(positive.shape[2]), -1)  # every cell has a mask of its own
    loss = mask_loss(features.transpose(1, 2), kernels.transpose(1, 2), instance, list(target.transpose(1, 2)))
    assert gradients(case, loss, expected, {"grad_masks": features, "grad_kernels": kernels})


def recipe_inputs(case):
    return golden.inputs({"inputs": {n: spec for n, spec in case["inputs"].items() if spec["source"] == "recipe"}})


def test_every_kind_of_case_is_run():
    kinds = {case["kind"] for case in golden.read(SYSTEM, "cases.json")["cases"]}
    tested = {
        *("backbone", "category_pre", "category_post", "kernel_branch", "feature_branch", "grid_similarity"),
        *("temporal_aggregation", "score_reweighting", "train_forward", "online_network", "online_run", "targets"),
        *("category_loss", "mask_loss", "similarity_loss", "frame_postprocess", "matrix_nms", "association"),
        *("video_score", "final_output", "test_resize", "augment_geometry"),
    }
    assert kinds == tested
    assert len(golden.read(SYSTEM, "cases.json")["cases"]) == 39


def test_true_extent_is_smaller_far_from_the_corner():
    masks = torch.zeros(1, 1, 60, 105, dtype=torch.bool)
    masks[0, 0, 40:60, 80:100] = True
    counts = [
        int((clip_targets(masks, torch.zeros(1, dtype=torch.int64), 1, (12, 21), 0.2, slip).instance >= 0).sum())
        for slip in (False, True)
    ]
    assert counts[0] < counts[1]


@pytest.mark.parametrize("count", [0, 300])
def test_clips_without_and_with_hundreds_of_instances(count):
    torch.manual_seed(0)
    masks = torch.rand(3, count, 24, 42) < 0.2
    found = clip_targets(masks, torch.arange(count) % 7, 7, (6, 10))
    assert found.instance.shape == (3, 60)
    assert bool((found.instance >= 0).any()) == bool(count)
    assert torch.equal(found.category.sum(dim=1) > 0, found.instance >= 0)
    assert found.similarity.shape == (3, 60, 60)
