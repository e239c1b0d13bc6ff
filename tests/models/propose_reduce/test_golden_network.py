"""Golden cases of the official Seq Mask R-CNN: encoders, the propagation head, scores of sequences, key tables."""

import numpy as np
import pytest
import torch

from rotoscope.backbones.resnet import ResNet
from rotoscope.inference.prepare import prepare
from rotoscope.models.propose_reduce import published
from rotoscope.models.propose_reduce.network import NETWORKS
from rotoscope.models.propose_reduce.propagation import Asked
from rotoscope.ops.memory_read import memory_read
from rotoscope.ops.soft_aggregation import soft_aggregation
from tests import golden
from tests.models.propose_reduce.given import SYSTEM, check, load, made, network_of

MANIFEST = golden.manifest(SYSTEM)["networks"]
OURS = {"r101_davis": "r101-davis", "x101_davis": "x101-davis"}


@pytest.mark.parametrize("name", ["backbone_r50", "backbone_r101", "backbone_x101"])
@torch.inference_mode()
def test_encoders_and_pyramids(name):
    case, expected = load(name)
    own, levels = network_of(case).detector.maps(made(case)["image"])
    stride = case["options"]["channel_stride"]
    for kind, maps in (("c", own), ("p", levels)):
        for number, x in enumerate(maps, start=2):
            check(f"{kind}{number}", case, x[:, ::stride], expected[f"{kind}{number}"])
            mean = x.mean(dim=(2, 3)).reshape(expected[f"{kind}{number}_mean"].shape)
            check(f"{kind}{number}_mean", case, mean, expected[f"{kind}{number}_mean"])
    for number, x in enumerate(own, start=2):
        spread = x.std(dim=(2, 3), correction=0).reshape(expected[f"c{number}_std"].shape)
        check(f"c{number}_std", case, spread, expected[f"c{number}_std"])


@torch.inference_mode()
def test_memory_of_a_frame():
    case, expected = load("memorize")
    given, head = made(case), network_of(case).propagation
    masks = torch.from_numpy(expected["in_masks"]) * given["mask_weight"]
    keys, values = head.memorise(given["p2"], masks)
    wanted = expected["keys"]
    check("keys", case, keys.transpose(1, 2).reshape(wanted.shape), wanted)
    maps = values.transpose(1, 2).reshape(len(values), -1, *wanted.shape[-2:])
    check("values", case, maps[:, ::4], expected["values"])


@torch.inference_mode()
def test_query_of_a_frame():
    case, expected = load("query")
    head, level = network_of(case).propagation, made(case)["p2"]
    check("qry_fuse", case, head.query.fuse(level)[:, ::16], expected["qry_fuse"])
    key, value = head.query(level)
    check("key", case, key, expected["key"])
    check("value", case, value[:, ::4], expected["value"])


@pytest.mark.parametrize("name", ["segment_t1", "segment_t3"])
@torch.inference_mode()
def test_reading_and_decoding(name):
    case, expected = load(name)
    given, head = made(case), network_of(case).propagation
    keys, values = (given[key].flatten(2).transpose(1, 2) for key in ("mem_keys", "mem_values"))
    query = given["qry_key"].flatten(2)[0].T
    height, width = given["qry_key"].shape[-2:]
    reads = torch.stack([memory_read(query, *own) for own in zip(keys, values, strict=True)])
    maps = reads.transpose(1, 2).reshape(len(reads), -1, height, width)
    check("memory_read", case, maps[:, ::16], expected["memory_read"])
    decoder = head.decoder
    x = decoder.bridge(torch.cat([maps, given["qry_value"].expand(len(maps), -1, -1, -1)], dim=1))
    check("convFM", case, x[:, ::16], expected["convFM"])
    m4 = decoder.pair(x)
    check("m4", case, m4[:, ::16], expected["m4"])
    skips = decoder.skips(given["c3"], given["c2"])
    m3 = decoder.refine3.merged(skips[0], m4)
    check("m3", case, m3[:, ::32], expected["m3"])
    m2 = decoder.refine2.merged(skips[1], m3)
    check("m2", case, m2[:, ::64], expected["m2"])
    check("pred2", case, decoder.predict(m2.relu()), expected["pred2"])
    asked = Asked(query, given["qry_value"], skips)
    found = head.segment(asked, list(zip(keys, values, strict=True)))
    check("prob", case, found.reshape(expected["prob"].shape), expected["prob"])
    logits = soft_aggregation(found)
    check("agg_logit", case, logits.reshape(expected["agg_logit"].shape), expected["agg_logit"])
    check("agg_prob", case, logits.softmax(dim=0).reshape(expected["agg_prob"].shape), expected["agg_prob"])


def test_objects_share_a_frame():
    case, expected = load("soft_agg")
    given = made(case)["prob"].clone()
    given[:, 0], given[:, 1], given[0, 2] = 0, 1, 1
    logits = soft_aggregation(given)
    check("logit", case, logits.reshape(expected["logit"].shape), expected["logit"])
    check("prob_out", case, logits.softmax(dim=0).reshape(expected["prob_out"].shape), expected["prob_out"])


@pytest.mark.parametrize("theirs", sorted(MANIFEST))
def test_every_published_key_has_its_place(theirs):
    with torch.device("meta"):
        network = NETWORKS[OURS.get(theirs, theirs)]()
        state = {key: torch.empty(shape) for key, shape in MANIFEST[theirs]["keys"].items()}
    assert published.identify(state) == OURS.get(theirs, theirs)
    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    found = {}
    for key, value in state.items():
        known, ours = published.TABLE.ours(key)
        assert known, key
        if ours is None:
            assert key.startswith(("prop_head.convs.", "prop_head.upsample.", "prop_head.conv_logits.")), key
        else:
            found[ours] = tuple(value.shape)
            assert published.TABLE.theirs(ours) == key
    left = {key for key in own if not key.startswith("pixels.") and not key.endswith("num_batches_tracked")}
    counted = {key for key in found if key.endswith("num_batches_tracked")}
    assert set(found) - counted == left
    assert {key: own[key] for key in found if key not in counted} == {
        key: shape for key, shape in found.items() if key not in counted
    }
    unused = ("prop_head.convs.", "prop_head.upsample.", "prop_head.conv_logits.")
    thrown = sum(value.numel() for key, value in state.items() if key.startswith(unused))
    kept = sum(value.numel() for value in network.parameters())
    assert kept + thrown == MANIFEST[theirs]["parameters"]


def test_other_files_are_not_taken_for_ours():
    assert published.identify({"backbone.conv1.weight": torch.empty(64, 3, 7, 7)}) is None
    assert published.classifier_weights({"conv1.weight": np.zeros((64, 3, 7, 7))}) is None


@pytest.mark.parametrize(("layers", "name"), [((3, 4, 6, 3), "r50"), ((3, 4, 23, 3), "r101")])
def test_encoders_start_from_classifiers(layers, name):
    torch.manual_seed(0)
    state = ResNet(layers).state_dict()
    arrays = {key: value.numpy() for key, value in state.items() if not key.endswith("num_batches_tracked")}
    found, weights = published.classifier_weights(arrays)
    assert found == name
    network = NETWORKS[name]()
    network.load_encoder(weights)
    assert torch.equal(network.detector.body.layer4[2].conv3.weight, state["layer4.2.conv3.weight"])


@torch.inference_mode()
def test_the_fast_form_computes_the_same():
    case, _ = load("backbone_r50")
    torch.manual_seed(0)
    network = NETWORKS["r50"]().eval()
    image, masks = made(case)["image"], torch.rand(2, 64, 96)

    def run():
        maps = network.encode_normalised(image, (60, 90))
        keys, values = network.propagation.memorise(maps.levels[0], masks)
        return network.segment(maps, list(zip(keys, values, strict=True)))

    plain = run()
    prepare(network, torch.device("cpu"), torch.float32)
    np.testing.assert_allclose(run(), plain, atol=2e-4)
