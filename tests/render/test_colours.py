import numpy as np
import pytest

from rotoscope.errors import OptionError
from rotoscope.render import track_colour


def test_a_colour_is_three_bytes_and_stays_the_same() -> None:
    first = track_colour(1)
    assert first.shape == (3,)
    assert first.dtype == np.uint8
    expected = first.copy()
    first[:] = 0
    assert np.array_equal(track_colour(1), expected), "a caller who writes into a colour must not change the next one"


def test_the_first_colours_are_far_apart() -> None:
    colours = np.stack([track_colour(number) for number in range(1, 13)]).astype(int)
    gaps = np.abs(colours[:, None] - colours[None]).sum(axis=2)
    assert gaps[~np.eye(12, dtype=bool)].min() >= 90


def test_three_hundred_tracks_have_bright_colours_of_their_own() -> None:
    colours = np.stack([track_colour(number) for number in range(1, 301)]).astype(int)
    assert len({tuple(colour) for colour in colours.tolist()}) == 300
    assert colours.max(axis=1).min() >= 140


@pytest.mark.parametrize("wrong", [0, -3])
def test_the_background_has_no_colour(wrong: int) -> None:
    with pytest.raises(OptionError, match="ids start at 1"):
        track_colour(wrong)


def test_large_and_numpy_ids_are_fine() -> None:
    assert np.array_equal(track_colour(int(np.int64(2**40))), track_colour(2**40))
