import numpy as np
import pytest
import torch

from rotoscope.backbones.placed_keys import placed_keys
from rotoscope.backbones.space_time_memory import other_objects
from rotoscope.models.stm.mobile import MobileSTM


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MobileSTM().eval()


def masks_of(*boxes):
    masks = torch.zeros(len(boxes), 64, 96)
    for mask, (top, left) in zip(masks, boxes, strict=True):
        mask[top : top + 32, left : left + 32] = 1
    return masks


def test_it_is_small(network):
    assert sum(p.numel() for p in network.parameters()) < 8_000_000


def test_without_masks_both_encoders_give_the_same_keys_at_the_start():
    torch.manual_seed(0)
    network = MobileSTM().eval()
    network.memory_encoder.load_state_dict(network.query_encoder.state_dict() | _stem_of(network), strict=True)
    frame, masks = torch.rand(1, 3, 64, 96), masks_of((0, 0), (32, 64))
    with torch.inference_mode():
        bare, _ = network.memorise(frame, torch.zeros_like(masks), torch.zeros_like(masks))
        torch.testing.assert_close(bare[0], network.query(frame).key)


def _stem_of(network):
    stem = network.memory_encoder.stem.weight.detach().clone()
    stem[:, :3] = network.query_encoder.stem.weight.detach()
    return {"stem.weight": stem}


def test_two_objects_are_segmented_at_once(network):
    frame, masks = torch.rand(1, 3, 64, 96), masks_of((0, 0), (32, 64))
    with torch.inference_mode():
        keys, values = network.memorise(frame, masks, other_objects(masks))
        query = network.query(frame)
        both = network.segment(query, list(zip(keys, values, strict=True)))
        alone = network.segment(query, [(keys[1], values[1])])
    assert both.shape == (2, 64, 96)
    torch.testing.assert_close(both[1:], alone)


def test_the_position_makes_near_things_count_more(network):
    with torch.inference_mode():
        key = placed_keys(torch.zeros(1, 64, 4, 6), network.sharpness, network.nearness)[0]  # nothing but the position
    affinity = key @ key.T
    assert (affinity.argmax(dim=1) == torch.arange(24)).all()


def test_a_value_ends_in_the_masks_it_was_made_of(network):
    masks = masks_of((0, 0), (32, 64))
    with torch.inference_mode():
        _, values = network.memorise(torch.rand(1, 3, 64, 96), masks, other_objects(masks))
    own, others = values[0, :, -2].view(4, 6), values[0, :, -1].view(4, 6)
    assert own[:2, :2].min() == 1
    assert own.sum() == 4
    assert others[2:, 4:].min() == 1
    assert others.sum() == 4


def test_both_encoders_start_from_picture_weights():
    torch.manual_seed(0)
    network = MobileSTM()
    masks = network.memory_encoder.stem.weight.detach()[:, 3:].clone()
    own = network.query_encoder.state_dict()
    arrays = {
        key.replace("head.", "aspp."): np.full(tuple(value.shape), 0.01, np.float32)
        for key, value in own.items()
        if not key.startswith("pixels.")
    }
    left = network.load_picture_weights({**arrays, "classifier.bias": np.zeros(21, np.float32)})
    assert left == ["classifier.bias"]
    assert (network.memory_encoder.stem.weight[:, :3] == 0.01).all()
    assert torch.equal(network.memory_encoder.stem.weight[:, 3:], masks)
    assert (network.query_encoder.blocks[3].project.weight == 0.01).all()
