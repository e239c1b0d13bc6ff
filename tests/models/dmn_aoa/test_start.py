"""Starting from STM: its checkpoint loads, and the network then does what STM does, to the bit."""

import numpy as np
import pytest
import torch

import rotoscope
from rotoscope.inference.checkpoint import save_weights
from rotoscope.inference.loading import convert, from_published, report_of
from rotoscope.models import SYSTEM_NAMES, system
from rotoscope.models.dmn_aoa.network import DMNAOA, MatchRule, Proposals
from rotoscope.models.dmn_aoa.options import AlignmentOptions
from rotoscope.models.dmn_aoa.tracker import MatchingTracker
from rotoscope.models.memory.options import MemoryOptions
from rotoscope.models.memory.tracker import Tracker
from rotoscope.models.stm.network import STM
from tests import golden

SHAPE = {"layers": (1, 1, 1), "width": 8, "key": 8, "value": 16, "decoder": 16}
SIZE = (40, 56)  # needs padding


def pair():
    torch.manual_seed(0)
    stm = STM(**SHAPE).eval()
    own = DMNAOA(**SHAPE, tokens=16).eval()
    missing, unexpected = own.load_state_dict(stm.state_dict(), strict=False)
    assert not unexpected
    assert {name.split(".")[0] for name in missing} == {"matcher", "coarse"}
    return stm, own


def some_proposals(count, size=(48, 64), seed=0):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(count, *size)
    boxes = torch.zeros(count, 4)
    for mask, box in zip(masks, boxes, strict=True):
        top, left = (int(torch.randint(0, side - 16, (), generator=generator)) for side in size)
        mask[top : top + 14, left : left + 12] = 0.9
        box[:] = torch.tensor([left, top, left + 12, top + 14])
    return Proposals(masks, boxes, torch.ones(count))


def given_masks():
    one, other = torch.zeros(SIZE), torch.zeros(SIZE)
    one[4:20, 4:24] = 1
    other[22:38, 30:50] = 1
    return {1: one, 4: other}


@pytest.mark.parametrize("count", [0, 6])
@pytest.mark.parametrize("options", [{}, {"align": "forward", "template": "first"}, {"solver": "dmm"}, {"best": 7}])
def test_it_first_does_what_stm_does_to_the_bit(count, options):
    stm, own = pair()
    best = {"best": options["best"]} if "best" in options else {}
    theirs = Tracker(stm, SIZE, MemoryOptions(memory_every=2, **best))
    ours = MatchingTracker(own, SIZE, AlignmentOptions(memory_every=2, **options))
    generator = torch.Generator().manual_seed(1)
    for index in range(6):
        frame = torch.rand(3, *SIZE, generator=generator)
        given = given_masks() if index == 0 else {}
        proposals = some_proposals(count, seed=index)
        assert torch.equal(theirs.step(frame, given), ours.step(frame, given, proposals)), index
    assert ours.last.scores.shape == (2, count)


@torch.no_grad()
def test_what_is_new_changes_the_result_once_it_is_trained():
    _, own = pair()
    torch.nn.init.normal_(own.coarse.conv4.weight)
    before, after = (MatchingTracker(own, SIZE, AlignmentOptions()) for _ in range(2))
    frames = torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    before.step(frames[0], given_masks())
    after.step(frames[0], given_masks())
    assert not torch.equal(before.step(frames[1], {}), after.step(frames[1], {}, some_proposals(6)))


@torch.no_grad()
def test_tokens_start_as_keys():
    own = DMNAOA(**SHAPE, tokens=16)
    tokens = torch.randn(5, 24)
    for layer in (own.matcher.template_proj, own.matcher.proposal_proj):
        found = own.matcher.project(tokens, layer)
        torch.testing.assert_close(found[:, :8], tokens[:, :8])
        assert float(found[:, 8:].abs().max()) < 0.5
    assert float(own.matcher.kappa) == pytest.approx(0.05)
    assert float(own.matcher.overlap_weight("ytvos")) == pytest.approx(0.3)
    own.matcher.log_kappa.fill_(9.0)
    assert float(own.matcher.kappa) == 1.0


def test_stms_checkpoint_is_stms_unless_this_system_is_asked_for(tmp_path):
    state = {key: torch.from_numpy(value) for key, value in golden.state("stm", "stm").items()}
    assert all(key.startswith("module.") for key in state)
    torch.save(state, tmp_path / "STM_weights.pth")
    assert SYSTEM_NAMES.index("stm") < SYSTEM_NAMES.index("dmn-aoa")
    assert rotoscope.load(tmp_path / "STM_weights.pth", device="cpu").system.name == "stm"
    own, card, report = convert(tmp_path / "STM_weights.pth", "dmn-aoa")
    assert (card.system, card.network) == ("dmn-aoa", "dmn-aoa")
    assert report.complete
    assert not report.unexpected
    save_weights(tmp_path / "dmn-aoa.safetensors", own, card)
    model = rotoscope.load(tmp_path / "dmn-aoa.safetensors", device="cpu")
    assert model.system.name == "dmn-aoa"
    stem = model.network.memory_encoder.conv1.weight
    assert stem.shape[1] == 5


def test_keys_go_both_ways_and_say_whose_they_are():
    keys = golden.manifest("dmn-aoa")["networks"]["dmn_aoa"]["keys"]
    state = {key: torch.empty(shape, device="meta") for key, shape in keys.items()}
    chosen = system("dmn-aoa")
    assert chosen.identify(state) == "dmn-aoa"
    assert system("stm").identify(state) is None
    assert chosen.identify({key: value for key, value in state.items() if "Matcher" not in key}) == "dmn-aoa"
    assert chosen.identify(state | {"Other.weight": torch.empty(1)}) is None
    assert chosen.identify({}) is None
    with torch.device("meta"):
        own = [key for key in DMNAOA().state_dict() if not key.startswith("pixels.")]
    table = chosen.published("dmn-aoa").table
    stems = {f"Encoder_M.conv1{part}.weight" for part in ("_m", "_o")}
    constants = {f"Encoder_{encoder}.{name}" for encoder in "MQ" for name in ("mean", "std")}
    assert {table.theirs(key) for key in own if ".lambda" not in key and "kappa" not in key} == (
        set(keys) - stems - constants
    )
    assert all(table.ours(table.theirs(key)) == (True, key) for key in own)


def test_an_incomplete_checkpoint_of_this_system_is_told():
    state = golden.state("dmn-aoa", "dmn_aoa")
    del state["Matcher.template_proj.bias"]
    with pytest.warns(UserWarning, match=r"Matcher\.template_proj\.bias"):
        module = from_published("dmn-aoa", state)
    assert "Matcher.template_proj.bias" in report_of(module).missing
    nested = {"model": state, "step": 3, "config": {}}
    with pytest.warns(UserWarning, match="incomplete"):
        again = from_published("dmn-aoa", nested)
    assert np.array_equal(again.decoder.predict.bias.detach(), module.decoder.predict.bias.detach())


def test_a_rule_has_the_defaults_of_the_options():
    assert AlignmentOptions().rule == MatchRule()
