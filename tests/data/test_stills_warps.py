"""Clips whose frames are warps of one picture, each by itself."""

import math

import numpy as np
import pytest
import torch

from rotoscope.data.clips import CategorisedDraft
from rotoscope.data.sources import WarpedStills
from rotoscope.data.stills.warps import Warp, WarpOptions, WarpsDraft, _motion, _seen, _turned_colours
from rotoscope.errors import OptionError
from rotoscope.training.recipe import ClipShape, PictureSet, StillData
from rotoscope.training.sources import source
from tests.data.made import Squares

SIZE = (40, 60)


def rng(seed=0):
    return np.random.default_rng(seed)


def still():
    return Squares(1).read(0)


def test_one_frame_is_the_picture_and_the_others_are_not():
    picture, labels = still()
    clip, named = WarpsDraft.draw(picture, labels, 5, WarpOptions(), rng(3)).render()
    assert clip.shape == (3, 5, *SIZE)
    assert (named.shape, named.dtype) == ((5, *SIZE), torch.uint8)
    whole = torch.from_numpy(picture).permute(2, 0, 1) / 255
    wanted = {"as it is": whole, "mirrored": whole.flip(-1)}
    near = [min(float((frame - one).abs().max()) for one in wanted.values()) for frame in clip.unbind(1)]
    assert sorted(near)[0] < 1e-5
    assert sorted(near)[1] > 0.1
    assert set(named.unique().tolist()) <= {0, 1, 2}


def test_a_shift_takes_labels_along_and_leaves_the_mean_colour():
    picture, labels = still()
    places = np.array([[1.0, 0, 0.5], [0, 1, 0], [0, 0, 1]])  # half of the width's half: 15 pixels
    clip, named = WarpsDraft(picture, labels, (Warp(places, np.eye(3)),)).render()
    assert torch.equal(named[0, :, : SIZE[1] - 15], torch.from_numpy(labels[:, 15:]))
    assert not named[0, :, SIZE[1] - 15 :].any()
    expected = torch.from_numpy(picture[:, 15:]).permute(2, 0, 1) / 255
    torch.testing.assert_close(clip[:, 0, :, : SIZE[1] - 15], expected, atol=1e-4, rtol=0)
    mean = torch.tensor([122.7717, 115.9465, 102.9801]) / 255
    torch.testing.assert_close(clip[:, 0, :, -10:].amax((1, 2)), mean)


def test_corners_of_a_frame_are_those_of_the_quadrilateral():
    inwards = rng().uniform(0, 0.3, (4, 2))
    found = _seen(inwards) @ np.array([[-1, 1, 1, -1], [-1, -1, 1, 1], [1, 1, 1, 1]])
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    np.testing.assert_allclose((found[:2] / found[2]).T, square * (1 - 2 * inwards))


def test_colours_turn_about_grey():
    for seed in range(5):
        mixed = _turned_colours(rng(seed))
        np.testing.assert_allclose(mixed @ np.ones(3), np.ones(3))
        red = mixed @ np.array([1.0, 0, 0])
        assert red.sum() == pytest.approx(1)
        assert 0 < np.abs(red - [1, 0, 0]).max() < 0.15


def test_blurs_keep_the_brightness():
    for seed in range(5):
        kernel = _motion(rng(seed))
        assert kernel.shape[0] in (9, 11)
        assert kernel.sum() == pytest.approx(1)
        rows, columns = np.nonzero(kernel)
        assert max(np.ptp(rows), np.ptp(columns)) >= len(kernel) / math.sqrt(2) - 1
    picture, labels = still()
    warp = Warp(np.eye(3), np.eye(3), 0.0, _motion(rng()))
    clip, named = WarpsDraft(picture, labels, (warp,)).render()
    assert float(clip.mean()) == pytest.approx(picture.mean() / 255, abs=0.02)
    assert torch.equal(named[0], torch.from_numpy(labels))


def test_reaches():
    warps = [Warp.draw(1.5, WarpOptions(turn=0.0, blur=0.0), rng(seed)) for seed in range(50)]
    assert all(warp.blur is None for warp in warps)
    assert all(abs(warp.added) <= 40 / 255 for warp in warps)
    changed = [(warp.added != 0, not np.array_equal(warp.colour, np.eye(3))) for warp in warps]
    assert set(changed) == {(True, False), (False, True), (True, True)}
    assert all(warp.blur is not None for warp in (Warp.draw(1.5, WarpOptions(blur=1.0), rng(s)) for s in range(5)))


class Named(Squares):
    def categories(self, index):
        return {1: 4, 2: 5}


def test_a_source_keeps_categories_and_depends_on_its_seed_alone():
    clips = WarpedStills(Named(), 4, SIZE, WarpOptions())
    assert len(clips) == 3
    first, second = clips.draw(1, rng(5)), clips.draw(1, rng(5))
    assert isinstance(first, CategorisedDraft)
    assert first.categories == {1: 4, 2: 5}
    for one, other in zip(first.render(), second.render(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(first.render()[0], clips.draw(1, rng(6)).render()[0])


def test_a_recipe_may_name_one_set_only(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    from PIL import Image

    picture, labels = still()
    Image.fromarray(picture).save(tmp_path / "images" / "a.png")
    Image.fromarray(labels).save(tmp_path / "masks" / "a.png")
    own = PictureSet("pictures", ".")
    table = StillData("stills", (own,), engine="warps")
    assert len(source(table, ClipShape(3, SIZE), tmp_path)) == 1
    with pytest.raises(OptionError, match="one set"):
        source(StillData("stills", (own, own), engine="warps"), ClipShape(3, SIZE), tmp_path)
