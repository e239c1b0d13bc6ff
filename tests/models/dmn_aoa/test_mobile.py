"""The small network: how small, that it begins as the small STM does, what it compares, and one step of training."""

import pytest
import torch

from rotoscope.backbones.space_time_memory import other_objects
from rotoscope.errors import WeightsError
from rotoscope.inference.checkpoint import Card, save_weights
from rotoscope.models.dmn_aoa.mobile import MobileDMNAOA
from rotoscope.models.dmn_aoa.network import DMNAOA, MatchRule
from rotoscope.models.dmn_aoa.options import AlignmentOptions
from rotoscope.models.dmn_aoa.tracker import MatchingTracker
from rotoscope.models.memory.options import MemoryOptions
from rotoscope.models.memory.tracker import Tracker
from rotoscope.models.stm.mobile import MobileSTM
from rotoscope.models.stm.network import STM
from rotoscope.training.start import start_from
from tests.models.dmn_aoa.test_start import SHAPE, SIZE, given_masks, some_proposals
from tests.models.dmn_aoa.test_training import batch, step


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(0)
    stm, own = MobileSTM().eval(), MobileDMNAOA().eval()
    own.load_state_dict(own.state_from("stm/mobile", stm.state_dict()))
    return stm, own


def saved(folder, network, name):
    save_weights(folder / "weights.safetensors", network.state_dict(), Card("start", "stm", name))
    return str(folder / "weights.safetensors")


def test_it_is_small(pair):
    assert sum(parameter.numel() for parameter in pair[1].parameters()) < 8_000_000


@pytest.mark.parametrize("count", [0, 5])
def test_it_first_does_what_the_small_stm_does_to_the_bit(pair, count):
    stm, own = pair
    theirs, ours = Tracker(stm, SIZE, MemoryOptions()), MatchingTracker(own, SIZE, AlignmentOptions())
    generator = torch.Generator().manual_seed(1)
    for index in range(4):
        frame = torch.rand(3, *SIZE, generator=generator)
        given = given_masks() if index == 0 else {}
        assert torch.equal(theirs.step(frame, given), ours.step(frame, given, some_proposals(count, seed=index)))
    assert ours.last.scores.shape == (2, count)


@torch.inference_mode()
def test_what_is_compared_leaves_out_the_position_and_the_masks(pair):
    _, own = pair
    frame = torch.rand(1, 3, 64, 96)
    masks = torch.zeros(1, 64, 96)
    masks[:, :32, :48] = 1
    keys, values, _, tokens, *_ = own.remember(frame, masks, other_objects(masks), MatchRule())
    assert (keys.shape[2], values.shape[2]) == (64 + 12, 128 + 2)
    assert tokens.shape == (1, 49, 64 + 128)
    plain = torch.cat([keys[:, :, :64], values[:, :, :128]], dim=2)
    assert tokens.min() >= plain.min() - 1e-4
    assert tokens.max() <= plain.max() + 1e-4


def test_it_starts_from_a_file_of_the_small_stm_and_of_no_other(tmp_path, pair):
    stm, _ = pair
    fresh = MobileDMNAOA()
    words = start_from(fresh, "dmn-aoa", "mobile", saved(tmp_path, stm, "mobile"), tmp_path)
    assert "turned into dmn-aoa/mobile" in words
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in stm.state_dict().items())
    assert not fresh.coarse.conv4.weight.any()
    large = STM(**SHAPE)
    path = saved(tmp_path, large, "stm")
    with pytest.raises(WeightsError, match="is of stm/stm, from which dmn-aoa/mobile cannot start"):
        start_from(fresh, "dmn-aoa", "mobile", path, tmp_path)
    own = DMNAOA(**SHAPE, tokens=16)
    start_from(own, "dmn-aoa", "dmn-aoa", path, tmp_path)
    assert all(torch.equal(value, own.state_dict()[name]) for name, value in large.state_dict().items())


@pytest.mark.parametrize("proposed", [False, True])
def test_one_step(proposed):
    torch.manual_seed(0)
    network = MobileDMNAOA()
    result = step(network, batch(1, size=(32, 48), length=3, proposed=proposed), encoders="frozen")
    torch.autograd.backward(result.loss)
    assert torch.isfinite(result.loss)
    assert network.coarse.conv4.weight.grad.any()
    assert network.memory_head.key.weight.grad.any()
    assert network.query_encoder.stem.weight.grad is None
    assert bool(network.matcher.template_proj.weight.grad.any()) == proposed
