import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rotoscope.data.stills.released import Change, Elastic, ReleasedDraft

SIZE = (40, 60)
STILL = Change(np.eye(3))


def rng(seed=0):
    return np.random.default_rng(seed)


def picture(seed=0):
    """Bright discs on dark, and their mask."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    labels = ((y - 20) ** 2 + (x - 30) ** 2 < 150).astype(np.uint8) + 2 * ((y - 8) ** 2 + (x - 8) ** 2 < 30)
    grain = rng(seed).integers(0, 30, (*SIZE, 3))
    return (grain + 220 * (labels > 0)[..., None]).astype(np.uint8), labels.astype(np.uint8)


def shift(across, down, **more):
    """A change that moves the picture by whole pixels."""
    affine = np.eye(3)
    affine[:2, 2] = across * 2 / SIZE[0], down * 2 / SIZE[0]
    return Change(affine, **more)


def rendered(*changes):
    return ReleasedDraft(*picture(), changes).render()


def test_the_first_frame_is_the_original():
    clip, labels = ReleasedDraft.draw(*picture(), 5, rng()).render()
    assert clip.shape == (3, 5, *SIZE)
    assert clip.dtype == torch.float32
    assert labels.shape == (5, *SIZE)
    assert labels.dtype == torch.uint8
    assert torch.equal(clip[:, 0], torch.from_numpy(picture()[0]).permute(2, 0, 1) / 255)
    assert np.array_equal(labels[0], picture()[1])
    alone = ReleasedDraft.draw(*picture(), 1, rng()).render()
    assert torch.equal(alone[0], clip[:, :1])
    assert torch.equal(alone[1], labels[:1])


def test_changes_accumulate_and_edges_repeat():
    clip, labels = rendered(shift(3, -2), STILL, shift(4, 1))
    source = torch.from_numpy(picture()[0]).permute(2, 0, 1) / 255
    for frame, (across, down) in enumerate([(0, 0), (3, -2), (3, -2), (7, -1)]):
        rows = (torch.arange(SIZE[0]) - down).clamp(0, SIZE[0] - 1)
        columns = (torch.arange(SIZE[1]) - across).clamp(0, SIZE[1] - 1)
        if frame < 3:
            assert torch.allclose(clip[:, frame], source[:, rows][:, :, columns], atol=1e-4)
            assert np.array_equal(labels[frame], picture()[1][rows][:, columns])
    # what the second frame has lost at its edges stays lost: they are repeated from there on
    expected = clip[:, 2][:, (torch.arange(SIZE[0]) - 1).clamp(0)][:, :, (torch.arange(SIZE[1]) - 4).clamp(0)]
    assert torch.allclose(clip[:, 3], expected, atol=1e-4)


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_composing_is_what_frame_after_frame_gives(seed):
    """Against the published way, on a picture so smooth that sampling it again and again costs little."""
    y, x = np.mgrid[:60, :90]
    smooth = (127 + 60 * np.sin(x / 14) + 60 * np.cos(y / 11)).astype(np.uint8)
    smooth = np.repeat(smooth[..., None], 3, axis=2)
    empty = np.zeros((60, 90), np.uint8)
    changes = tuple(Change.draw(1.5, rng([seed, number])) for number in range(3))
    clip, _ = ReleasedDraft(smooth, empty, changes).render()
    current = smooth
    for number, change in enumerate(changes, 1):
        step, _ = ReleasedDraft(current, empty, (change,)).render()
        current = (step[:, 1].permute(1, 2, 0) * 255).round().byte().numpy()
        assert (clip[:, number] - step[:, 1]).abs().mean() < 0.01


def test_the_order_of_elastic_and_affine_matters_and_each_is_undone_in_turn():
    elastic = Elastic(40.0, 3.0, 7)
    field = elastic.field(SIZE, torch.device("cpu"))
    points = torch.zeros(1, 1, 1, 2)
    move = shift(5, 0)
    last = Change(move.affine, elastic, elastic_first=False)
    first = Change(move.affine, elastic, elastic_first=True)
    middle, beside = last.undo(points, SIZE)[0, 0, 0], first.undo(points, SIZE)[0, 0, 0]
    at = (slice(None), slice(19, 21))  # frame coordinate 0 lies between the middle pixels
    expected = field[0, :, 19:21, 29:31].mean(dim=(1, 2)) - torch.tensor([10 / SIZE[0], 0])
    assert torch.allclose(middle, expected, atol=1e-4)
    expected = field[0][at][:, :, 24:26].mean(dim=(1, 2)) - torch.tensor([10 / SIZE[0], 0])
    assert torch.allclose(beside, expected, atol=1e-4)


def test_the_affine_map_carries_the_old_frame_to_the_new_one():
    """An off-centre disc is found where its middle is sent."""
    for seed in range(10):
        change = Change.draw(1.5, rng(seed))
        y, x = np.mgrid[: SIZE[0], : SIZE[1]]
        labels = ((y - 12) ** 2 + (x - 20) ** 2 < 16).astype(np.uint8)
        _, found = ReleasedDraft(picture()[0], labels, (Change(change.affine),)).render()
        middle = (np.array([2 * 20 + 1 - SIZE[1], 2 * 12 + 1 - SIZE[0], SIZE[0]]) / SIZE[0]) @ change.affine.T
        expected = (middle[:2] * SIZE[0] + [SIZE[1] - 1, SIZE[0] - 1]) / 2
        assert np.allclose(np.argwhere(found[1].numpy()).mean(axis=0)[::-1], expected, atol=0.6)


def test_the_elastic_change_is_smooth_and_a_few_pixels_long():
    field = Elastic.draw(rng()).field((240, 432), torch.device("cpu")) * 120  # pixels
    assert field.shape == (1, 2, 240, 432)
    assert 0.7 < field.std() < 4
    assert field.diff(dim=3).abs().max() < 0.5
    assert field.abs().max() < 10
    first, again = (Elastic(200, 17, 3).field(SIZE, torch.device("cpu")) for _ in range(2))
    assert torch.equal(first, again)


@given(st.integers(0, 1000))
def test_drawn_changes_lie_in_the_published_ranges(seed):
    change = Change.draw(1.5, rng(seed))
    scale_x, scale_y = np.linalg.norm(change.affine[:2, :2], axis=0)
    assert 0.7 <= scale_x <= 1.3
    assert 0.7 <= scale_y <= 1.3
    assert abs(np.rad2deg(np.arctan2(change.affine[1, 0], change.affine[0, 0]))) <= 15
    assert (np.abs(change.affine[:2, 2]) <= [0.3, 0.2]).all()
    assert 0 <= change.blur <= 0.5
    if change.elastic is not None:
        assert 200 <= change.elastic.alpha <= 220
        assert 17 <= change.elastic.sigma <= 19


def test_rare_changes_are_as_rare_as_published():
    generator = rng(5)
    changes = [Change.draw(1.5, generator) for _ in range(2000)]
    assert np.mean([change.elastic is not None for change in changes]) == pytest.approx(0.05, abs=0.02)
    assert np.mean([change.blur > 0 for change in changes]) == pytest.approx(0.05, abs=0.02)
    assert np.mean([change.elastic_first for change in changes]) == pytest.approx(0.5, abs=0.05)


def test_masks_follow_the_picture():
    for seed in range(10):
        clip, labels = ReleasedDraft.draw(*picture(), 5, rng(seed)).render()
        assert set(labels.unique().tolist()) <= {0, 1, 2}
        assert ((clip[0] > 0.5) == (labels > 0)).float().mean() > 0.98
    elastic = Change(np.eye(3), Elastic(210.0, 6.0, 3))
    clip, labels = rendered(elastic, elastic)
    assert not torch.equal(labels[1], labels[0])
    assert ((clip[0] > 0.5) == (labels > 0)).float().mean() > 0.98


def test_a_blur_stays_and_adds_up():
    clip, labels = rendered(Change(np.eye(3), blur=0.3), STILL, Change(np.eye(3), blur=0.4))
    sharp = rendered(STILL, STILL, STILL)[0]
    assert not torch.allclose(clip[:, 1], sharp[:, 1], atol=1e-3)
    assert torch.equal(clip[:, 1], clip[:, 2])
    once = rendered(Change(np.eye(3), blur=0.5))[0]
    assert torch.allclose(clip[:, 3], once[:, 1], atol=1e-5)
    assert (labels == labels[:1]).all()


def test_drafts_are_repeatable_and_pickle():
    draft, again = (ReleasedDraft.draw(*picture(), 6, rng(3)) for _ in range(2))
    copied = pickle.loads(pickle.dumps(draft))
    for other in (again, copied):
        assert all(torch.equal(a, b) for a, b in zip(draft.render(), other.render(), strict=True))
    clip, _ = draft.render()
    assert clip.min() >= 0
    assert clip.max() <= 1
