"""Every golden case of the official 3DC-Seg: networks, losses, gradients, train mode, whole videos, tables."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from rotoscope.inference.loading import from_published, report_of
from rotoscope.inference.prepare import prepare
from rotoscope.masks.run_length import decode
from rotoscope.models.clip_options import ClipOptions
from rotoscope.models.clip_windows import clip_indices
from rotoscope.models.three_dc_seg.losses import LossOptions, clip_iou, foreground_loss
from rotoscope.models.three_dc_seg.session import ThreeDCSession
from rotoscope.models.three_dc_seg.training import freeze_batch_norm_affine
from rotoscope.ops.resize import SizeRule, padding_to
from rotoscope.types import Frame, VideoInfo
from tests import golden

SYSTEM = "3dc-seg"
THRESHOLDS = {"loss": {"3dc/loss1t": 0.6, "3dc/loss3t": 0.6, "3dc/loss4t": 0.4}}


@lru_cache(maxsize=1)
def network(name):
    return from_published(SYSTEM, golden.state(SYSTEM, name), name)


def maps(module, clip, guidance=None):
    """The intermediate maps that the golden files name."""
    encoder, decoder = module.encoder, module.decoder
    r2, r3, r4, r5 = encoder(clip, guidance)
    bridge = decoder.bridge(r5)
    m5 = decoder.pair(bridge)
    m4 = decoder.refine4(r4, m5)
    m3 = decoder.refine3(r3, m4)
    m2 = decoder.refine2(r2, m3)
    found = {"r2": r2, "r3": r3, "r4": r4, "r5": r5, "bridge": bridge, "m5": m5, "m4": m4, "m3": m3, "m2": m2}
    found["p2"] = decoder.predict(torch.relu(m2))
    found["logits"] = module(clip, guidance)
    return found


@pytest.mark.parametrize("case", golden.cases(SYSTEM, "network"), ids=lambda case: case["name"])
def test_network(case):
    expected = golden.arrays(SYSTEM, case)
    given = golden.inputs(case)
    with torch.inference_mode():
        found = maps(network(case["network"]), given["clip"], given.get("guidance"))
    assert set(case["outputs"]) <= set(expected)
    for name in case["outputs"]:
        golden.check(case, name, found[name.removesuffix("_first8")], expected[name])


@pytest.mark.parametrize(
    "name", ["csn_gc3d_batch2_5x64x64", "csn_nl_4x64x96", "csn_refine_2plus1d_8x64x64", "r2plus1d34_8x65x97"]
)
def test_prepared_network_stays_within_the_golden_tolerance(name):
    case = next(case for case in golden.cases(SYSTEM, "network") if case["name"] == name)
    expected = golden.arrays(SYSTEM, case)
    module = prepare(from_published(SYSTEM, golden.state(SYSTEM, case["network"])), torch.device("cpu"), torch.float32)
    with torch.inference_mode():
        logits = module(golden.inputs(case)["clip"])
    golden.check(case, "logits", logits, expected["logits"])


@pytest.mark.parametrize("name", [n for n in golden.manifest(SYSTEM)["networks"] if not n.startswith("backbone")])
def test_every_published_network_is_identified_and_complete(name):
    state = golden.state(SYSTEM, name)
    extra = golden.manifest(SYSTEM)["networks"][name]["dead"]
    state |= {key: np.zeros(shape, np.float32) for key, shape in extra.items()}
    found = from_published(SYSTEM, {"model": {f"module.{key}": value for key, value in state.items()}, "epoch": 3})
    report = report_of(found)
    assert report.network == name.replace("legacy_csn_gc3d", "csn_gc3d").replace("legacy_csn_nogc", "csn_c3d").replace(
        "legacy_csn_nonlocal", "csn_nl"
    )
    assert not report.missing
    assert not report.unexpected
    assert not found.training


def binary(values, case, name):
    text = case["inputs"][name]["then"]
    threshold = float(text.split(">")[1].replace(",", " ").split()[0])
    if text.startswith("1 + floor"):
        return torch.where(values > threshold, 1 + torch.floor(7 * values), 0)
    return (values > threshold).float()


@pytest.mark.parametrize("case", golden.cases(SYSTEM, "loss"), ids=lambda case: case["name"])
def test_loss(case):
    expected, given = golden.arrays(SYSTEM, case), golden.inputs(case)
    logits = given["logits"].double().requires_grad_()
    target = binary(given["target"], case, "target")
    ignore = binary(given["ignore_mask"], case, "ignore_mask") if "ignore_mask" in given else None
    options = LossOptions(bootstrap=case["options"]["bootstrap_fraction"])
    loss = foreground_loss(logits, target, options, ignore)
    loss.backward()
    golden.check(case, "loss", loss, expected["loss"])
    golden.check(case, "iou", clip_iou(logits, target), expected["iou"])
    golden.check(case, "grad_logits", logits.grad.float(), expected["grad_logits"])


def test_step_gradients():
    (case,) = golden.cases(SYSTEM, "training_step")
    expected, given = golden.arrays(SYSTEM, case), golden.inputs(case)
    state = golden.state(SYSTEM, "csn_gc3d")
    module = from_published(SYSTEM, state, "csn_gc3d").double()
    freeze_batch_norm_affine(module.encoder)
    table = {golden_name(name): name for name, _ in module.named_parameters()}
    loss = foreground_loss(module(given["clip"].double()), binary(given["target"], case, "target"))
    loss.backward()
    golden.check(case, "loss", loss, expected["loss"])
    parameters = dict(module.named_parameters())
    for name in case["outputs"]:
        kind, _, key = name.partition(":")
        if key:
            grad = parameters[table[key]].grad
            found = {"norm": grad.norm, "sum": grad.sum, "grad": grad.float}[kind]()
            golden.check(case, name, found, expected[name])
    assert module.encoder.bn1.weight.grad is None
    assert module.encoder.guidance.weight.grad is None


def golden_name(ours):
    from rotoscope.models.three_dc_seg.published import key_table

    return key_table("csn_gc3d").theirs(ours)


def test_train_mode_moves_running_statistics():
    (case,) = golden.cases(SYSTEM, "train_mode")
    expected, given = golden.arrays(SYSTEM, case), golden.inputs(case)
    module = from_published(SYSTEM, golden.state(SYSTEM, "csn_gc3d"), "csn_gc3d").double().train()
    freeze_batch_norm_affine(module.encoder)
    with torch.no_grad():
        golden.check(case, "logits", module(given["clip"].double()), expected["logits"])
    found = module.state_dict()
    for name in case["outputs"]:
        if name.startswith("encoder.") and not name.endswith("num_batches_tracked"):
            golden.check(case, name, found[name], expected[name])


@pytest.mark.parametrize("case", golden.cases(SYSTEM, "inference"), ids=lambda case: case["name"])
def test_whole_video(case):
    expected, module = golden.arrays(SYSTEM, case), network("csn_gc3d")
    chosen = case["options"]
    options = ClipOptions(
        clip=chosen["clip_length"],
        overlap=chosen["overlap"],
        dense=chosen["dense"],
        size="unchanged" if chosen["resize_mode"] == "unchanged" else str(chosen["resize_shape"][0]),
        soft=True,
    )
    for video in case["per_video"]:
        frames = expected[f"frames:{video}"]
        means = []
        session = RecordingSession(module, VideoInfo(video, frames.shape[2], frames.shape[1]), options, means)
        results = []
        for index, image in enumerate(frames):
            results += session.step(Frame(index, index / 24, image))
        results += session.finish()
        assert [result.index for result in results] == list(range(len(frames)))
        golden.check(case, f"prob_fg:{video}", np.stack(means), expected[f"prob_fg:{video}"])
        wanted = expected[f"mask:{video}"] != 0
        masks = [decode(r.objects[0].mask) if r.objects else np.zeros(r.size, bool) for r in results]
        # The case allows differences where the probability is within 1e-3 of a half, at most 0.2 % of the pixels.
        assert np.mean(np.stack(masks) != wanted) <= 0.002


class RecordingSession(ThreeDCSession):
    """Keeps each frame's mean probability at the network's size."""

    def __init__(self, module, info, options, means):
        super().__init__(module, info, options, torch.device("cpu"))
        self.means = means

    def _result(self, held):
        self.means.append((held.total / held.count).numpy())
        return super()._result(held)


def test_windows():
    (case,) = golden.cases(SYSTEM, "windows")
    for row in case["inline"]:
        overlap = row["clip"] - 1 if row["dense"] else row["overlap"]
        found = clip_indices(row["frames"], row["clip"], overlap)
        assert found == row["windows"]
        counts = np.bincount(np.concatenate(found), minlength=row["frames"])
        assert counts.tolist() == row["predictions_averaged_per_frame"]


def test_resize_table():
    (case,) = golden.cases(SYSTEM, "resize_table")
    for row in case["inline"]:
        size = SizeRule.parse(str(row["short_edge"])).of((row["h"], row["w"]))
        assert size == (row["new_h"], row["new_w"])
        assert list(padding_to(size, 32)) == [*row["pad_top_bottom"], *row["pad_left_right"]]


def test_crop_intervals():
    from rotoscope.data.clips import released_crop_intervals

    (case,) = golden.cases(SYSTEM, "crop")
    for row in case["inline"]:
        found = released_crop_intervals((row["h"], row["w"]), row["object_rows"], row["object_columns"], row["crop"])
        assert [list(interval) for interval in found] == [row["top_drawn_from"], row["left_drawn_from"]]
