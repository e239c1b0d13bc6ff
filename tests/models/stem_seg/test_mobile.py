"""The mobile network: its size, its start, its maps."""

import numpy as np
import pytest
import torch

from rotoscope.errors import WeightsError
from rotoscope.inference.loading import on_meta, parameters_of
from rotoscope.inference.prepare import prepare
from rotoscope.masks.category_names import KINDS
from rotoscope.models.stem_seg.mobile import MobileStemSeg
from rotoscope.training.start import start_from
from tests.models.stem_seg.test_network import clip, equal
from tests.processor import needs_bfloat16


def tiny():
    torch.manual_seed(0)
    return MobileStemSeg(16, (16, 16, 16, 16)).eval()


def picture_weights(network):
    """Arrays as the public file has them, and one that has no place."""
    generator = np.random.default_rng(0)
    own = network.encoder.body.state_dict()
    arrays = {
        key: (generator.standard_normal(value.shape) / 30).astype(np.float32)
        for key, value in own.items()
        if not key.startswith("pixels.")
    }
    return {**arrays, "classifier.weight": np.zeros((2, 3), np.float32)}


def test_it_is_small():
    assert 1e6 < parameters_of(on_meta("stem-seg", "mobile")) <= 8e6


@torch.inference_mode()
def test_kinds_have_a_map_each():
    network = MobileStemSeg(16, (16, 16, 16, 16), categories=KINDS).eval()
    assert network(clip(4, 50, 70)).classes.shape[1] == 5  # and the background
    named = on_meta("stem-seg", "mobile_kinds")
    assert (named.categories, named.classes) == (("person", "vehicle", "animal", "thing"), 5)


@torch.inference_mode()
def test_maps():
    network = tiny()
    maps = network(clip(4, 50, 70))
    assert maps.embeddings.shape == (1, 4, 4, 16, 24)
    assert maps.raw_bandwidths.shape == (1, 2, 4, 16, 24)
    assert maps.seediness.shape == maps.foreground.shape == (1, 1, 4, 16, 24)
    assert maps.classes.shape == (1, 2, 4, 16, 24)
    assert (network.classes, network.categories, network.length, network.free) == (2, (), 8, 2)


@torch.inference_mode()
def test_frames_encoded_one_by_one_give_the_same_maps():
    network, frames = tiny(), clip(4)
    each = [network.features(frames[:, :, place]) for place in range(4)]
    assert equal(network.heads([torch.stack(maps, dim=2) for maps in zip(*each, strict=True)]), network(frames), 1e-4)


@torch.inference_mode()
def test_bytes_fractions_and_padding_agree():
    network = tiny()
    frames = clip(2, 40, 70)
    grey = torch.nn.functional.pad(frames, (0, 26, 0, 24), value=128)
    assert equal(network(frames), network(grey), 1e-4)
    assert equal(network(frames), network(frames.float() / 255), 1e-3)


@torch.inference_mode()
def test_preparing_for_inference_changes_nothing():
    network, frames = tiny(), clip(8)
    before = network(frames)
    assert equal(prepare(network, torch.device("cpu"), torch.float32)(frames), before, 1e-3)


@needs_bfloat16
@torch.inference_mode()
def test_bfloat16_stays_near_float32():
    network = tiny()
    frames = clip(8, 64, 96)
    exact = network(frames)
    rough = prepare(network, torch.device("cpu"), torch.bfloat16)(frames)
    assert rough.seediness.dtype == torch.bfloat16
    assert (rough.seediness.float() - exact.seediness).abs().max() < 0.05


def test_it_starts_from_public_picture_weights(tmp_path):
    network = tiny()
    arrays = picture_weights(network)
    np.savez(tmp_path / "mobilenetv2.npz", **arrays)
    heads = {key: value.clone() for key, value in network.embedding.state_dict().items()}
    line = start_from(network, "stem-seg", "mobile", "mobilenetv2.npz", tmp_path)
    assert "1 of its arrays have no place" in line
    for key, value in network.encoder.body.state_dict().items():
        if not key.startswith("pixels."):
            np.testing.assert_array_equal(value.numpy(), arrays[key])
    for key, value in network.embedding.state_dict().items():
        assert torch.equal(value, heads[key])
    del arrays["stem.weight"]
    with pytest.raises(WeightsError, match=r"stem\.weight"):
        network.load_picture_weights(arrays)
