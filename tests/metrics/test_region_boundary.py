"""J and F of single frames: the official tool's numbers, the definition written plainly, and what must hold always."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rotoscope.errors import MaskError, OptionError
from rotoscope.metrics.region_boundary import (
    boundary_counts,
    boundary_radius,
    boundary_score,
    object_scores,
    region_and_boundary,
    region_similarity,
)

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "frames.json").read_text())

sizes = st.tuples(st.integers(1, 14), st.integers(1, 14))
pairs = sizes.flatmap(lambda size: st.tuples(*[hnp.arrays(np.bool_, size)] * 2))


@pytest.fixture(scope="module")
def arrays():
    with np.load(GOLDEN / "frames.npz") as stored:
        return {name: stored[name] != 0 for name in stored.files}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_official_numbers(case, arrays):
    truth, prediction = arrays[f"{case['name']}/gt"], arrays[f"{case['name']}/pred"]
    void = arrays[f"{case['name']}/void"] if case["void"] else None
    counts = boundary_counts(truth, prediction, void, case["tolerance"])
    assert boundary_radius(truth.shape, case["tolerance"]) == case["radius"]
    assert (counts.truth, counts.truth_matched) == (case["gt_boundary_pixels"], case["gt_boundary_matched"])
    assert (counts.prediction, counts.prediction_matched) == (
        case["pred_boundary_pixels"],
        case["pred_boundary_matched"],
    )
    region, boundary = region_and_boundary(truth, prediction, void, case["tolerance"])
    assert region == pytest.approx(case["J"], rel=0, abs=1e-6)
    assert boundary == pytest.approx(case["F"], rel=0, abs=1e-6)
    assert region == region_similarity(truth, prediction, void)
    assert boundary == boundary_score(truth, prediction, void, case["tolerance"])


def plain_boundary(mask):
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    height, width = mask.shape
    return np.array([[np.unique(padded[y : y + 2, x : x + 2]).size > 1 for x in range(width)] for y in range(height)])


def plain_matches(edges, others, radius):
    here, there = np.argwhere(edges), np.argwhere(others)
    squares = ((here[:, None] - there[None]) ** 2).sum(axis=2)
    return int((squares <= radius * radius).any(axis=1).sum()) if there.size else 0


@settings(deadline=None, max_examples=60)
@given(pairs, st.sampled_from([0.0, 0.1, 1.0, 2.5, 3.0, 20.0]))
def test_equals_the_definition(masks, tolerance):
    truth, prediction = masks
    radius = boundary_radius(truth.shape, tolerance)
    edges_t, edges_p = plain_boundary(truth), plain_boundary(prediction)
    counts = boundary_counts(truth, prediction, tolerance=tolerance)
    assert (counts.truth, counts.prediction) == (edges_t.sum(), edges_p.sum())
    assert counts.truth_matched == plain_matches(edges_t, edges_p, radius)
    assert counts.prediction_matched == plain_matches(edges_p, edges_t, radius)


@settings(deadline=None, max_examples=60)
@given(pairs)
def test_symmetric_and_within_bounds(masks):
    truth, prediction = masks
    scores = region_and_boundary(truth, prediction)
    assert scores == pytest.approx(region_and_boundary(prediction, truth))
    assert all(0 <= score <= 1 for score in scores)
    assert region_and_boundary(truth, truth) == (1.0, 1.0)


def test_the_box_around_the_masks_changes_nothing():
    rng = np.random.default_rng(0)
    small = rng.random((2, 30, 40)) < 0.3
    large = np.zeros((2, 130, 170), np.bool_)
    large[:, 60:90, 100:140] = small
    inside = np.zeros((2, 50, 60), np.bool_)
    inside[:, 10:40, 10:50] = small
    assert boundary_counts(*large, tolerance=3.0) == boundary_counts(*inside, tolerance=3.0)


label_pairs = st.tuples(st.integers(1, 12), st.integers(1, 90)).flatmap(
    lambda size: st.tuples(
        hnp.arrays(np.uint8, size, elements=st.sampled_from([0, 0, 1, 2, 3, 9, 255])),
        hnp.arrays(np.uint8, size, elements=st.integers(0, 5)),
    )
)


@settings(deadline=None, max_examples=80)
@given(label_pairs, st.sampled_from([None, 255]), st.sampled_from([0.008, 1.0, 2.5, 70.0]))
def test_all_pairs_at_once_equal_pair_by_pair(maps, void, tolerance):
    truth, prediction = maps
    region, boundary = object_scores(truth, prediction, 4, 4, void=void, tolerance=tolerance)
    assert region.shape == boundary.shape == (4, 4)
    blank = None if void is None else truth == void
    for i in range(4):
        for j in range(4):
            wanted = region_and_boundary(truth == i + 1, prediction == j + 1, blank, tolerance)
            assert (region[i, j], boundary[i, j]) == pytest.approx(wanted, rel=0, abs=1e-12)
    paired = object_scores(truth, prediction, 4, 4, void=void, tolerance=tolerance, paired=True)
    assert np.array_equal(paired[0], np.diagonal(region))
    assert np.array_equal(paired[1], np.diagonal(boundary))


@settings(deadline=None, max_examples=40)
@given(pairs, st.integers(0, 70), st.integers(0, 9))
def test_moving_both_masks_changes_nothing(masks, right, down):
    """Away from the edges of the image, where a boundary would be cut."""
    height, width = masks[0].shape
    canvas = np.zeros((2, height + 30, width + 100), np.bool_)
    moved = np.zeros_like(canvas)
    canvas[:, 5 : 5 + height, 5 : 5 + width] = masks
    moved[:, 5 + down : 5 + down + height, 5 + right : 5 + right + width] = masks
    assert boundary_counts(*canvas, tolerance=3.0) == boundary_counts(*moved, tolerance=3.0)


def test_empty_full_and_void():
    empty, full = np.zeros((20, 30), np.bool_), np.ones((20, 30), np.bool_)
    assert region_and_boundary(empty, empty) == (1.0, 1.0)
    assert region_and_boundary(full, empty) == (0.0, 1.0)
    assert region_and_boundary(full, empty, void=full) == (1.0, 1.0)


def test_rounding_of_the_radius():
    for size, radius in {(480, 854): 8, (480, 910): 9, (480, 1152): 10, (720, 1280): 12, (300, 400): 4}.items():
        assert boundary_radius(size) == radius


def test_bad_input():
    mask = np.zeros((4, 5), np.bool_)
    with pytest.raises(MaskError, match="sizes must be equal"):
        object_scores(mask.astype(np.uint8), mask.T.astype(np.uint8), 1, 1)
    with pytest.raises(OptionError, match="paired"):
        object_scores(mask.astype(np.uint8), mask.astype(np.uint8), 1, 2, paired=True)
    with pytest.raises(MaskError, match="sizes must be equal"):
        region_similarity(mask, mask.T)
    with pytest.raises(MaskError, match="uint8"):
        boundary_score(mask, mask.astype(np.uint8))
    with pytest.raises(MaskError, match="void"):
        region_similarity(mask, mask, mask[:2])
    for tolerance in (-1.0, math.nan):
        with pytest.raises(OptionError):
            boundary_score(mask, mask, tolerance=tolerance)
