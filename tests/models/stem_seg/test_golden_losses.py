"""Targets, losses, gradients and a whole step against the authors' numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rotoscope.errors import OptionError
from rotoscope.models.stem_seg.embedding import mode_of
from rotoscope.models.stem_seg.losses import LossOptions, embedding_losses, semantic_losses, shrunk
from rotoscope.models.stem_seg.maps import Maps
from rotoscope.models.stem_seg.network import NETWORKS
from rotoscope.models.stem_seg.published import TABLE
from rotoscope.models.stem_seg.training import TRAINABLE, Targets, TrainingOptions, losses
from rotoscope.ops.lovasz import lovasz_hinge
from tests import golden
from tests.models.stem_seg.test_golden_networks import cases, features, network

SYSTEM = "stem-seg"
SLIPS = ("embloss_empty_middle",)


@pytest.mark.parametrize("case", cases("loss.lovasz_hinge"))
def test_lovasz_hinge(case):
    expected, logits = golden.arrays(SYSTEM, case), golden.inputs(case)["logits"].requires_grad_()
    loss = lovasz_hinge(logits[None], torch.from_numpy(expected["in_labels"])[None])
    loss.backward()
    golden.check(case, "loss", loss[None], expected["loss"])
    golden.check(case, "grad", logits.grad, expected["grad"])


@pytest.mark.parametrize("case", cases("targets.downscale"))
def test_targets_at_the_size_of_the_maps(case):
    given = golden.arrays(SYSTEM, case)
    masks = shrunk(torch.from_numpy(given["in_masks"]))
    golden.check(case, "masks", masks, given["masks"])
    golden.check(case, "ignore", shrunk(torch.from_numpy(given["in_ignore"])), given["ignore"])
    classes = (masks.long() * torch.from_numpy(given["in_category_ids"])[:, None, None, None]).amax(0)
    golden.check(case, "semseg", classes, given["semseg"])


def compared(case, form):
    """The losses of a case with their gradient: names, scalars, gradient."""
    given, mode = golden.arrays(SYSTEM, case), mode_of(case["config"]["mode"])
    whole = golden.inputs(case)["map"].requires_grad_()
    maps = Maps(*whole.split([mode.dimensions, mode.learnt, 1], dim=1))
    clips = range(case["config"]["batch"])
    masks = [torch.from_numpy(given[f"in_masks_{clip}"]) > 0 for clip in clips]
    ignored = torch.stack([torch.from_numpy(given[f"in_ignore_{clip}"]) > 0 for clip in clips])
    options = LossOptions(form=form, free_dim_stds=case["config"]["free_dim_stds"] or (0.3,))
    found = embedding_losses(maps, masks, ignored, options.form, options.free_dim_stds)
    smoothness = options.smoothness * found.smoothness
    total = options.lovasz * found.lovasz + smoothness + options.seediness * found.seediness
    total.backward()
    parts = {"lovasz": found.lovasz, "variance_smoothness": found.smoothness, "seediness": found.seediness}
    return {"total": total, **parts}, whole.grad, given


@pytest.mark.parametrize("form", ["corrected", "published"])
@pytest.mark.parametrize("case", cases("loss.embedding"))
def test_embedding_losses(case, form):
    found, gradient, expected = compared(case, form)
    if form == "corrected" and case["name"] in SLIPS:
        assert abs(found["lovasz"].item() - expected["lovasz"][0]) > 0.01
        return
    for name, value in found.items():
        golden.check(case, name, value[None], expected[name])
    golden.check(case, "grad", gradient, expected["grad"])


@pytest.mark.parametrize("case", cases("loss.semseg"))
def test_semantic_losses(case):
    given, logits = golden.arrays(SYSTEM, case), golden.inputs(case)["logits"].requires_grad_()
    maps = logits.transpose(1, 2)  # (N, C, T, h, w)
    count = case["config"]["classes_with_background"]
    target, ignored = torch.from_numpy(given["in_labels"]), torch.from_numpy(given["in_ignore"]) > 0
    classes, foreground = semantic_losses(maps[:, :count], maps[:, count:], target, ignored, "published")
    (classes + foreground).backward()
    golden.check(case, "semseg", classes[None], given["semseg"])
    golden.check(case, "foreground", foreground[None], given["foreground"])
    golden.check(case, "grad", logits.grad, given["grad"])
    corrected, same = semantic_losses(maps[:, :count], maps[:, count:], target, ignored)
    assert same.item() == foreground.item()
    assert abs(corrected.item() - classes.item()) > 1e-3


NAMES = {
    "lovasz": "loss_lovasz_loss",
    "classes": "loss_semantic_segmentation_loss",
    "foreground": "loss_foreground",
    "smoothness": "loss_variance_smoothness_loss",
    "seediness": "loss_seediness_loss",
}


def parameter(module, key):
    known, ours = TABLE.ours(key)
    assert known
    return module.get_parameter(ours)


def close(case, name, found, expected):
    """Within its atol or the case's rtol, whichever is larger."""
    found = np.asarray(found, np.float32).ravel()[: expected.size]
    bound = np.maximum(case["outputs"][name]["atol"], case["rtol"] * np.abs(expected))
    assert np.all(np.abs(found - expected) <= bound), name
    return True


@pytest.mark.parametrize("case", cases("train_step"))
def test_training_step(case):
    given, config = golden.arrays(SYSTEM, case), case["config"]
    module = NETWORKS[case["network"]]()
    module.load_state_dict(network(case["network"]).state_dict())
    options = TrainingOptions(form="published", frozen="encoder" if config["freeze_backbone"] else "stem")
    TRAINABLE.begin(module, options)
    TRAINABLE.mode(module, options)
    plain = [name for name, one in module.named_parameters() if not one.requires_grad and "bn" not in name]
    plain = [name for name in plain if "downsample.1" not in name]
    assert len(plain) == config["parameters_without_gradient"]
    optimiser = torch.optim.SGD(
        [one for one in module.parameters() if one.requires_grad],
        config["lr"],
        config["momentum"],
        weight_decay=config["weight_decay"],
        nesterov=config["nesterov"],
    )
    masks = shrunk(torch.from_numpy(given["in_masks"]))
    ignored = shrunk(torch.from_numpy(given["in_ignore"]))[None] > 0
    classes = (masks.long() * torch.from_numpy(given["in_category_ids"])[:, None, None, None]).amax(0)[None]
    maps = module.heads(features(module, golden.inputs(case)["images"]))
    found, _ = losses(maps, Targets([masks > 0], ignored, classes), options)
    total = torch.stack(list(found.values())).sum()
    total.backward()
    assert close(case, "total", total.item(), given["total"])
    for ours, theirs in NAMES.items():
        assert (ours in found) == (theirs in given)
        if ours in found:
            assert close(case, theirs, found[ours].item() / (10 if ours == "smoothness" else 1), given[theirs])
    for key in config["gradnorm_keys"]:
        assert close(case, f"grad:{key}", parameter(module, key).grad, given[f"grad:{key}"])
    norms = [float(parameter(module, key).grad.norm()) for key in config["gradnorm_keys"]]
    assert close(case, "gradnorm", norms, given["gradnorm"])
    optimiser.step()
    for key in config["gradnorm_keys"]:
        assert close(case, f"step:{key}", parameter(module, key).detach(), given[f"step:{key}"])


def test_free_dimensions_are_as_wide_as_the_options_say():
    """A free dimension twice as wide, with values twice as far apart, gives the same losses."""
    case = next(case for case in golden.cases(SYSTEM, "loss.embedding") if case["name"] == "embloss_xyff")
    config = case["config"]
    stds = config["free_dim_stds"]
    given, mode = golden.arrays(SYSTEM, case), mode_of(config["mode"])
    masks = [torch.from_numpy(given[f"in_masks_{clip}"]) > 0 for clip in range(config["batch"])]
    ignored = torch.stack([torch.from_numpy(given[f"in_ignore_{clip}"]) > 0 for clip in range(config["batch"])])
    maps = Maps(*golden.inputs(case)["map"].split([mode.dimensions, mode.learnt, 1], dim=1))
    plain = embedding_losses(maps, masks, ignored, free_dim_stds=stds)
    stretched = maps.embeddings.clone()
    stretched[:, -1] *= 2
    wide = embedding_losses(replace(maps, embeddings=stretched), masks, ignored, free_dim_stds=(stds[0], 2 * stds[1]))
    assert wide.lovasz.item() == pytest.approx(plain.lovasz.item(), rel=1e-5)
    narrow = embedding_losses(replace(maps, embeddings=stretched), masks, ignored)
    assert narrow.lovasz.item() != pytest.approx(plain.lovasz.item(), rel=1e-3)
    with pytest.raises(OptionError, match="free_dim_stds has 3 values"):
        embedding_losses(maps, masks, ignored, free_dim_stds=(0.3, 0.3, 0.3))
