"""Every golden case of the official VISOLO: parts of the network, whole runs, post-processing, association, losses."""

import json
from functools import lru_cache

import numpy as np
import pytest
import torch

from rotoscope.inference.loading import from_published, report_of
from rotoscope.inference.prepare import prepare
from rotoscope.models.visolo.branches import cells
from rotoscope.models.visolo.network import VISOLO, with_coordinates
from tests import golden

SYSTEM = "visolo"


def cases(*kinds):
    return pytest.mark.parametrize(
        "case", [case for kind in kinds for case in golden.cases(SYSTEM, kind)], ids=lambda case: case["name"]
    )


both_ways = pytest.mark.parametrize("fast", [False, True], ids=["as loaded", "prepared"])


@lru_cache(maxsize=2)
def network(overrides="[]", fast=False):
    state = golden.state(SYSTEM, "ytvis")
    for change in json.loads(overrides):
        value = np.float32(change["value"])
        state[change["key"]] = state[change["key"]] * value if change["op"] == "mul" else state[change["key"]] + value
    module = from_published(SYSTEM, state)
    return prepare(module, torch.device("cpu"), torch.float32) if fast else module


def of(case, fast=False):
    return network(json.dumps(case.get("weight_overrides", [])), fast)


def pixels_of(normalised, module):
    """Normalised values -> what the network takes, floats in about [0, 1]."""
    return (normalised * module.pixels.std + module.pixels.mean) / 255


def check(case, found):
    expected, bounds = golden.arrays(SYSTEM, case), case["tolerance"]
    assert set(found) <= set(expected)
    assert set(case["outputs"]) == set(found)
    for name, value in found.items():
        assert tuple(value.shape) == expected[name].shape, name
        np.testing.assert_allclose(value, expected[name], rtol=bounds["rtol"], atol=bounds["atol"], err_msg=name)


@cases("backbone")
@both_ways
@torch.inference_mode()
def test_encoder(case, fast):
    module, image = of(case, fast), golden.inputs(case)["image"]
    stem = torch.nn.functional.max_pool2d(module.encoder.stem(image), 3, 2, 1)
    res2, res3, res4 = module.encoder(image)
    check(case, {"stem": stem[:, :32], "res2": res2[:, :64], "res3": res3[:, :128], "res4": res4[:, :512]})


@cases("category_pre")
@torch.inference_mode()
def test_category_branch_before_aggregation(case):
    x = torch.nn.functional.interpolate(golden.inputs(case)["res4"], case["options"]["grid"], mode="bilinear")
    key, category = of(case).category.before(x)
    check(case, {"key_feature": key, "category_feature": category})


@cases("category_post")
@torch.inference_mode()
def test_category_branch_after_aggregation(case):
    check(case, {"logits": of(case).category(golden.inputs(case)["feature"])})


@cases("kernel_branch")
@torch.inference_mode()
def test_kernel_branch(case):
    x = with_coordinates(golden.inputs(case)["res4"])
    mask = of(case).kernel.before(torch.nn.functional.interpolate(x, case["options"]["grid"], mode="bilinear"))
    check(case, {"mask_feature": mask, "kernels": of(case).kernel(mask)})


@cases("feature_branch")
@both_ways
@torch.inference_mode()
def test_feature_branch(case, fast):
    given, module = golden.inputs(case), of(case, fast)
    branch, coarse = module.feature, with_coordinates(given["res4"])
    first = branch.pair(branch.bridge(coarse))
    second = branch.refine3(given["res3"], first)
    third = branch.refine2(given["res2"], second)
    found = {"after_ResR4": first, "after_RefR3": second[:, :128], "after_RefR2": third[:, :32]}
    check(case, found | {"features": module.decode((given["res2"], given["res3"], coarse))})


@cases("grid_similarity")
@torch.inference_mode()
def test_similarity(case):
    given, module = golden.inputs(case), of(case)
    query, own = module.embed(given["query"])
    _, reference = module.embed(given["reference"])
    several = [module.embed(one)[1] for one in given["references"].unbind(2)]
    check(
        case,
        {
            "single": (query @ reference.mT)[:, None],
            "several": torch.stack([query @ one.mT for one in several], dim=1),
            "self": (query @ own.mT)[:, None, :8],
        },
    )


@cases("temporal_aggregation")
@torch.inference_mode()
def test_aggregation(case):
    given, module = golden.inputs(case), of(case)

    def aggregated(features, logits):
        values = torch.cat([module.values(one, one)[:, :, :256] for one in features], dim=1)
        read = logits.softmax(dim=2) @ values
        return given["query_feature"] + read.mT.unflatten(2, given["query_feature"].shape[2:])

    single = aggregated([given["memory_feature"]], given["similarity"])
    several = aggregated(given["memory_features"].unbind(2), given["similarities"].transpose(1, 2).flatten(2))
    check(case, {"single": single, "several": several})


@cases("train_forward")
@torch.inference_mode()
def test_training_forward(case):
    module, frames = of(case), golden.inputs(case)["frames"]
    clips = torch.stack([pixels_of(frame, module) for frame in frames.unbind(2)], dim=2)
    found = module(clips, tuple(case["options"]["grid"]))
    swapped = {name: getattr(found, name).transpose(1, 2) for name in ("features", "kernels", "categories")}
    check(
        case,
        {
            "masks": swapped["features"][:, :24],
            "kernels": swapped["kernels"][:, :64],
            "cats": swapped["categories"],
            "similarity": found.similarity,
        },
    )
    assert isinstance(module, VISOLO)


def test_the_published_file_is_identified_and_complete():
    for name in ("ytvis", "coco"):
        state = golden.state(SYSTEM, name)
        layout = golden.manifest(SYSTEM)["checkpoint_layout"]
        state |= {alias: state[key] for alias, key in layout["alias_keys"].items()}
        report = report_of(from_published(SYSTEM, {"model": state}))
        assert report.network == name
        assert report.complete
        assert not report.unexpected
        assert set(report.dropped) == set(layout["alias_keys"])


def test_keys_go_both_ways():
    from rotoscope.models.visolo.published import TABLE

    published = {key.removeprefix("model.") for key in golden.manifest(SYSTEM)["networks"]["ytvis"]["keys"]}
    own = [key for key in network().state_dict() if not key.startswith("pixels.") and "num_batches" not in key]
    assert {TABLE.theirs(key) for key in own} == published
    assert all(TABLE.ours(TABLE.theirs(key)) == (True, key) for key in own)


def test_size_of_the_network():
    shapes = golden.manifest(SYSTEM)["networks"]["ytvis"]["keys"]
    weights = sum(int(np.prod(shape)) for key, shape in shapes.items() if "running" not in key)
    assert sum(parameter.numel() for parameter in network().parameters()) == weights
    assert cells(torch.zeros(1, 4, 2, 3)).shape == (1, 6, 4)


def test_the_authors_file_opens_by_itself(tmp_path):
    import rotoscope

    state = {key: torch.from_numpy(value) for key, value in golden.state(SYSTEM, "ytvis").items()}
    aliases = golden.manifest(SYSTEM)["checkpoint_layout"]["alias_keys"]
    state |= {alias: state[key] for alias, key in aliases.items()}
    torch.save({"model": state, "iteration": 139999}, tmp_path / "model_final.pth")
    model = rotoscope.load(tmp_path / "model_final.pth", device="cpu")
    assert (model.system.name, model.card.network) == (SYSTEM, "ytvis")
    assert model.declaration.look_ahead == 0
    weight = model.network.category.predict.weight
    assert torch.equal(weight, state["model.Category_branch_post.pred.weight"])


def test_other_checkpoints_are_not_taken_for_it():
    from rotoscope.models import system

    shapes = golden.manifest(SYSTEM)["networks"]["ytvis"]["keys"]
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    identify, tidy = system(SYSTEM).identify, system(SYSTEM).tidy
    assert identify(tidy(state)) == "ytvis"
    head = "model.Category_branch_post.pred.weight"
    assert identify(tidy({**state, head: torch.empty(7, 256, 3, 3, device="meta")})) is None
    assert identify(tidy({key: value for key, value in state.items() if "Memory_module" not in key})) is None
    assert identify({}) is None
