"""Shared pixels of all pairs of tracks, counted on run lengths, are those of the decoded masks."""

import numpy as np
import pytest

from rotoscope.masks import track_overlap
from rotoscope.masks.run_length import decode, encode
from rotoscope.masks.track_overlap import shared_by_tracks

SIZE = (23, 31)


def masks(generator, kind):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    if kind == "noise":  # many runs in a column
        return generator.random(SIZE) < 0.4
    if kind == "bars":  # columns filled from top to bottom, so that a run goes over several
        return (x > 3) & (x < int(generator.integers(5, 30)))
    if kind == "full":
        return np.ones(SIZE, bool)
    if kind == "empty":
        return np.zeros(SIZE, bool)
    centre = generator.uniform((5, 5), (18, 26))
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < generator.uniform(4, 60)


def tracks(seed, frames=7):
    generator = np.random.default_rng(seed)
    kinds = ["disc", "noise", "bars", "full", "empty", "disc", "disc", "noise"]
    found = [
        {frame: encode(masks(generator, kind)) for frame in range(frames) if generator.random() < 0.7} for kind in kinds
    ]
    return [*found, {}]


def decoded(found, frames=7):
    dense = np.zeros((len(found), frames, *SIZE), np.int64)
    for place, track in enumerate(found):
        for frame, mask in track.items():
            dense[place, frame] = decode(mask)
    return dense.reshape(len(found), -1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block", [1, 600, 1 << 22])
def test_all_pairs(monkeypatch, seed, block):
    monkeypatch.setattr(track_overlap, "_BLOCK", block)
    found = tracks(seed)
    dense = decoded(found)
    np.testing.assert_array_equal(shared_by_tracks(found, 7), dense @ dense.T)


def test_sums_that_need_more_than_sixteen_bits():
    tall = encode(np.ones((40000, 2), bool))
    assert shared_by_tracks([{0: tall}, {0: tall, 1: tall}], 2).tolist() == [[80000, 80000], [80000, 160000]]


def test_nothing():
    assert shared_by_tracks([], 5).shape == (0, 0)
    assert shared_by_tracks([{}, {}], 5).tolist() == [[0, 0], [0, 0]]


def test_several_sizes():
    with pytest.raises(ValueError, match="one size"):
        shared_by_tracks([{0: encode(np.ones((4, 5), bool))}, {0: encode(np.ones((5, 4), bool))}], 1)
