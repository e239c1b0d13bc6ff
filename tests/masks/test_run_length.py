"""The code against the masks it stands for, and byte for byte against pycocotools where that is installed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rotoscope.errors import MaskError
from rotoscope.masks import run_length as rl
from rotoscope.types import RunLength

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
masks = sizes.flatmap(lambda size: hnp.arrays(np.bool_, size))
pairs = sizes.flatmap(lambda size: st.tuples(*[hnp.arrays(np.bool_, size)] * 2))


def smooth(size=(480, 854), seed=0, count=6):
    """Draw a mask of a few ellipses, some over the edges."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[: size[0], : size[1]]
    mask = np.zeros(size, np.bool_)
    for _ in range(count):
        cy, cx = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        ry, rx = rng.uniform(5, size[0] / 3), rng.uniform(5, size[1] / 3)
        mask ^= ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
    return mask


def test_column_by_column_zeros_first():
    mask = np.array([[0, 1, 1], [0, 1, 0]], np.uint8)
    assert rl.encode(mask).counts.tolist() == [2, 3, 1]
    assert rl.encode(mask).size == (2, 3)
    assert rl.encode(1 - mask).counts.tolist() == [0, 2, 3, 1]
    assert rl.encode(mask).counts.dtype == np.uint32


@settings(deadline=None)
@given(masks)
def test_round_trips(mask):
    code = rl.encode(mask)
    assert np.array_equal(rl.decode(code), mask)
    assert rl.from_string(rl.to_string(code), mask.shape) == code
    assert rl.from_coco(rl.to_coco(code)) == code
    assert rl.from_counts(code.counts.tolist(), mask.shape) == code
    assert rl.area(code) == mask.sum()
    assert (code.counts[1:] > 0).all()


@settings(deadline=None)
@given(masks)
def test_memory_order_and_dtype_do_not_matter(mask):
    code = rl.encode(mask)
    assert rl.encode(np.asfortranarray(mask)) == code
    assert rl.encode(mask.astype(np.uint8) * 255) == code
    assert rl.encode(np.repeat(mask, 2, axis=1)[:, ::2]) == code
    assert rl.encode(mask.astype(np.int64)) == code


@settings(deadline=None)
@given(masks)
def test_box(mask):
    left, top, width, height = rl.box(rl.encode(mask))
    y, x = np.nonzero(mask)
    if y.size == 0:
        assert (left, top, width, height) == (0, 0, 0, 0)
        return
    assert (left, left + width - 1) == (x.min(), x.max())
    assert (top, top + height - 1) == (y.min(), y.max())


@settings(deadline=None)
@given(pairs)
def test_overlaps_without_decoding(both):
    a, b = both
    code_a, code_b = rl.encode(a), rl.encode(b)
    assert rl.intersection(code_a, code_b) == (a & b).sum()
    joint = (a | b).sum()
    assert rl.iou(code_a, code_b) == pytest.approx((a & b).sum() / joint if joint else 0)
    assert rl.union(code_a, code_b) == rl.encode(a | b)
    assert rl.merge([code_a, code_b], "intersection") == rl.encode(a & b)


@settings(deadline=None, max_examples=30)
@given(sizes.flatmap(lambda size: st.lists(hnp.arrays(np.bool_, size), min_size=1, max_size=5)))
def test_merging_many(many):
    codes = [rl.encode(mask) for mask in many]
    assert rl.merge(codes) == rl.encode(np.logical_or.reduce(many))
    assert rl.merge(iter(codes), "intersection") == rl.encode(np.logical_and.reduce(many))


def test_full_size_masks():
    for seed in range(5):
        mask = smooth(seed=seed)
        code = rl.encode(mask)
        assert np.array_equal(rl.decode(code), mask)
        assert rl.from_string(rl.to_string(code), mask.shape) == code
    assert rl.decode(code).flags.c_contiguous


def test_runs_of_no_length_are_read():
    """Other tools write such codes; they mean the same mask."""
    code = rl.from_counts([2, 0, 1, 3, 0, 0], (2, 3))
    assert rl.decode(code).T.ravel().tolist() == [False] * 3 + [True] * 3
    assert rl.box(code) == (1, 0, 2, 2)
    assert rl.union(code, rl.empty((2, 3))).counts.tolist() == [3, 3]
    assert rl.from_string(rl.to_string(code), (2, 3)) == code


@settings(deadline=None)
@given(masks)
def test_pycocotools_parity(mask):
    coco = pytest.importorskip("pycocotools.mask")
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    ours = rl.encode(mask)
    assert rl.to_string(ours).encode() == theirs["counts"]
    assert rl.from_string(theirs["counts"], mask.shape) == ours
    assert rl.area(ours) == coco.area(theirs)
    assert list(rl.box(ours)) == coco.toBbox(theirs).tolist()


def test_pycocotools_parity_at_full_size():
    coco = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(3)
    noise = rng.random((480, 854)) < 0.5
    large = np.zeros((3000, 2500), np.bool_)
    large[5, 7] = large[2000:, 2499] = True
    codes = []
    for mask in (smooth(seed=1), smooth(seed=2), noise, np.zeros((480, 854), np.bool_), large, ~large):
        theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert rl.to_string(rl.encode(mask)).encode() == theirs["counts"]
        codes.append((rl.encode(mask), theirs))
    for ours, theirs in codes[:4]:
        for other, their_other in codes[:4]:
            assert rl.iou(ours, other) == pytest.approx(coco.iou([theirs], [their_other], [0])[0, 0])
            merged = coco.merge([theirs, their_other])["counts"]
            assert rl.to_string(rl.union(ours, other)).encode() == merged


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([3, -1, 4], "negative, found -1 at place 1"),
        ([3, 2], "sum to 5, a mask of 2x3 needs 6"),
        ([7], "sum to 7"),
        ([], "sum to 0"),
        ([2.0, 4.0], "whole numbers"),
        ([[2], [4]], "list of whole numbers"),
        ([2**32, 1], "below 2"),
    ],
)
def test_broken_counts(counts, message):
    with pytest.raises(MaskError, match=message):
        rl.from_counts(counts, (2, 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("1 5", "' ' at place 1"),
        ("1p", "at place 1"),
        ("1ä", "no character"),
        ("1P", "cut short"),
        ("P" * 9 + "0", "10 characters"),
        ("O7", "negative, found -1 at place 0"),
        ("17", "sum to 8, a mask of 2x3 needs 6"),
    ],
)
def test_broken_strings(text, message):
    with pytest.raises(MaskError, match=message):
        rl.from_string(text, (2, 3))


def test_broken_codes_are_found_wherever_they_are_used():
    good = rl.encode(np.ones((2, 3), np.bool_))
    short = RunLength((2, 3), np.array([1, 2], np.uint32))
    negative = RunLength((2, 3), np.array([8, -2]))  # type: ignore[arg-type]
    for broken in (short, negative, RunLength((0, 3), np.array([0], np.uint32))):
        for use in (rl.decode, rl.to_string, rl.box, rl.intervals):
            with pytest.raises(MaskError):
                use(broken)
    with pytest.raises(MaskError, match="sum"):
        rl.intersection(good, short)
    with pytest.raises(MaskError, match="one size"):
        rl.union(good, rl.encode(np.ones((3, 2), np.bool_)))
    with pytest.raises(MaskError, match="at least one"):
        rl.merge([])


def test_broken_objects():
    for broken in ({}, {"size": [2], "counts": "6"}, {"size": [2, 3]}, {"size": [2, 3], "counts": 6}):
        with pytest.raises(MaskError, match=r"size|counts"):
            rl.from_coco(broken)


@pytest.mark.parametrize("mask", [np.zeros((0, 4), np.bool_), np.zeros((2, 3, 1), np.bool_), np.zeros((2, 3))])
def test_what_is_no_mask(mask):
    with pytest.raises(MaskError):
        rl.encode(mask)
