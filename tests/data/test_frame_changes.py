import numpy as np
import pytest
import torch

from rotoscope.data.clips import Augmentation
from rotoscope.data.frame_changes import FrameChanges, changed

SIZE = (40, 60)


def test_no_change_is_the_identity():
    maps = FrameChanges(chance=0.0).draw(3, SIZE, np.random.default_rng(0))
    clip, labels = torch.rand(3, 3, *SIZE), torch.randint(0, 4, (3, *SIZE), dtype=torch.uint8)
    found, own = changed(clip, labels, maps)
    torch.testing.assert_close(found, clip, rtol=0, atol=1e-5)
    assert torch.equal(own, labels)


@pytest.mark.parametrize("seed", range(5))
def test_pixels_and_labels_move_together(seed):
    labels = torch.zeros(2, *SIZE, dtype=torch.uint8)
    labels[:, 10:30, 20:40] = 3
    clip = (labels == 3).float().expand(3, -1, -1, -1)
    maps = FrameChanges(chance=1.0).draw(2, SIZE, np.random.default_rng(seed))
    found, own = changed(clip, labels, maps)
    assert set(own.unique().tolist()) == {0, 3}
    assert ((found[0] > 0.5) != (own == 3)).float().mean() < 0.02  # edges only
    assert not torch.equal(own[0], own[1])  # each frame by itself


def test_a_turn_keeps_shapes_on_a_wide_frame():
    turned = FrameChanges(1.0, turn=30, shear=0, shift=0, scale=(1, 1)).draw(4, SIZE, np.random.default_rng(1))
    half = np.array([[SIZE[1] / 2], [SIZE[0] / 2]])
    for one in turned:
        pixels = one[:, :2] * half / half.T
        np.testing.assert_allclose(pixels @ pixels.T, np.eye(2), atol=1e-12)


def test_reaches_are_kept():
    maps = FrameChanges(1.0, turn=0, shear=0, shift=0.1, scale=(1, 1)).draw(50, SIZE, np.random.default_rng(2))
    pixels = maps[:, :, 2] * [SIZE[1] / 2, SIZE[0] / 2]
    assert np.abs(pixels).max() <= 0.1 * 40
    assert np.abs(pixels).max() > 3
    scaled = FrameChanges(1.0, turn=0, shear=0, shift=0, scale=(0.5, 2)).draw(50, SIZE, np.random.default_rng(3))
    assert scaled[:, 0, 0].min() >= 0.5
    assert scaled[:, 1, 1].max() <= 2


def test_a_window_carries_them():
    frames = np.random.default_rng(0).integers(0, 256, (3, *SIZE, 3), dtype=np.uint8)
    labels = np.ones((3, *SIZE), np.uint8)
    rest = {"zoom": (1, 1), "stretch": 0, "flip": 0, "reverse": 0, "tone": 0}
    plain = Augmentation(SIZE, **rest).draft(frames, labels, np.random.default_rng(0))
    shaken = Augmentation(SIZE, **rest, changes=FrameChanges(1.0)).draft(frames, labels, np.random.default_rng(0))
    assert plain.maps is None
    assert shaken.maps.shape == (3, 2, 3)
    assert plain.render()[1].min() == 1
    assert shaken.render()[1].min() == 0  # something came from outside
