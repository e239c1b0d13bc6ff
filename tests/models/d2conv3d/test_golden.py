"""Every golden case of the official D2Conv3D code: networks, samples, losses, a training step, whole videos, tables."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from rotoscope.data.clips import ClipBatch
from rotoscope.inference.loading import from_published, report_of
from rotoscope.inference.prepare import prepare
from rotoscope.masks.run_length import decode
from rotoscope.models.clip_windows import clip_indices
from rotoscope.models.d2conv3d.analysis import look
from rotoscope.models.d2conv3d.network import NETWORKS
from rotoscope.models.d2conv3d.options import GapOptions
from rotoscope.models.d2conv3d.published import TABLE
from rotoscope.models.d2conv3d.session import D2Session
from rotoscope.models.d2conv3d.training import TrainingOptions, training_step
from rotoscope.ops.lovasz import lovasz_hinge
from rotoscope.ops.resize import padding_to
from rotoscope.types import Frame, VideoInfo
from tests import golden

SYSTEM = "d2conv3d"


@lru_cache(maxsize=1)
def network(name):
    return from_published(SYSTEM, golden.state(SYSTEM, name), name)


def maps(module, clip):
    """The intermediate maps that the golden files name."""
    encoder, decoder = module.encoder, module.decoder
    e1, e2, e3, e4 = encoder(clip)
    m4 = decoder.coarsest(e4)
    m3 = decoder.refine3(e3, m4)
    m2 = decoder.refine2(e2, m3)
    m1 = decoder.refine1(e1, m2)
    found = {"e1": e1, "e2": e2, "e3": e3, "e4": e4, "bridge": decoder.bridge(e4), "m4": m4, "m3": m3, "m2": m2}
    return found | {"m1": m1, "p1": decoder.predict(torch.relu(m1)), "logits": module(clip)}


def ours(layer):
    """Our name of a layer that the cases call, for example, rf3.convMM2.0.deform_conv."""
    known, name = TABLE.ours(f"model.decoder.{layer}.weight")
    assert known
    return name.removesuffix(".weight").removesuffix(".deform_conv")


@pytest.mark.parametrize("case", golden.cases(SYSTEM, "network"), ids=lambda case: case["name"])
def test_network(case):
    expected, clip = golden.arrays(SYSTEM, case), golden.inputs(case)["clip"]
    module = network(case["network"])
    with torch.inference_mode():
        found = maps(module, clip)
    seen = look(module, clip) if "sampling_statistics" in case else {}
    assert set(case["outputs"]) <= set(expected)
    for name in case["outputs"]:
        kind, _, layer = name.partition(":")
        value = seen[ours(f"{layer}.0")].modulation if layer else found[kind.removesuffix("_first8")]
        golden.check(case, name, value, expected[name])


SAMPLED = [case for case in golden.cases(SYSTEM, "network") if "sampling_statistics" in case]


@pytest.mark.parametrize("case", SAMPLED, ids=lambda case: case["name"])
def test_sampling_statistics(case):
    # In float32 a kernel that is all but collapsed reads at its centre, which at the border is inside and not outside.
    module = from_published(SYSTEM, golden.state(SYSTEM, case["network"]), case["network"]).double()
    seen = look(module, golden.inputs(case)["clip"].double())
    assert len(seen) == len(case["sampling_statistics"])
    for layer, numbers in case["sampling_statistics"].items():
        found = seen[ours(layer)]
        assert found.percent_outside == pytest.approx(numbers["percent_outside"], abs=1e-4)
        assert found.percent_without_contribution == pytest.approx(
            numbers["percent_without_any_contribution"], abs=1e-4
        )


@pytest.mark.parametrize("name", golden.manifest(SYSTEM)["networks"])
def test_every_network_has_the_published_keys_and_parameters(name):
    told = golden.manifest(SYSTEM)["networks"][name]
    with torch.device("meta"):
        module = NETWORKS[name]()
    own = {key: list(value.shape) for key, value in module.state_dict().items()}
    renamed = {TABLE.ours(key)[1]: shape for key, shape in told["keys"].items()} | {None: []}
    del renamed[None]
    left = {key for key in own if key not in renamed}
    assert all(key.endswith("num_batches_tracked") or key.startswith("encoder.pixels.") for key in left)
    assert {key: own[key] for key in renamed} == renamed
    assert all(TABLE.theirs(TABLE.ours(key)[1]) == key for key in told["keys"] if TABLE.ours(key)[1])
    trained = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    assert trained == told["trainable_parameters"]


@pytest.mark.parametrize("name", ["xyz", "baseline_csn50"])
def test_a_checkpoint_of_several_devices_is_identified_and_complete(name):
    state = golden.state(SYSTEM, name) | {"model.mean": np.zeros((3, 1, 1, 1)), "model.std": np.ones((3, 1, 1, 1))}
    found = from_published(SYSTEM, {"model": {f"module.{key}": value for key, value in state.items()}, "epoch": 3})
    report = report_of(found)
    assert report.network == name
    assert not report.missing
    assert not report.unexpected
    assert report.dropped == ("model.mean", "model.std")


def test_prepared_network_stays_within_the_golden_tolerance():
    case = next(case for case in golden.cases(SYSTEM, "network") if case["name"] == "net_xyz_bridge_4x64x64")
    expected = golden.arrays(SYSTEM, case)
    module = prepare(from_published(SYSTEM, golden.state(SYSTEM, "xyz_bridge")), torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        golden.check(case, "logits", module(golden.inputs(case)["clip"]), expected["logits"])


def binary(values, case, name):
    text = case["inputs"][name]["then"]
    target = (values > float(text.split(">")[1].split(",")[0])).float()
    if "first batch element all 0" in text:
        target[0] = 0
    return target


@pytest.mark.parametrize("case", golden.cases(SYSTEM, "loss"), ids=lambda case: case["name"])
def test_loss(case):
    expected, given = golden.arrays(SYSTEM, case), golden.inputs(case)
    logits = given["logits"].double().requires_grad_()
    loss = lovasz_hinge(logits, binary(given["target"], case, "target"))
    loss.backward()
    golden.check(case, "loss", loss, expected["loss"])
    golden.check(case, "grad_logits", logits.grad, expected["grad_logits"])


@pytest.mark.parametrize("case", golden.cases(SYSTEM, "training_step"), ids=lambda case: case["name"])
def test_step(case):
    expected, given = golden.arrays(SYSTEM, case), golden.inputs(case)
    module = from_published(SYSTEM, golden.state(SYSTEM, case["network"]), case["network"]).double().train()
    batch = ClipBatch(given["clip"].double(), binary(given["target"], case, "target")[:, None])
    result = training_step(module, batch, TrainingOptions())
    result.loss.backward()
    golden.check(case, "loss", result.loss, expected["loss"])
    parameters = dict(module.named_parameters())
    for name in case["outputs"]:
        kind, _, key = name.partition(":")
        if key:
            grad = parameters[TABLE.ours(key)[1]].grad
            found = {"norm": grad.norm, "sum": grad.sum, "grad": lambda grad=grad: grad}[kind]()
            golden.check(case, name, found, expected[name])
    norms = torch.stack([p.grad.norm() for p in parameters.values() if p.grad is not None])
    golden.check(case, "global_gradient_norm", norms.norm(), expected["global_gradient_norm"])
    assert all(p.grad is None for name, p in parameters.items() if ".bn" in name)


class RecordingSession(D2Session):
    """Keeps each frame's mean logit."""

    def __init__(self, module, info, options, means):
        super().__init__(module, info, options, torch.device("cpu"))
        self.means = means

    def _result(self, held):
        self.means.append((held.total / held.count).numpy())
        return super()._result(held)


@pytest.mark.parametrize("case", golden.cases(SYSTEM, "inference"), ids=lambda case: case["name"])
def test_whole_video(case):
    expected, module = golden.arrays(SYSTEM, case), network(case["network"])
    options = GapOptions(clip=case["options"]["clip_length"], gap=case["options"]["clip_stride"])
    for video in case["per_video"]:
        frames, means, results = expected[f"frames:{video}"], [], []
        session = RecordingSession(module, VideoInfo(video, frames.shape[2], frames.shape[1]), options, means)
        for index, image in enumerate(frames):
            results += session.step(Frame(index, index / 24, image))
        results += session.finish()
        assert [result.index for result in results] == list(range(len(frames)))
        wanted = expected[f"logits:{video}"]
        golden.check(case, f"logits:{video}", np.stack(means), wanted)
        masks = np.stack([decode(r.objects[0].mask) if r.objects else np.zeros(r.size, bool) for r in results])
        clear = np.abs(wanted) > 1e-3 * np.abs(wanted).max()
        assert np.array_equal(masks[clear], expected[f"mask:{video}"][clear] != 0)


def test_windows():
    (case,) = golden.cases(SYSTEM, "windows")
    for row in case["inline"]:
        options = GapOptions(clip=row["clip"], gap=row["clip_stride"])
        found = clip_indices(row["frames"], row["clip"], options.shared, fill="last")
        assert found == row["windows"]
        counts = np.bincount(np.concatenate(found), minlength=row["frames"])
        assert counts.tolist() == row["predictions_averaged_per_frame"]


def test_pad_table():
    (case,) = golden.cases(SYSTEM, "pad_table")
    for row in case["inline"]:
        assert list(padding_to((row["h"], row["w"]), 32)) == [*row["pad_top_bottom"], *row["pad_left_right"]]
