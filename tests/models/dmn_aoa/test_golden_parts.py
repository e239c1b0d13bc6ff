"""Every golden case that needs no network: read, template, cells in boxes, alignment, matching, losses, DMM's layer."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from rotoscope.models.dmn_aoa.alignment import alignment_scores, alignment_weights
from rotoscope.models.dmn_aoa.losses import coarse_loss, match_loss
from rotoscope.models.dmn_aoa.matching import mask_overlaps, match, match_target, published_assignment, published_target
from rotoscope.models.dmn_aoa.regions import cells_in_boxes
from rotoscope.models.dmn_aoa.template import Views, template_of
from rotoscope.models.memory.losses import objects_loss
from rotoscope.ops.matching import Steps, padded_similarity, published_solution
from rotoscope.ops.memory_read import memory_recall, memory_weights
from tests import golden

SYSTEM, LAYER = "dmn-aoa", "dmm-matching"


def cases(kind, system=SYSTEM):
    return pytest.mark.parametrize("case", golden.cases(system, kind), ids=lambda case: case["name"])


def stored(case, system=SYSTEM):
    return {name: torch.from_numpy(values) for name, values in golden.arrays(system, case).items()}


def check(case, found, expected):
    assert set(found) == set(expected) & set(case["outputs"]) == set(case["outputs"])
    for name, values in found.items():
        golden.check(case, name, values, expected[name].numpy())


@cases("roi_align")
def test_cells_in_boxes(case):
    expected, chosen = stored(case), case["options"]
    found = cells_in_boxes(
        golden.inputs(case)["feature"], expected["boxes"], chosen["roi_size"], stride=chosen["stride"]
    )
    check(case, {"tokens": found}, expected)
    each = golden.inputs(case)["feature"].expand(len(found), -1, -1, -1)
    torch.testing.assert_close(cells_in_boxes(each, expected["boxes"], chosen["roi_size"]), found)


@cases("read")
@pytest.mark.parametrize("block", [1, 100, 1 << 20])
def test_read(case, block):
    given = golden.inputs(case)
    size = given["query_key"].shape[1:]
    query, keys, values = (given[name].flatten(1).T for name in ("query_key", "memory_key", "memory_value"))
    found = memory_recall(query, keys, values, given["memory_mask"].flatten(), block=block)
    arrays = {
        "weights": memory_weights(query, keys).T,
        "read": found.read.T.unflatten(1, size),
        "prior": found.prior.unflatten(0, size),
        "relevance": found.relevance.unflatten(0, (-1, *size)),
    }
    check(case, arrays, stored(case))


@cases("template")
def test_template(case):
    given, expected = golden.inputs(case), stored(case)
    count = len(given["tokens"])
    views = Views(
        given["tokens"].flatten(2).transpose(1, 2),
        given["mask"].flatten(1),
        torch.zeros(count, 4),
        expected["present"],
    )
    found = template_of(views, given["relevance"].flatten(1))
    side = (7, 7)
    arrays = {
        "beta": found.shares.unflatten(1, side),
        "template": found.tokens.T.unflatten(1, side),
        "omega": found.masks.unflatten(0, side),
    }
    check(case, arrays, expected)


@cases("alignment")
def test_alignment(case):
    given, expected, kappa = golden.inputs(case), stored(case), case["options"]["kappa"]
    template, proposals = given["template"], expected["proposal_used"]
    masks, own = given["proposal_mask"], given["omega"]
    arrays = {
        mode: alignment_scores(template, own, proposals, masks, kappa, mode)
        for mode in ("forward", "backward", "mutual", "cell", "pooled")
    }
    for mode in ("forward", "cell"):
        arrays[f"{mode}_unmasked"] = alignment_scores(template, None, proposals, None, kappa, mode)
    arrays["weights_o0"] = alignment_weights(template[:1], proposals, masks, kappa)[0]
    check(case, arrays, expected)


@cases("matching")
def test_matching(case):
    given, expected = golden.inputs(case), stored(case)
    similarity = given["similarity"].requires_grad_()
    chosen = {"floor": case["options"]["floor"]}
    hard = match(similarity, expected["proposal_mask"], expected["prior"], soft=False, **chosen)
    soft = match(similarity, expected["proposal_mask"], expected["prior"], soft=True, **chosen)
    (gradient,) = torch.autograd.grad(10 * (given["w"] * soft.coarse).mean(), similarity)
    arrays = {
        "assignment": soft.assignment,
        "chosen": hard.chosen,
        "coarse_test": hard.coarse,
        "coarse_train": soft.coarse,
        "grad_similarity": gradient,
    }
    check(case, arrays, expected)


@cases("losses")
def test_losses(case):
    given, expected = golden.inputs(case), stored(case)
    labels = expected["labels"].long()
    truth = torch.stack([labels == number for number in (1, 2)]).float()
    overlaps = mask_overlaps(truth, expected["proposal_mask"])
    arrays = {
        "iou": overlaps,
        "target": match_target(overlaps),
        "match_loss": match_loss(given["score"], expected["proposal_mask"], truth)[None],
        "coarse_loss": coarse_loss(given["coarse"], truth)[None],
        "mask_loss": objects_loss(given["logits"][:, None], labels[None, None])[None],
    }
    check(case, arrays, expected)


@cases("layer", LAYER)
def test_the_published_layer(case):
    given, expected, chosen = golden.inputs(case), stored(case, LAYER), case["options"]
    steps = Steps(chosen["n_grad"], chosen["n_proj"], chosen["step"])
    features = [expected[name].requires_grad_() for name in ("template_feature", "proposal_feature")]
    cosine = functional.normalize(features[0], dim=1) @ functional.normalize(features[1], dim=1).T
    masks, share = expected["proposal_mask"], chosen["lambda"]
    similarity = (1 - share) * cosine + share * mask_overlaps(expected["last_mask"], masks)
    assignment = published_assignment(similarity, training=not chosen["test"], steps=steps)
    real = assignment[:, : len(masks)]
    mean = published_solution(-padded_similarity(similarity), steps).mean.clamp(0, 1)
    coarse = torch.einsum("op,phw->ohw", real, masks)
    arrays = {
        "cosine": cosine,
        "similarity": similarity,
        "assignment": assignment,
        "coarse_mask": coarse,
        "match_score": (mean * padded_similarity(similarity)).amax(dim=1),
        "det_score": real @ given["score"],
    }
    loss = 10 * (given["w"] * coarse).mean()
    if "match_loss" in expected:
        target = published_target(mask_overlaps(expected["target_mask"], masks))
        arrays["match_loss"] = functional.mse_loss(cosine, target)[None]
        loss = loss + arrays["match_loss"][0]
    gradients = torch.autograd.grad(loss, features)
    arrays |= {"grad_template": gradients[0], "grad_proposal": gradients[1]}
    check(case, arrays, expected)


def test_every_kind_of_case_is_run():
    kinds = {case["kind"] for case in golden.read(SYSTEM, "cases.json")["cases"]}
    assert kinds == {"roi_align", "read", "template", "alignment", "matching", "losses", "refine", "frame_step"}
    assert np.unique([case["kind"] for case in golden.read(LAYER, "cases.json")["cases"]]).tolist() == [
        "layer",
        "solver",
    ]
