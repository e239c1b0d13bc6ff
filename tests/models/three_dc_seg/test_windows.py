import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotoscope.errors import OptionError
from rotoscope.models.clip_options import ClipOptions
from rotoscope.models.clip_windows import ClipWindows, clip_indices

lengths = st.integers(1, 12).flatmap(lambda length: st.tuples(st.just(length), st.integers(0, length - 1)))


@given(st.integers(1, 60), lengths, st.sampled_from(["published", "shifted"]))
def test_every_frame_is_covered_and_final_frames_stay_final(count, clip, last_clip):
    length, overlap = clip
    windows = ClipWindows(length, overlap, last_clip)
    covered, final = set(), 0
    for number in range(count):
        indices = windows.push()
        if indices is not None:
            assert indices[-1] == number
            assert min(indices) >= final
            covered |= set(indices)
        assert windows.final_before >= final
        final = windows.final_before
        assert set(range(final)) <= covered
        assert number + 1 - final <= windows.look_ahead + 1
    for indices in windows.finish():
        assert len(indices) == length
        assert min(indices) >= final
        covered |= set(indices)
    assert covered == set(range(count))


@given(st.integers(1, 60), lengths)
def test_the_shifted_end_repeats_no_frame_of_a_long_enough_video(count, clip):
    length, overlap = clip
    if count >= length:
        for indices in clip_indices(count, length, overlap, "shifted"):
            assert indices == list(range(indices[0], indices[0] + length))


def test_shifted_example():
    assert clip_indices(11, 8, 3, "shifted") == [list(range(8)), list(range(3, 11))]
    assert clip_indices(13, 8, 3, "shifted") == [list(range(8)), list(range(5, 13))]
    assert clip_indices(2, 4, 1, "shifted") == [[0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clip": 0}, "at least 1 frame"),
        ({"overlap": 8}, "overlap 8"),
        ({"overlap": -1}, "overlap -1"),
        ({"size": "big"}, "not understood"),
        ({"size": "4x4"}, "outside"),
    ],
)
def test_options_out_of_range(changes, words):
    with pytest.raises(OptionError, match=words):
        ClipOptions(**changes)
