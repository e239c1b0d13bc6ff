"""Training Propose-Reduce: pairs of frames, what is true of them, what learns, and the small network."""

import numpy as np
import pytest
import torch

from rotoscope.backbones.mobilenet2 import MobileNet2
from rotoscope.data.batches import made
from rotoscope.data.clips import CategorisedDraft, ClipBatch, FramesDraft
from rotoscope.data.fitted import FittedFrames
from rotoscope.data.pairs import paired_indices, references_of
from rotoscope.errors import OptionError
from rotoscope.models.propose_reduce.mobile import MobileSeqMaskRCNN
from rotoscope.models.propose_reduce.training import TRAINABLE, TrainingOptions, objects_of, pair_of, training_step
from rotoscope.ops.memory_read import memory_read
from tests.models.propose_reduce.given import CASES
from tests.models.propose_reduce.small import plain


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("case", CASES["training_pairs"]["cases"], ids=["one class", "two classes", "nothing shared"])
def test_references_of_frames(case):
    frames = [dict(frame) for frame in case["frames"]]
    for current, expected in case["allowed"].items():
        assert references_of(frames, int(current)) == expected
    alone = [int(current) for current, expected in case["allowed"].items() if not expected]
    for current in alone:
        assert paired_indices(frames, current, 100, rng()) == [current, current]


def test_references_lie_within_reach():
    drawn = {paired_indices([None] * 20, 10, 3, np.random.default_rng(seed))[0] for seed in range(60)}
    assert drawn == {7, 8, 9, 11, 12, 13}
    frames = [{1: 1}, {2: 1}, {1: 1}, {1: 1}]
    assert {paired_indices(frames, 3, 2, np.random.default_rng(seed))[0] for seed in range(20)} == {2}


def labels():
    found = torch.zeros(2, 40, 70, dtype=torch.uint8)
    found[0, 5:20, 10:30] = 1
    found[1, 8:23, 12:32] = 1
    found[1, 30:36, 50:60] = 2  # not in the reference
    found[0, 25:35, 40:50] = 3  # not in the frame
    found[1, 0:3] = 255
    return found


def test_what_is_true_of_a_pair():
    table = torch.zeros(256, dtype=torch.int64)
    table[1], table[2], table[3] = 4, 2, 1
    found = pair_of(objects_of(labels()), table, 5, 5, (64, 96), rng())
    assert found.current.boxes.tolist() == [[12, 8, 31, 22], [50, 30, 59, 35]]
    assert found.current.labels.tolist() == [3, 1]
    assert found.current.size == (40, 70)
    assert found.current.masks.shape == (2, 64, 96)
    assert found.boxes.tolist() == [[10, 5, 29, 19]]
    assert found.labels.tolist() == [3]
    assert torch.equal(found.masks[0, :40, :70], labels()[1] == 1)
    with pytest.raises(OptionError, match="category 4, the network has 3"):
        pair_of(objects_of(labels()), table, 3, 5, (64, 96), rng())
    none = pair_of(objects_of(torch.zeros(2, 40, 70)), None, 5, 5, (64, 96), rng())
    assert len(none.boxes) == len(none.current.boxes) == 0


def test_no_more_objects_are_followed_than_asked_for():
    many = torch.zeros(2, 32, 64)
    for place in range(8):
        many[:, 4:28, 8 * place : 8 * place + 6] = place + 1
    found = pair_of(objects_of(many), None, 1, 5, (32, 64), rng())
    assert len(found.current.boxes) == 8
    assert len(found.boxes) == len(found.masks) == 5


def batch_of(*pairs):
    clips = torch.rand(len(pairs), 3, 2, 40, 70)
    return ClipBatch(clips, torch.stack(pairs)[:, None])


@pytest.mark.parametrize("mobile", [False, True], ids=["resnet", "mobilenet"])
def test_every_part_learns(mobile):
    torch.manual_seed(0)
    network = MobileSeqMaskRCNN(3) if mobile else plain(3)
    options = TrainingOptions()
    TRAINABLE.begin(network, options)
    TRAINABLE.mode(network, options)
    result = training_step(network, batch_of(labels(), torch.zeros(2, 40, 70)), options)
    assert 0 <= result.score <= 1
    result.loss.backward()
    for name, parameter in network.named_parameters():
        if name.startswith(network.frozen):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    memory = ("memory_value.2",) if mobile else ("memory.key", "memory.value")
    for part in ("place", *memory, "query.key", "query.value", "decoder.predict"):
        assert network.propagation.get_submodule(part).weight.grad.abs().sum() > 0, part


def test_cross_entropy_beside_the_soft_iou():
    torch.manual_seed(0)
    network = plain(3)
    network.propagation.decoder.predict.bias.data[:] = torch.tensor([-40.0, 40.0])  # the object is everywhere
    steps = []
    for weight in (0.0, 2.0):
        torch.manual_seed(1)  # the same samples
        steps.append(training_step(network, batch_of(labels()), TrainingOptions(cross_entropy=weight)))
    assert steps[0].score == steps[1].score
    assert steps[1].loss - steps[0].loss > 1
    with pytest.raises(OptionError, match="cross_entropy -1"):
        TrainingOptions(cross_entropy=-1)


def test_whole_frames_beside_cut_ones():
    """A batch of a portrait clip that keeps its objects and a clip of labels: what is no frame does not matter."""
    masks = [{3: np.pad(np.ones((20, 12), bool), ((4, 40), (3, 17)))}] * 2
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), dtype=np.uint8)
    whole = CategorisedDraft(FittedFrames((32, 64), flip=0.0).draft_of(frames, masks, rng()), {3: 1})
    cut = CategorisedDraft(FramesDraft(frames[:, :32], np.full((2, 32, 32), 7, np.uint8), (32, 64)), {7: 2})
    batch = made([whole, cut])
    assert batch.clips.shape[3:] == (64, 64)
    losses = []
    for beside in (0.0, 0.7):
        batch.clips[0, :, :, :, 32:] = beside
        network = plain(2)
        TRAINABLE.mode(network, TrainingOptions())
        torch.manual_seed(0)
        losses.append(training_step(network, batch, TrainingOptions()).loss.item())
    assert losses[0] == losses[1]
    assert np.isfinite(losses[0])


def test_a_batch_without_any_object():
    torch.manual_seed(0)
    network = plain(3)
    result = training_step(network, batch_of(torch.zeros(2, 40, 70)), TrainingOptions())
    result.loss.backward()
    assert result.loss.isfinite()


def test_steps_make_it_better():
    torch.manual_seed(0)
    network, options = plain(1), TrainingOptions()
    TRAINABLE.begin(network, options)
    TRAINABLE.mode(network, options)
    batch = batch_of(labels())
    batch.clips[0, :, 0][:, labels()[0] == 1] += 2
    batch.clips[0, :, 1][:, labels()[1] == 1] += 2
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-3)
    losses = []
    for _ in range(12):
        result = training_step(network, batch, options)
        optimiser.zero_grad()
        result.loss.backward()
        optimiser.step()
        losses.append(result.loss.item())
    assert min(losses[-3:]) < 0.8 * losses[0]


def test_clips_that_are_no_pairs():
    with pytest.raises(OptionError, match=r"clips.length is 3, not 2"):
        training_step(plain(), ClipBatch(torch.rand(1, 3, 3, 32, 32), torch.zeros(1, 1, 3, 32, 32)), TrainingOptions())
    with pytest.raises(OptionError, match="boxes 0: expected 1 or more"):
        TrainingOptions(boxes=0)


def test_the_small_network_carries_masks_by_likeness_from_the_start():
    """Two frames of noise that are the same: what is read of a memory ends in the mask that it was made of."""
    torch.manual_seed(0)
    network = MobileSeqMaskRCNN(3)
    mask = torch.zeros(1, 64, 96)
    mask[:, 16:48, 32:64] = 1
    with torch.inference_mode():
        maps = network.encode(torch.randint(256, (1, 3, 64, 96), dtype=torch.uint8))
        keys, values = network.propagation.memorise(maps.levels[0], mask)
        read = memory_read(maps.asked.key, keys[0], values[0])[:, -1]
    assert keys.shape == (1, 24, 44)
    assert values.shape == (1, 24, 97)
    true = mask[0, ::16, ::16].flatten()
    assert read[true == 1].min() > read[true == 0].max()


def test_the_small_network_is_small():
    with torch.device("meta"):
        network = MobileSeqMaskRCNN()
    assert sum(parameter.numel() for parameter in network.parameters()) <= 10e6


def test_the_small_network_starts_from_a_picture_network():
    network, other = MobileSeqMaskRCNN(3), MobileSeqMaskRCNN(3)
    body = network.detector.body
    assert isinstance(body, MobileNet2)
    frame = torch.randint(0, 256, (1, 3, 40, 70), dtype=torch.uint8)
    padded = network.normalised(frame)
    assert padded.shape == (1, 3, 64, 96)
    assert padded[..., 40:, :].unique().tolist() == [128]
    maps = network.encode(frame)
    assert maps.padded == (64, 96)
    assert [tuple(level.shape[2:]) for level in maps.levels] == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    other.load_state_dict(network.state_dict())
    assert torch.equal(other.encode(frame).levels[0], maps.levels[0])
