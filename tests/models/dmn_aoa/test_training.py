"""Training: the three losses, gradients of every part, data sets' weights, frozen encoders, and that it learns."""

import numpy as np
import pytest
import torch

from rotoscope.data.clips import ClipBatch
from rotoscope.data.proposals import ClipProposals, FrameProposals
from rotoscope.data.synthetic import moving_disc_clip
from rotoscope.errors import OptionError
from rotoscope.models import trainable
from rotoscope.models.dmn_aoa.network import DMNAOA, Proposals
from rotoscope.models.dmn_aoa.options import AlignmentOptions
from rotoscope.models.dmn_aoa.tracker import MatchingTracker
from rotoscope.models.dmn_aoa.training import AlignmentTraining, training_step
from rotoscope.models.memory.losses import objects_loss
from rotoscope.models.memory.training import chosen_labels
from rotoscope.models.stm.network import STM
from rotoscope.ops.box_masks import tight_boxes

TRAINABLE = trainable("dmn-aoa")
SHAPE = {"layers": (1, 1, 1), "width": 8, "key": 8, "value": 16, "decoder": 16}


def small(seed=0):
    torch.manual_seed(seed)
    return DMNAOA(**SHAPE, tokens=16)


def proposals_of(masks):
    """The objects of each frame (T, H, W), a shifted copy of each, and one that is nothing."""
    frames = []
    for labels in masks:
        own = [(labels == number) for number in np.unique(labels) if number]
        found = [*own, *(np.roll(mask, 9, axis=1) for mask in own), np.zeros_like(labels, bool)]
        found[-1][2:12, 2:20] = True
        maps = np.stack(found).astype(np.uint8) * 230
        boxes = tight_boxes(torch.from_numpy(maps > 0))[0].numpy()
        frames.append(FrameProposals(maps, boxes, np.linspace(0.9, 0.5, len(maps)).astype(np.float32)))
    return ClipProposals(tuple(frames), "davis")


def batch(count=2, size=(32, 48), length=3, proposed=True):
    clips, labels = [], []
    for seed in range(count):
        frames, masks = moving_disc_clip(length, size, seed)
        clips.append(np.stack([frame.image for frame in frames]))
        labels.append(np.stack(masks))
    pixels = torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3).float() / 255
    maps = np.stack(labels).astype(np.uint8)
    found = tuple(proposals_of(masks) for masks in maps) if proposed else ()
    return ClipBatch(pixels, torch.from_numpy(maps)[:, None], proposals=found)


def step(network, given, **options):
    chosen = AlignmentTraining(least_pixels=0, **options)
    TRAINABLE.begin(network, chosen)
    TRAINABLE.mode(network, chosen)
    return TRAINABLE.step(network, given, chosen, None)


def test_every_part_gets_gradients():
    network = small()
    torch.nn.init.normal_(network.coarse.conv2.weight, std=0.1)
    result = step(network, batch())
    result.loss.backward()
    assert 0 <= float(result.score) <= 1
    for name, parameter in network.named_parameters():
        is_norm = ".bn" in name or "downsample.1" in name
        assert (parameter.grad is None) == is_norm, name
    for part in (network.matcher.template_proj, network.matcher.proposal_proj, network.coarse.conv4):
        assert float(part.weight.grad.abs().sum()) > 0
    assert float(network.matcher.log_kappa.grad.abs()) > 0
    shares = {name: float(share.grad.abs()) for name, share in network.matcher.lambda_logit.items()}
    assert shares["davis"] > 0
    assert shares["default"] == shares["ytvos"] == 0


def test_without_proposals_every_part_still_has_a_gradient():
    network = small()
    result = step(network, batch(proposed=False))
    result.loss.backward()
    assert all(p.grad is not None for p in network.matcher.parameters())
    assert float(network.coarse.conv4.weight.grad.abs().sum()) > 0


def test_frozen_encoders_have_none():
    network = small()
    step(network, batch(1), encoders="frozen").loss.backward()
    assert all(p.grad is None for p in network.query_encoder.parameters())
    assert network.query_head.key.weight.grad is not None


@torch.no_grad()
def test_the_loss_of_masks_is_stms_at_the_start():
    network, given = small().eval(), batch()
    stm = STM(**SHAPE).eval()
    stm.load_state_dict({key: value for key, value in network.state_dict().items() if key in stm.state_dict()})
    labels, counts = chosen_labels(given.masks[:, 0], AlignmentTraining(least_pixels=0))
    masks = torch.stack([labels[:, 0] == place for place in range(1, max(counts) + 1)], dim=1).float()
    theirs = objects_loss(stm(given.clips, masks, counts), labels[:, 1:])
    ours = training_step(network, given, AlignmentTraining(least_pixels=0, coarse=0.0, match=0.0)).loss
    torch.testing.assert_close(ours, theirs)
    more = [
        training_step(network, given, AlignmentTraining(least_pixels=0, coarse=a, match=b)).loss - ours
        for a, b in ((1.0, 0.0), (0.0, 1.0), (2.0, 3.0))
    ]
    assert all(float(one) > 0 for one in more)
    torch.testing.assert_close(more[2], 2 * more[0] + 3 * more[1], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_clip_in_training_is_what_inference_does_with_every_frame_in_memory():
    network, given = small().eval(), batch(1, length=4)
    torch.nn.init.normal_(network.coarse.conv4.weight, std=0.1)
    masks = (given.masks[:, 0, :1] == 1).float()
    none = [[Proposals.none((32, 48))] * 4]
    logits = network(given.clips, masks, [1], none)[0][0]
    tracker = MatchingTracker(network, (32, 48), AlignmentOptions(memory_every=1))
    for index in range(4):
        found = tracker.step(given.clips[0, :, index], {1: masks[0, 0]} if index == 0 else {})
        if index:
            torch.testing.assert_close(logits[index - 1].softmax(0), found.softmax(0), rtol=1e-4, atol=1e-5)


def test_clips_of_odd_sizes_and_different_numbers_of_objects():
    network, given = small(), batch(2, size=(33, 47))
    given.masks[1, 0, :, :6, :6] = 8
    both = step(network, given)
    alone = [
        step(
            network, ClipBatch(given.clips[i : i + 1], given.masks[i : i + 1], proposals=given.proposals[i : i + 1])
        ).loss
        for i in range(2)
    ]
    assert both.loss.isfinite()
    torch.testing.assert_close(both.loss, (alone[0] + alone[1]) / 2, rtol=1e-3, atol=1e-3)
    mixed = ClipBatch(given.clips, given.masks, proposals=(None, given.proposals[1]))
    assert step(network, mixed).loss.isfinite()


def test_it_learns():
    network, given = small(), batch(1)
    options = AlignmentTraining(least_pixels=0)
    TRAINABLE.begin(network, options)
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-3)
    found = []
    for _ in range(30):
        TRAINABLE.mode(network, options)
        optimiser.zero_grad()
        result = training_step(network, given, options)
        result.loss.backward()
        optimiser.step()
        found.append((float(result.loss.detach()), float(result.score)))
    assert found[-1][0] < 0.5 * found[0][0]
    assert found[-1][1] > 0.7


@pytest.mark.parametrize(
    "wrong",
    [{"coarse": -1.0}, {"match": -0.5}, {"align": "near"}, {"solver": "best"}, {"target": "any"}, {"encoders": "half"}],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(OptionError):
        AlignmentTraining(**wrong)


def test_single_frames_are_refused():
    with pytest.raises(OptionError, match="2 frames or more"):
        step(small(), batch(1, length=1, proposed=False))
