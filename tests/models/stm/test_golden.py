"""Every golden case of the official STM: encoders, heads, read, decoder, aggregation, memory, whole runs."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from rotoscope.backbones.space_time_memory import other_objects
from rotoscope.inference.loading import from_published, report_of
from rotoscope.inference.prepare import prepare
from rotoscope.models.memory.options import MemoryOptions
from rotoscope.models.memory.tracker import Tracker
from rotoscope.ops.memory_read import memory_read, memory_weights
from rotoscope.ops.resize import padding_to
from rotoscope.ops.soft_aggregation import soft_aggregation
from tests import golden

SYSTEM = "stm"
KINDS = ("encoder_m", "encoder_q", "keyvalue", "memory_read", "decoder", "soft_aggregation", "memorize_segment", "run")


def cases(*kinds):
    return pytest.mark.parametrize(
        "case", [case for kind in kinds for case in golden.cases(SYSTEM, kind)], ids=lambda case: case["name"]
    )


def build():
    return from_published(SYSTEM, golden.state(SYSTEM, "stm"))


@lru_cache(maxsize=2)
def network(fast=False):
    return prepare(build(), torch.device("cpu"), torch.float32) if fast else build()


def check(case, found):
    expected = golden.arrays(SYSTEM, case)
    assert set(case["outputs"]) == set(found)
    for name in case["outputs"]:
        if "min_equal_fraction" in case["tolerance"].get(name, {}):
            assert found[name].shape == expected[name].shape
            assert np.mean(found[name] == expected[name]) >= case["tolerance"][name]["min_equal_fraction"]
        else:
            golden.check(case, name, found[name], expected[name])


def rows(maps):
    """(C, ...) -> (positions, C)."""
    return maps.flatten(1).T


def test_every_kind_of_case_is_run():
    import json

    content = json.loads((golden.HERE / SYSTEM / "cases.json").read_text())
    assert {case["kind"] for case in content["cases"]} == set(KINDS)
    assert len(content["cases"]) == 10


@cases("encoder_m", "encoder_q")
@torch.inference_mode()
def test_encoder(case):
    given, module = golden.inputs(case), network()
    x = module.pixels(given["frame"])
    encoder = module.query_encoder
    if case["kind"] == "encoder_m":
        encoder = module.memory_encoder
        x = torch.cat([x, given["mask"][:, None], given["other_masks"][:, None]], dim=1)
    check(case, dict(zip(("c1", "r2", "r3", "r4"), [encoder.stem(x), *encoder(x)], strict=True)))


@cases("keyvalue")
@torch.inference_mode()
def test_heads(case):
    r4 = golden.inputs(case)["r4"]
    key_m, value_m = network().memory_head(r4)
    key_q, value_q = network().query_head(r4)
    check(case, {"key_m": key_m, "value_m": value_m, "key_q": key_q, "value_q": value_q})


@cases("memory_read")
@pytest.mark.parametrize("block", [1, 100, 1 << 20])
def test_memory_read(case, block):
    given = golden.inputs(case)
    size = given["query_key"].shape[-2:]
    read, weights = [], []
    for keys, values, query in zip(given["mem_key"], given["mem_value"], given["query_key"], strict=True):
        found = memory_read(rows(query), rows(keys), rows(values), block=block)
        read.append(found.T.unflatten(1, size))
        weights.append(memory_weights(rows(query), rows(keys)).T)
    tail = given["query_value"][:, :8]
    check(case, {"read": torch.stack(read), "p": torch.stack(weights), "out_tail": tail})


@cases("decoder")
@torch.inference_mode()
def test_decoder(case):
    given, decoder = golden.inputs(case), network().decoder
    m4 = decoder.pair(decoder.bridge(given["r4"]))
    m3 = decoder.refine3(given["r3"], m4)
    m2 = decoder.refine2(given["r2"], m3)
    logits = decoder(given["r4"], given["r3"], given["r2"])
    found = {"m4": m4, "m3": m3, "m2": m2[:, :32], "p2": decoder.predict(torch.relu(m2)), "logits": logits}
    check(case, found | {"prob": logits.softmax(dim=1)[:, 1]})


@cases("soft_aggregation")
def test_soft_aggregation(case):
    ps = torch.from_numpy(golden.arrays(SYSTEM, case)["ps"])
    logits = soft_aggregation(ps, case["options"]["K"])
    check(case, {"logit": logits[None], "prob": logits.softmax(dim=0)[None]})


@cases("memorize_segment")
@pytest.mark.parametrize("fast", [False, True], ids=["as loaded", "prepared"])
@torch.inference_mode()
def test_memorise_and_segment(case, fast):
    given, module, options = golden.inputs(case), network(fast), case["options"]
    size = given["frame0"].shape[-2:]
    top, bottom, left, right = padding_to(size, 16)
    count = options["num_objects"]

    def padded(maps):
        return torch.nn.functional.pad(maps, (left, right, top, bottom))

    keys, values = [], []
    for index in range(options["memory_frames"]):
        masks = given[f"masks{index}"][0, 1 : 1 + count]
        key, value = module.memorise(padded(given[f"frame{index}"]), padded(masks), padded(other_objects(masks)))
        keys.append(key)
        values.append(value)
    query = module.query(padded(given[f"frame{options['memory_frames']}"]))
    memories = list(zip(torch.cat(keys, 1), torch.cat(values, 1), strict=True))
    found = module.segment(query, memories)[:, top : top + size[0], left : left + size[1]]
    logits = soft_aggregation(found, options["K"])
    h, w = query.value.shape[-2:]

    def stacked(parts):  # T of (O, h * w, C) -> (1, O, C, T, h, w)
        return torch.stack(parts, 1).permute(0, 3, 1, 2).unflatten(3, (h, w))[None]

    found = {"keys": stacked(keys), "values": stacked(values)[:, :, :256]}
    check(case, found | {"logits": logits[None], "prob": logits.softmax(dim=0)[None]})


@cases("run")
@pytest.mark.parametrize("fast", [False, True], ids=["as loaded", "prepared"])
def test_run(case, fast):
    given, chosen = golden.inputs(case), case["options"]
    labels = torch.from_numpy(golden.arrays(SYSTEM, case)["labels0"])
    tracker = Tracker(network(fast), tuple(labels.shape), MemoryOptions(memory_every=chosen["memory_every"]))
    prompt = {track_id: (labels == track_id).float() for track_id in range(1, chosen["num_objects"] + 1)}
    logits = []
    for index in range(len(given)):
        logits.append(tracker.step(given[f"frame{index}"][0], prompt if index == 0 else {}))
    assert tracker.frames_held == chosen["memory_frames_at_last_step"]
    every = torch.stack(logits, 1)  # (1 + O, T, H, W)
    probabilities = every.softmax(dim=0)
    check(
        case,
        {
            "prob": probabilities[None],
            "logits": every[None, :, 1:],
            "labels": every.argmax(dim=0).numpy().astype(np.uint8),
        },
    )


def test_padding_examples():
    for name, wanted in golden.manifest(SYSTEM)["constants"]["padding_examples"].items():
        height, width = map(int, name.split("x"))
        found = padding_to((height, width), 16)
        assert dict(zip(("top", "bottom", "left", "right"), found, strict=True)) == wanted


def test_constants_and_parameters():
    constants, module = golden.manifest(SYSTEM)["constants"], network()
    assert sum(p.numel() for p in module.parameters()) == golden.manifest(SYSTEM)["networks"]["stm"]["parameters"]
    for name in ("mean", "std"):
        np.testing.assert_allclose(getattr(module.pixels, name).flatten() / 255, constants[name], rtol=1e-6)
    assert MemoryOptions().memory_every == constants["memory_every"]


@pytest.mark.parametrize("old", [False, True], ids=["as published", "without num_batches_tracked"])
def test_the_published_file_is_identified_and_complete(old):
    state = golden.state(SYSTEM, "stm")
    keys = golden.manifest(SYSTEM)["networks"]["stm"]["keys"]
    state |= {key: np.zeros(shape, np.float32) for key, shape in keys.items() if key.endswith((".mean", ".std"))}
    assert len(state) == 558
    if old:
        state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    report = report_of(from_published(SYSTEM, state))
    assert report.network == "stm"
    assert not report.missing
    assert not report.unexpected
    assert sorted(report.dropped) == [f"Encoder_{encoder}.{name}" for encoder in "MQ" for name in ("mean", "std")]


def test_keys_go_both_ways():
    from rotoscope.models.stm.published import TABLE

    published = {key.removeprefix("module.") for key in golden.manifest(SYSTEM)["networks"]["stm"]["keys"]}
    own = [key for key in network().state_dict() if not key.startswith("pixels.")]
    assert all(TABLE.theirs(key) in published for key in own)
    assert all(TABLE.ours(TABLE.theirs(key)) == (True, key) for key in own)


def test_encoders_start_from_a_classifier(tmp_path):
    from rotoscope.backbones.resnet import ResNet
    from rotoscope.errors import WeightsError
    from rotoscope.models import system
    from rotoscope.training.start import start_from

    torch.manual_seed(0)
    classifier = ResNet().state_dict() | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    torch.save(classifier, tmp_path / "resnet50.pth")
    module = system(SYSTEM).build("stm")
    masks = module.memory_encoder.conv1.weight[:, 3:].clone()
    assert "encoder" in start_from(module, SYSTEM, "stm", str(tmp_path / "resnet50.pth"), tmp_path)
    for encoder in (module.memory_encoder, module.query_encoder):
        for key, value in encoder.state_dict().items():
            assert torch.equal(value[:, :3] if key == "conv1.weight" else value, classifier[key])
    assert torch.equal(module.memory_encoder.conv1.weight[:, 3:], masks)
    del classifier["layer2.1.bn2.bias"]
    torch.save(classifier, tmp_path / "cut.pth")
    with pytest.raises(WeightsError, match=r"layer2\.1\.bn2\.bias"):
        start_from(module, SYSTEM, "stm", str(tmp_path / "cut.pth"), tmp_path)


def test_the_authors_file_and_its_conversion_open_alike(tmp_path):
    import rotoscope
    from rotoscope.inference.checkpoint import save_weights
    from rotoscope.inference.loading import convert

    state = {key: torch.from_numpy(value) for key, value in golden.state(SYSTEM, "stm").items()}
    torch.save(state, tmp_path / "STM_weights.pth")
    own, card, report = convert(tmp_path / "STM_weights.pth", SYSTEM)
    assert report.complete
    save_weights(tmp_path / "stm.safetensors", own, card)
    models = [rotoscope.load(tmp_path / name, device="cpu") for name in ("STM_weights.pth", "stm.safetensors")]
    assert [model.system.name for model in models] == [SYSTEM] * 2
    first, second = (model.network.state_dict() for model in models)
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


def test_a_system_built_on_it_is_not_taken_for_it():
    from rotoscope.models import system

    keys = golden.manifest(SYSTEM)["networks"]["stm"]["keys"]
    state = {key.removeprefix("module."): torch.empty(shape, device="meta") for key, shape in keys.items()}
    assert system(SYSTEM).identify(state) == "stm"
    for more in ("Matcher.conv.weight", "Decoder.coarse4.weight"):
        assert system(SYSTEM).identify(state | {more: torch.empty(1)}) is None
    assert system(SYSTEM).identify({}) is None


def test_a_file_without_one_of_the_stems_is_refused():
    from rotoscope.errors import WeightsError

    state = golden.state(SYSTEM, "stm")
    del state["module.Encoder_M.conv1_o.weight"]
    with pytest.raises(WeightsError, match=r"Encoder_M\.conv1\.weight has shape"):
        from_published(SYSTEM, state)
