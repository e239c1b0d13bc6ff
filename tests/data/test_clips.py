import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from rotoscope.data.clips import Augmentation, paper_indices, released_crop_intervals, released_indices

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


def test_augmentation_keeps_clip_and_mask_together():
    frames = np.zeros((3, 60, 80, 3), np.uint8)
    frames[:, 20:40, 30:60] = 255
    masks = (frames[..., 0] > 0).astype(np.uint8) * 255
    augment = Augmentation((48, 64), colour=0.0)
    for seed in range(20):
        clip, mask = augment(frames, masks, np.random.default_rng(seed))
        assert clip.shape == (3, 3, 48, 64)
        assert mask.shape == (1, 3, 48, 64)
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        assert 0 <= float(clip.min()) <= float(clip.max()) <= 1
        agree = ((clip[:1] > 0.5).float() == mask).float().mean()
        assert agree > 0.97


def test_augmentation_is_repeatable():
    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    masks = frames[..., 0] // 128
    augment = Augmentation((32, 48))
    first, second = (augment(frames, masks, np.random.default_rng(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_repaired_crop_can_reach_the_objects_left_edge():
    top, left = released_crop_intervals((600, 900), (300, 590), (200, 880), (480, 854), repair=True)
    assert top == (110, 120)
    assert left == (26, 46)
