"""D2Conv3D beyond the golden cases: the method reduces to its host, training, sessions, options, keys."""

import numpy as np
import pytest
import torch

from rotoscope.backbones.csn import CSN, FrozenBatchNorm3d
from rotoscope.data.clips import ClipBatch
from rotoscope.errors import OptionError, WeightsError
from rotoscope.inference.prepare import prepare
from rotoscope.masks.run_length import decode
from rotoscope.models import system, trainable
from rotoscope.models.clip_windows import ClipWindows
from rotoscope.models.d2conv3d.analysis import look
from rotoscope.models.d2conv3d.losses import clip_iou
from rotoscope.models.d2conv3d.network import REPLACED, D2Network, Decoder
from rotoscope.models.d2conv3d.options import GapOptions
from rotoscope.models.d2conv3d.published import identify
from rotoscope.models.d2conv3d.session import D2Session
from rotoscope.models.d2conv3d.training import TrainingOptions, training_step
from rotoscope.ops.deform_layers import D2CONV3D, DeformableConv3d, Deformation
from rotoscope.ops.lovasz import lovasz_hinge
from rotoscope.training.doubtful_gradients import replace_in
from rotoscope.types import Frame, VideoInfo
from tests import golden
from tests.processor import BFLOAT16


def small(deformation=None, seed=0):
    """A shallow encoder and a narrow decoder."""
    torch.manual_seed(seed)
    network = D2Network(CSN((1, 1, 1, 1), guidance=False, norm=FrozenBatchNorm3d), Decoder(CSN.channels, 16))
    if deformation is not None:
        DeformableConv3d.replace_in(network.decoder, REPLACED, deformation)
    return network


def test_with_sizes_and_modulation_of_one_the_method_is_the_baseline():
    baseline = small().double().eval()
    method = small(Deformation(D2CONV3D, modulation="linear")).double().eval()
    deformed = [layer for layer in method.modules() if isinstance(layer, DeformableConv3d)]
    assert len(deformed) == 10
    state = method.state_dict()
    for key, value in baseline.state_dict().items():
        own = key if key in state else ".".join([*key.split(".")[:-1], "deform_conv", key.split(".")[-1]])
        state[own].copy_(value)
    for layer in deformed:
        with torch.no_grad():
            layer.deform_params.weight.zero_()
            layer.deform_params.bias.zero_()[3:] = 1  # elu(0) + 1 = 1; the modulation is taken as it is
    clip = torch.rand(1, 3, 4, 65, 97, dtype=torch.float64)
    with torch.no_grad():
        found, expected = (module.decoder(module.encoder(clip)) for module in (method, baseline))
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
        for layer in deformed:
            layer.deform_params.bias[:3] = 0.3
        assert not torch.allclose(method.decoder(method.encoder(clip)), expected, atol=1e-3)


def test_a_plain_start_gives_the_reference_share_of_outside_samples():
    seen = look(small(Deformation()).eval(), torch.rand(1, 3, 4, 64, 64))
    assert set(seen) == {f"decoder.{name}.{part}.0" for name in REPLACED for part in PARTS}
    one = seen["decoder.refine3.skip.0"]  # (1, 4, 4) places: every kernel point off the middle frame is outside
    assert one.percent_outside == one.percent_without_contribution
    assert one.percent_outside == pytest.approx(100 * (1 - (1 / 3) * (10 / 12) ** 2))
    assert one.modulation.shape == (1, 27, 1, 4, 4)
    assert torch.equal(one.sizes, torch.ones(1, 3, 1, 4, 4))


PARTS = ("skip", "skip1", "skip2", "merge1", "merge2")


@pytest.mark.parametrize("version", [None, Deformation()])
@pytest.mark.parametrize("amp", [None, BFLOAT16])
def test_training_lowers_the_loss_and_leaves_the_encoder_norms(version, amp):
    network, chosen = small(version), trainable("d2conv3d")
    options = chosen.options()
    replace_in(network)  # as the trainer does
    chosen.begin(network, options)
    chosen.mode(network, options)
    norms = {key: value.clone() for key, value in network.state_dict().items() if ".bn1." in key}
    masks = torch.zeros(2, 1, 4, 32, 40)
    masks[:, :, :, 8:20, 10:30] = 7
    batch = ClipBatch(0.2 + 0.6 * (masks > 0).float().expand(-1, 3, -1, -1, -1), masks)
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(8):
        result = chosen.step(network, batch, options, amp)
        optimiser.zero_grad()
        result.loss.backward()
        optimiser.step()
        losses.append(float(result.loss.detach()))
        assert 0 <= float(result.score) <= 1
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(network.state_dict()[key], value) for key, value in norms.items())
    if version is not None:
        assert all(p.abs().sum() > 0 for name, p in network.named_parameters() if "deform_params.weight" in name)


def test_what_does_not_count_has_no_loss():
    network = small().eval()
    clip = torch.rand(1, 3, 2, 33, 35)
    void = torch.full((1, 1, 2, 33, 35), 255)
    result = training_step(network, ClipBatch(clip, void), TrainingOptions(1, 1))
    assert result.loss.detach() < 1e-6
    assert float(result.score) == 1


def test_loss_options():
    network = small().eval()
    batch = ClipBatch(torch.rand(1, 3, 2, 33, 35), (torch.rand(1, 1, 2, 33, 35) > 0.5).float())
    with torch.no_grad():
        one, other, both = (
            training_step(network, batch, TrainingOptions(*weights)).loss for weights in ((1, 0), (0, 1), (2, 3))
        )
    torch.testing.assert_close(both, 2 * one + 3 * other)
    with pytest.raises(OptionError, match="not both 0"):
        TrainingOptions(0, 0)


def plain_lovasz(scores, truth):
    """The definition, clip by clip."""
    total = 0.0
    for s, y in zip(scores.flatten(1), truth.flatten(1), strict=True):
        errors = 1 - s * (2 * y - 1)
        last, loss, inside, outside = 0.0, 0.0, 0.0, 0.0
        for place in errors.argsort(descending=True).tolist():
            inside, outside = inside + float(y[place]), outside + 1 - float(y[place])
            jaccard = 1 - (float(y.sum()) - inside) / (float(y.sum()) + outside)
            loss += max(0.0, float(errors[place])) * (jaccard - last)
            last = jaccard
        total += loss
    return total / len(scores)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_lovasz_hinge_is_its_definition(share):
    generator = torch.Generator().manual_seed(int(10 * share))
    scores = torch.randn(3, 2, 4, 5, generator=generator, dtype=torch.float64)
    truth = (torch.rand(3, 2, 4, 5, generator=generator, dtype=torch.float64) < share).double()
    assert float(lovasz_hinge(scores, truth)) == pytest.approx(plain_lovasz(scores, truth))
    assert float(lovasz_hinge(9 * (2 * truth - 1), truth)) == 0
    assert float(clip_iou(2 * truth - 1, truth)) == 1
    assert float(clip_iou(1 - 2 * truth, truth)) == 0


def test_float32_follows_long_clips():
    count, foreground = 2_000_000, 1000
    truth = torch.arange(count)[None] < foreground
    scores = torch.linspace(0.9, -0.9, count)[None]
    scores[:, :foreground] = 0.95  # found: its errors are the least
    scores.requires_grad_()
    lovasz_hinge(scores, truth).backward()
    place = torch.arange(count - foreground, dtype=torch.float64)  # of the background in the order of its errors
    steps = foreground / (foreground + place) / (foreground + place + 1)
    torch.testing.assert_close(scores.grad[0, foreground:].double(), steps, rtol=1e-4, atol=0)


class Bright(torch.nn.Module):
    """Logit 4 where a pixel is bright, -1 elsewhere."""

    def forward(self, clip):
        return torch.where(clip[:, :1] > 128, 4.0, -1.0)


def run(size, frames, **options):
    session = D2Session(Bright(), VideoInfo("v", size[1], size[0]), GapOptions(**options), torch.device("cpu"))
    results = []
    for index, image in enumerate(frames):
        results += session.step(Frame(index, index / 25, image))
    return results + session.finish()


@pytest.mark.parametrize("size", [(32, 64), (45, 51), (1, 7)])
@pytest.mark.parametrize("options", [{}, {"gap": 1}, {"gap": 20}, {"clip": 4, "overlap": 1}, {"parallel": 2}])
def test_masks_lie_where_the_object_is_whatever_the_padding(size, options):
    frames = [np.zeros((*size, 3), np.uint8) for _ in range(11)]
    for index, frame in enumerate(frames):
        frame[0, index % size[1]] = 255
    for index, result in enumerate(run(size, frames, **options)):
        assert result.index == index
        found = decode(result.objects[0].mask)
        assert found.sum() == 1
        assert found[0, index % size[1]]
        assert result.objects[0].score == pytest.approx(1 / (1 + np.exp(-4)))


def test_logits_are_averaged_not_probabilities():
    class Turns(torch.nn.Module):
        calls = 0

        def forward(self, clip):
            self.calls += 1
            return torch.full_like(clip[:, :1], 9.0 if self.calls == 1 else -2.0, dtype=torch.float32)

    session = D2Session(Turns(), VideoInfo("v", 32, 32), GapOptions(clip=2, gap=1, soft=True), torch.device("cpu"))
    results = [r for i in range(3) for r in session.step(Frame(i, i / 25, np.zeros((32, 32, 3), np.uint8)))]
    assert results[1].soft[0, 0] == round(255 / (1 + np.exp(-3.5)))  # the mean of 9 and -2; of probabilities it is 143
    assert decode(results[1].objects[0].mask).all()


def test_gap_is_the_authors_word_for_the_stride():
    assert GapOptions().shared == 3
    assert GapOptions(gap=5).shared == 3
    assert GapOptions(gap=1).shared == 7
    assert GapOptions(gap=20).shared == 0
    assert GapOptions(dense=True).shared == 7
    with pytest.raises(OptionError, match="gap 0"):
        GapOptions(gap=0)


def test_the_end_is_filled_with_the_last_frame_and_final_frames_stay_final():
    for count in range(1, 20):
        windows, final = ClipWindows(6, 2, fill="last"), 0
        for _ in range(count):
            windows.push()
            final = windows.final_before
        for clip in windows.finish():
            assert len(clip) == 6
            assert clip == sorted(clip)
            assert clip[-1] == count - 1
            assert min(clip) >= final


@pytest.mark.parametrize("name", golden.manifest("d2conv3d")["networks"])
def test_identify(name):
    keys = golden.manifest("d2conv3d")["networks"][name]["keys"]
    found = identify({key: torch.empty(shape, device="meta") for key, shape in keys.items()})
    same = {
        **dict.fromkeys(("xyz_linear", "xyz_relu", "xyz_relu_plus_one"), "xyz"),
        "baseline_group32_halfpixel": "baseline",
    }
    assert found == same.get(name, name)


def test_other_checkpoints_are_none_of_ours():
    assert identify({"decoders.0.RF4.convFS1.weight": torch.zeros(1)}) is None
    assert system("3dc-seg").identify({"model.decoder.rf3.convFS1.0.weight": torch.zeros(1)}) is None
    keys = golden.manifest("d2conv3d")["networks"]["xyz"]["keys"]
    state = {key: torch.empty(shape, device="meta") for key, shape in keys.items() if ".rf3." not in key}
    state["model.decoder.rf3.convFS1.0.weight"] = torch.empty(256, device="meta")
    with pytest.raises(WeightsError, match="no known network"):
        identify(state)


@pytest.mark.parametrize("dtype", [torch.float32, BFLOAT16])
def test_a_prepared_network_gives_the_same(dtype):
    network = small(Deformation()).eval()
    for layer in network.modules():
        if isinstance(layer, DeformableConv3d):
            torch.nn.init.normal_(layer.deform_params.weight, 0, 0.02)
    clip = (255 * torch.rand(1, 3, 4, 64, 64)).to(torch.uint8)
    with torch.inference_mode():
        expected = network(clip)
        found = prepare(network, torch.device("cpu"), dtype)(clip)
    assert found.dtype == torch.float32
    limit = 1e-4 if dtype == torch.float32 else 0.1
    assert (found - expected).abs().max() < limit * expected.abs().max()
