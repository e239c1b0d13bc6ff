"""Training: which objects, the loss, gradients through memory, frozen norms, and that it learns."""

import numpy as np
import pytest
import torch
from torch import nn

from rotoscope.data.clips import ClipBatch
from rotoscope.data.synthetic import moving_disc_clip
from rotoscope.errors import OptionError
from rotoscope.models import trainable
from rotoscope.models.memory.losses import LossOptions, objects_iou, objects_loss
from rotoscope.models.memory.options import MemoryOptions
from rotoscope.models.memory.tracker import Tracker
from rotoscope.models.memory.training import TrainingOptions, chosen_labels
from rotoscope.models.stm.network import STM
from rotoscope.models.stm.training import training_step

TRAINABLE = trainable("stm")


def small(seed=0):
    torch.manual_seed(seed)
    return STM((1, 1, 1), width=8, key=8, value=16, decoder=16)


def batch(count=2, size=(32, 48), length=3):
    clips, labels = [], []
    for seed in range(count):
        frames, masks = moving_disc_clip(length, size, seed)
        clips.append(np.stack([frame.image for frame in frames]))
        labels.append(np.stack(masks))
    pixels = torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3).float() / 255
    return ClipBatch(pixels, torch.from_numpy(np.stack(labels)).to(torch.uint8)[:, None])


def test_objects_are_numbered_by_size_and_the_rest_is_background():
    labels = torch.zeros(3, 2, 8, 8, dtype=torch.uint8)
    labels[0, :, :4] = 9
    labels[0, :, 4, :6] = 3
    labels[0, :, 5, :5] = 200
    labels[0, :, 6, 0] = 4
    labels[0, :, 7] = 255
    labels[0, 1, 0, 0] = 77  # appears on the second frame only
    labels[1, :, 0, :3] = 6  # too small, but there is nothing else
    found, counts = chosen_labels(labels, TrainingOptions(objects=2, least_pixels=5))
    assert counts == [2, 1, 1]
    assert [int((found[0, 0] == place).sum()) for place in range(4)] == [64 - 38, 32, 6, 0]
    assert found[0, 1, 0, 0] == 0
    assert int((found[1] == 1).sum()) == 6
    assert not found[2].any()


def test_the_loss_is_the_mean_over_pixels_and_the_sum_over_frames():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 5, 6).double(), torch.randint(0, 4, (2, 3, 5, 6))
    plain = -logits.log_softmax(dim=2).gather(2, target[:, :, None])[:, :, 0]
    torch.testing.assert_close(objects_loss(logits, target), plain.mean(dim=(0, 2, 3)).sum())
    worst = plain.flatten(2).sort(dim=2, descending=True).values[:, :, :15].mean(dim=2).sum(dim=1).mean()
    torch.testing.assert_close(objects_loss(logits, target, LossOptions(0.5)), worst)


def test_the_share_of_the_worst_pixels_shrinks_with_the_steps():
    options = TrainingOptions(bootstrap=0.15, bootstrap_steps=(20, 70))
    shares = {step: TRAINABLE.at(options, step).bootstrap for step in (0, 20, 45, 69, 70, 10_000)}
    wanted = {0: 1.0, 20: 1.0, 45: 0.575, 69: 0.167, 70: 0.15, 10_000: 0.15}
    assert shares == pytest.approx(wanted)
    assert TRAINABLE.at(TrainingOptions(bootstrap=0.4), 0).bootstrap == pytest.approx(0.4)
    steep = TrainingOptions(bootstrap=0.4, bootstrap_steps=(5, 5))
    assert [TRAINABLE.at(steep, step).bootstrap for step in (4, 5)] == pytest.approx([1.0, 0.4])
    found = TRAINABLE.at(steep, 9)
    assert (found.objects, found.batch_norm) == (steep.objects, steep.batch_norm)


def test_iou():
    target = torch.tensor([[[[0, 1, 1, 2]]]])
    logits = torch.nn.functional.one_hot(torch.tensor([[[[0, 1, 0, 2]]]]), 4).permute(0, 1, 4, 2, 3).float()
    assert float(objects_iou(logits, target)) == pytest.approx((0.5 + 1 + 1) / 3)


@torch.no_grad()
def test_a_clip_in_training_is_what_inference_does_with_every_frame_in_memory():
    network, given = small().eval(), batch(1, length=4)
    masks = (given.masks[:, 0, :1] == 1).float()  # (1, 1, H, W)
    logits = network(given.clips, masks, [1])[0]
    tracker = Tracker(network, (32, 48), MemoryOptions(memory_every=1))
    for index in range(4):
        found = tracker.step(given.clips[0, :, index], {1: masks[0, 0]} if index == 0 else {})
        if index:
            torch.testing.assert_close(logits[index - 1].softmax(0), found.softmax(0), rtol=1e-4, atol=1e-5)


def test_memory_gets_gradients_and_norms_none():
    network, options = small(), TrainingOptions(least_pixels=0)
    TRAINABLE.begin(network, options)
    TRAINABLE.mode(network, options)
    before = {key: value.clone() for key, value in network.state_dict().items() if "running" in key}
    result = TRAINABLE.step(network, batch(), options, None)
    result.loss.backward()
    assert 0 <= float(result.score) <= 1
    for name, parameter in network.named_parameters():
        is_norm = ".bn" in name or "downsample.1" in name
        assert (parameter.grad is None) == is_norm, name
    assert network.memory_encoder.conv1.weight.grad[:, 3].abs().sum() > 0
    assert network.memory_head.key.weight.grad.abs().sum() > 0
    assert all(torch.equal(network.state_dict()[key], value) for key, value in before.items())
    trained = TrainingOptions(batch_norm="trained")
    other = small()
    TRAINABLE.begin(other, trained)
    TRAINABLE.mode(other, trained)
    assert all(layer.training for layer in other.modules() if isinstance(layer, nn.BatchNorm2d))
    assert all(parameter.requires_grad for parameter in other.parameters())


def test_clips_with_different_numbers_of_objects_and_odd_sizes():
    network, given = small(), batch(2, size=(33, 47))
    given.masks[1, 0, :, :6, :6] = 8
    result = training_step(network, given, TrainingOptions(least_pixels=0))
    alone = [
        training_step(
            network, ClipBatch(given.clips[i : i + 1], given.masks[i : i + 1]), TrainingOptions(least_pixels=0)
        )
        for i in range(2)
    ]
    assert result.loss.isfinite()
    torch.testing.assert_close(result.loss, (alone[0].loss + alone[1].loss) / 2, rtol=1e-3, atol=1e-3)


def test_it_learns_a_clip():
    network, options, given = small(), TrainingOptions(least_pixels=0), batch(1, size=(48, 48))
    TRAINABLE.begin(network, options)
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-3)
    found = []
    for _ in range(40):
        TRAINABLE.mode(network, options)
        optimiser.zero_grad()
        result = training_step(network, given, options)
        result.loss.backward()
        optimiser.step()
        found.append((float(result.loss.detach()), float(result.score)))
    assert found[-1][0] < 0.3 * found[0][0]
    assert found[-1][1] > 0.8


def test_values_out_of_range_and_single_frames_are_refused():
    for wrong in (
        {"objects": 0},
        {"least_pixels": -1},
        {"batch_norm": "some"},
        {"bootstrap": 0.0},
        {"bootstrap": 1.1},
        {"bootstrap_steps": (5, 4)},
    ):
        with pytest.raises(OptionError):
            TrainingOptions(**wrong)
    with pytest.raises(OptionError, match="2 frames or more"):
        training_step(small(), batch(1, length=1), TrainingOptions())
