"""What every system promises, on every bundled model and on small random networks of every system."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

import rotoscope
from rotoscope.backbones.csn import CSN, FrozenBatchNorm3d
from rotoscope.backbones.resnet import ResNet
from rotoscope.data.synthetic import moving_disc_clip
from rotoscope.errors import OptionError, RotoscopeError, VideoError
from rotoscope.inference.checkpoint import Card
from rotoscope.inference.loading import bundled
from rotoscope.inference.model import Model
from rotoscope.inference.prepare import prepare
from rotoscope.masks.run_length import decode
from rotoscope.models import SYSTEM_NAMES, system
from rotoscope.models.d2conv3d.network import REPLACED, D2Network, Decoder
from rotoscope.models.dmn_aoa.network import DMNAOA
from rotoscope.models.propose_reduce.network import SeqMaskRCNN
from rotoscope.models.propose_reduce.propagation import PropagationWidths
from rotoscope.models.stem_seg.network import YOUTUBE_VIS
from rotoscope.models.stm.network import STM
from rotoscope.models.visolo.network import VISOLO, Widths
from rotoscope.ops.deform_layers import D2CONV3D, DeformableConv3d, Deformation
from rotoscope.types import Frame, Prompt, VideoInfo
from tests.models.stem_seg.small import small as small_stem_seg_of

MODELS = sorted(bundled())


def small_d2conv3d():
    network = D2Network(CSN((1, 1, 1, 1), guidance=False, norm=FrozenBatchNorm3d), Decoder(CSN.channels, 8))
    DeformableConv3d.replace_in(network.decoder, REPLACED, Deformation(D2CONV3D))
    return network


def small_stem_seg():
    """One that takes about half of the places for good centres of instances."""
    network = small_stem_seg_of(YOUTUBE_VIS)
    for layer in (network.embedding.seediness, network.semantic.predict):
        layer.weight.data *= 20
    return network


def small_propose_reduce():
    body = ResNet((1, 1, 1, 1), width=8)
    return SeqMaskRCNN(body, 3, 16, 32, 16, PropagationWidths(16, 16, 8, 16, 16))


SMALL = {
    "d2conv3d": small_d2conv3d,
    "stm": lambda: STM((1, 1, 1), width=8, key=8, value=16, decoder=8),
    "visolo": lambda: VISOLO(40, (1, 1, 1), width=8, widths=Widths(32, 32, 32, 32)),
    "dmn-aoa": lambda: DMNAOA((1, 1, 1), width=8, key=8, value=16, decoder=8, tokens=16),
    "stem-seg": small_stem_seg,
    "propose-reduce": small_propose_reduce,
}


@pytest.fixture(scope="module", params=[*MODELS, *SMALL])
def model(request):
    if request.param not in SMALL:
        return rotoscope.load(request.param, device="cpu", precision="fp32")
    torch.manual_seed(0)
    cpu, chosen = torch.device("cpu"), system(request.param)
    network = prepare(SMALL[request.param](), cpu, torch.float32)
    return Model(Card("small", request.param, "small"), chosen, network, chosen.options(size="64"), cpu, torch.float32)


def test_every_system_is_tried():
    assert {bundled()[name]["system"] for name in MODELS} | set(SMALL) == set(SYSTEM_NAMES)


def images(count, size=(48, 64), seed=0):
    return [frame.image for frame in moving_disc_clip(count, size, seed)[0]]


def test_pictures_may_lie_anyhow_in_memory(model):
    pictures = images(3)
    turned = [np.ascontiguousarray(image[::-1, :, ::-1])[::-1, :, ::-1] for image in pictures]
    assert min(turned[0].strides) < 0
    assert [result.objects for result in through(model, turned)[0]] == [
        result.objects for result in through(model, pictures)[0]
    ]


def prompts_for(model, size):
    if model.declaration.prompts == "none":
        return ()
    mask = np.zeros(size, bool)
    mask[size[0] // 4 : -(size[0] // 4) or None, size[1] // 4 : -(size[1] // 4) or None] = True
    return (Prompt(0, {1: mask}),)


def through(model, pictures, name="clip"):
    size = pictures[0].shape[:2]
    results, waits = [], []
    with model.session(VideoInfo(name, size[1], size[0]), prompts_for(model, size)) as session:
        for index, image in enumerate(pictures):
            answered = session.step(Frame(index, index / 25, image))
            waits += [index - result.index for result in answered]
            results += answered
        results += session.finish()
    return results, waits


@pytest.mark.parametrize("size", [(48, 64), (33, 47), (1, 1), (7, 10)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("count", [1, 2, 9])
def test_every_frame_is_answered_once_in_order(model, size, count):
    pictures = images(count, size) if min(size) >= 32 else [np.full((*size, 3), 90, np.uint8)] * count
    results, waits = through(model, pictures)
    assert [result.index for result in results] == list(range(count))
    assert [result.timestamp for result in results] == [index / 25 for index in range(count)]
    look_ahead = model.declaration.look_ahead
    if look_ahead is not None:
        assert all(wait <= look_ahead for wait in waits)
    for result in results:
        assert result.size == size
        for item in result.objects:
            assert item.track_id >= 1
            assert 0 <= item.score <= 1
            assert item.mask.size == size
            assert decode(item.mask).any()


def test_same_input_same_output(model):
    pictures = images(10)
    first, second = through(model, pictures)[0], through(model, pictures)[0]
    assert [result.objects for result in first] == [result.objects for result in second]


def test_the_look_ahead_is_not_exceeded_on_a_long_video(model):
    look_ahead = model.declaration.look_ahead
    if look_ahead is None:
        pytest.skip("needs the whole video")
    waiting, most = 0, 0
    info = VideoInfo("long", 64, 48)
    with model.session(info, prompts_for(model, (48, 64))) as session:
        for index, image in enumerate(images(30)):
            waiting += 1 - len(session.step(Frame(index, index / 25, image)))
            most = max(most, waiting)
        session.finish()
    assert most <= look_ahead + 1
    assert most <= model.declaration.frames_held


def test_weights_survive_a_round_trip(model, tmp_path):
    from rotoscope.inference.checkpoint import read_weights, save_weights
    from rotoscope.inference.loading import WEIGHTS

    if model.name not in MODELS:
        pytest.skip("no weights in the package; tests of the system itself do this")
    state, card = read_weights(WEIGHTS / f"{model.name}.safetensors")
    written = save_weights(tmp_path / "copy.safetensors", state, Card(**{**asdict(card), "sha256": ""}))
    assert written == card
    copy = rotoscope.load(tmp_path / "copy.safetensors", device="cpu", precision="fp32")
    pictures = images(3)
    assert [r.objects for r in through(copy, pictures)[0]] == [r.objects for r in through(model, pictures)[0]]


def test_segment_equals_the_session(model):
    pictures = images(9)
    whole = model.segment(pictures, prompts_for(model, (48, 64)))
    assert len(whole) == 9
    for result, alone in zip(whole.results(), through(model, pictures)[0], strict=True):
        assert [item.mask for item in result.objects] == [item.mask for item in alone.objects]


def test_a_session_refuses_another_size(model):
    with model.session(VideoInfo("clip", 64, 48), prompts_for(model, (48, 64))) as session:
        session.step(Frame(0, 0.0, images(1)[0]))
        with pytest.raises(RotoscopeError, match="65x48"):
            session.step(Frame(1, 0.04, np.zeros((48, 65, 3), np.uint8)))


def test_prompts_are_refused_where_they_mean_nothing(model):
    if model.declaration.prompts != "none":
        pytest.skip("takes prompts")
    with pytest.raises(OptionError, match="takes no prompts"):
        model.session(VideoInfo("clip", 64, 48), [Prompt(0, {1: np.ones((48, 64), bool)})])


def test_prompts_are_asked_for_where_nothing_can_be_done_without(model):
    if model.declaration.prompts == "none":
        pytest.skip("takes no prompts")
    with pytest.raises(OptionError, match="give"):
        model.segment(images(1))


def test_unknown_options_are_named(model):
    with pytest.raises(OptionError, match="no option 'colour'"):
        model.segment(images(1), colour="red")


def test_an_empty_video_is_an_error(model):
    with pytest.raises(VideoError):
        model.segment([], prompts_for(model, (48, 64)))


def test_the_network_is_not_changed_by_running(model):
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    through(model, images(9))
    for key, value in model.network.state_dict().items():
        assert torch.equal(before[key], value), key
