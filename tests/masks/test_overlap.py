"""Shared pixels of all pairs equal those of the decoded masks."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rotoscope.masks.overlap import ious, of_mask, of_track, shared_pixels
from rotoscope.masks.run_length import encode, iou

sizes = st.tuples(st.integers(1, 8), st.integers(1, 8))
sides = sizes.flatmap(
    lambda size: st.tuples(
        hnp.arrays(np.bool_, st.tuples(st.integers(0, 4), st.just(size[0]), st.just(size[1]))),
        hnp.arrays(np.bool_, st.tuples(st.integers(0, 4), st.just(size[0]), st.just(size[1]))),
    )
)


@settings(deadline=None, max_examples=120)
@given(sides)
def test_masks(pair):
    first, second = pair
    codes, others = ([encode(mask) for mask in side] for side in pair)
    lines, other_lines = [of_mask(code) for code in codes], [of_mask(code) for code in others]
    wanted = np.array([[np.count_nonzero(a & b) for b in second] for a in first], np.int64)
    assert np.array_equal(shared_pixels(lines, other_lines), wanted.reshape(len(first), len(second)))
    assert [line.area for line in lines] == [int(mask.sum()) for mask in first]
    found = ious(lines, other_lines)
    for i, code in enumerate(codes):
        for j, other in enumerate(others):
            assert found[i, j] == iou(code, other)
    assert np.array_equal(found.T, ious(other_lines, lines))


@settings(deadline=None, max_examples=80)
@given(hnp.arrays(np.bool_, (2, 5, 6, 7)), st.sets(st.integers(0, 4)))
def test_tracks(stacks, gaps):
    """A track is one set of pixels over all its frames; frames without it are empty."""
    stacks = stacks.copy()
    stacks[0, list(gaps)] = False
    tracks = [
        {index: encode(mask) for index, mask in enumerate(stack) if number or index not in gaps}
        for number, stack in enumerate(stacks)
    ]
    lines = [of_track(track, 42) for track in tracks]
    assert shared_pixels(lines[:1], lines[1:])[0, 0] == np.count_nonzero(stacks[0] & stacks[1])
    assert [line.area for line in lines] == [int(stack.sum()) for stack in stacks]
