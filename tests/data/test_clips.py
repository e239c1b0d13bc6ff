import pickle

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rotoscope.data.clips import (
    Augmentation,
    ReleasedCrop,
    paper_indices,
    released_crop_intervals,
    released_indices,
)

videos = st.tuples(st.integers(1, 40), st.integers(1, 9), st.integers(1, 32), st.integers(0, 2**32 - 1)).flatmap(
    lambda v: st.tuples(st.just(v), st.integers(0, v[0] - 1))
)


@given(videos)
def test_released_clips_stay_in_their_span_and_are_filled_with_the_start(video):
    (count, length, gap, seed), start = video
    found = released_indices(count, start, length, gap, np.random.default_rng(seed))
    assert len(found) == length
    assert found == sorted(found)
    assert all(start <= index < min(count, start + max(gap, length)) for index in found)
    different = min(length, min(count, start + max(gap, length)) - start)
    assert len(set(found) | {start}) >= different


@given(videos)
def test_paper_clips_begin_with_the_start_and_are_filled_with_the_last_frame(video):
    (count, length, span, seed), start = video
    found = paper_indices(count, start, length, span, np.random.default_rng(seed))
    assert len(found) == length
    assert found[0] == start
    assert all(index <= min(count - 1, start + span) or index == count - 1 for index in found)


def square(count=3, size=(60, 80)):
    """Frames black but for a white square, and its labels, 7."""
    frames = np.zeros((count, *size, 3), np.uint8)
    frames[:, 20:40, 30:60] = 255
    return frames, (frames[..., 0] > 0).astype(np.uint8) * 7


def noise(count=2, size=(40, 50)):
    frames = np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)
    return frames, frames[..., 0] // 128


def test_augmentation_keeps_clip_and_labels_together():
    augment = Augmentation((48, 64), tone=0.0)
    for seed in range(20):
        clip, labels = augment.draft(*square(), np.random.default_rng(seed)).render()
        assert clip.shape == (3, 3, 48, 64)
        assert clip.dtype == torch.float32
        assert labels.shape == (3, 48, 64)
        assert labels.dtype == torch.uint8
        assert set(labels.unique().tolist()) <= {0, 7}
        assert 0 <= clip.min() <= clip.max() <= 1
        agree = ((clip[0] > 0.5) == (labels > 0)).float().mean()
        assert agree > 0.97


def test_augmentation_is_repeatable_and_drafts_pickle():
    augment = Augmentation((32, 48))
    first, second = (augment.draft(*noise(), np.random.default_rng(5)) for _ in range(2))
    sent = pickle.loads(pickle.dumps(first))
    for other in (second, sent):
        assert all(torch.equal(a, b) for a, b in zip(first.render(), other.render(), strict=True))


def test_a_draft_does_not_hold_on_to_the_frames_it_was_cut_from():
    frames, labels = noise()
    draft = Augmentation((32, 48)).draft(frames, labels, np.random.default_rng(0))
    assert not np.shares_memory(draft.frames, frames)
    assert not np.shares_memory(draft.labels, labels)


def test_without_any_change_frames_come_as_they_are():
    frames, labels = noise()
    plain = Augmentation((40, 50), zoom=(1, 1), stretch=0, flip=0, reverse=0, tone=0)
    clip, found = plain.draft(frames, labels, np.random.default_rng(0)).render()
    assert torch.equal(clip, torch.from_numpy(frames).permute(3, 0, 1, 2) / 255)
    assert np.array_equal(found, labels)


def test_mirroring_and_running_backwards():
    frames, labels = noise()
    plain = {"zoom": (1, 1), "stretch": 0, "tone": 0}
    turned = Augmentation((40, 50), flip=1, reverse=1, **plain)
    clip, found = turned.draft(frames, labels, np.random.default_rng(0)).render()
    assert np.array_equal(found, labels[::-1, :, ::-1])
    assert torch.equal(clip, torch.from_numpy(frames[::-1, :, ::-1].copy()).permute(3, 0, 1, 2) / 255)


@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), st.integers(0, 99), st.booleans())
def test_the_released_crop_has_its_size_and_keeps_the_object(size, seed, repair):
    frames, labels = noise(2, size)
    cut = ReleasedCrop((24, 40), repair).draft(frames, labels, np.random.default_rng(seed))
    assert cut.frames.shape == (2, 24, 40, 3)
    assert cut.labels.shape == (2, 24, 40)
    assert set(np.unique(cut.labels)) <= {0, 1}


@given(st.integers(0, 99), st.booleans())
def test_the_released_crop_leaves_frames_of_its_size_alone(seed, repair):
    frames, labels = noise(2, (24, 40))
    draft = ReleasedCrop((24, 40), repair).draft(frames, labels, np.random.default_rng(seed))
    clip, found = draft.render()
    assert torch.equal(clip, torch.from_numpy(frames).permute(3, 0, 1, 2) / 255)
    assert np.array_equal(found, labels)


def test_the_released_crop_cuts_every_frame_by_itself_and_picture_and_labels_alike():
    frames, labels = square(4, (60, 200))
    lefts = set()
    for seed in range(5):
        draft = ReleasedCrop((60, 60)).draft(frames, labels, np.random.default_rng(seed))
        assert np.array_equal(draft.frames[..., 0] > 0, draft.labels > 0)
        lefts |= {int(np.flatnonzero(one.any(axis=0))[0]) for one in draft.labels if one.any()}
    assert len(lefts) > 3


def test_the_released_crop_of_a_wide_frame_resizes_by_the_short_edge():
    frames, labels = square(1, (120, 300))
    labels[:] = 0
    draft = ReleasedCrop((60, 60)).draft(frames, labels, np.random.default_rng(0))
    expected = np.asarray(Image.fromarray(frames[0]).resize((150, 60), Image.Resampling.BILINEAR))[:, :60]
    assert np.array_equal(draft.frames[0], expected)  # no object: the top left corner


def test_the_repaired_crop_always_holds_an_object_that_fits_but_for_a_column():
    frames, labels = np.zeros((20, 60, 200, 3), np.uint8), np.zeros((20, 60, 200), np.uint8)
    labels[:, 20:40, 90:120] = 1
    shown = {}
    for repair in (False, True):
        draft = ReleasedCrop((60, 60), repair).draft(frames, labels, np.random.default_rng(0))
        shown[repair] = draft.labels.sum(axis=(1, 2))
    assert shown[True].min() >= 20 * 29
    assert shown[False].min() < 20 * 15


def test_the_repaired_crop_can_reach_the_objects_left_edge():
    top, left = released_crop_intervals((600, 900), (300, 590), (200, 880), (480, 854), repair=True)
    assert top == (110, 120)
    assert left == (26, 46)
