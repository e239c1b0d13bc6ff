"""The timeline: a row a track, where and how thick its bar is, names that fit, many tracks, long videos."""

import numpy as np
import pytest
from PIL import Image

from rotoscope.errors import OutputError
from rotoscope.masks.run_length import encode
from rotoscope.render import track_colour
from rotoscope.render.timeline import MOST_ROWS, Timeline, name_of
from rotoscope.types import Track

HEADER, ROW = 56, 34


def track(number, areas, label=None, score=0.5):
    """`areas`: frame to pixels."""
    masks = {}
    for index, area in areas.items():
        mask = np.zeros(100, bool)
        mask[:area] = True
        masks[index] = encode(mask.reshape(10, 10))
    return Track(number, label, score, masks)


def bars(picture, place):
    """For each column right of the names, how many pixels of a row's bar there are."""
    row = picture[HEADER + place * ROW : HEADER + (place + 1) * ROW, 175:-30].astype(int)
    return (row.max(axis=2) - row.min(axis=2) > 40).sum(axis=0)


def test_a_bar_is_where_the_track_is_seen_and_as_thick_as_it_is_large():
    picture = Timeline([track(1, {0: 100, 1: 100}), track(2, {2: 25, 3: 100})], range(4), 0.5).image()
    first, second = bars(picture, 0), bars(picture, 1)
    quarter = len(first) // 4
    assert (first[5 : 2 * quarter - 5] == ROW - 9).all()
    assert not first[2 * quarter + 30 :].any()
    assert not second[: 2 * quarter - 5].any()
    thin, thick = second[2 * quarter + 40], second[3 * quarter + 60]
    assert 0.4 * thick < thin < 0.7 * thick
    middle = HEADER + ROW // 2
    assert tuple(picture[middle, 300]) == tuple(track_colour(1))
    assert picture[middle + ROW, 175 + 2 * quarter + 40].max() < track_colour(2).max()


def test_a_mask_without_a_pixel_has_no_bar():
    assert not bars(Timeline([track(1, {0: 0, 1: 0})], range(2), 0.5).image(), 0).any()


def test_gaps_stay_gaps_and_many_frames_share_a_column():
    areas = {index: 100 for index in range(30_000) if index < 10_000 or index >= 20_000}
    areas[15_000] = 100  # one frame of a column of twenty-five
    shown = bars(Timeline([track(1, areas)], range(30_000), 1200.0).image(), 0) > 0
    third = len(shown) // 3
    assert shown[: third - 10].all()
    assert shown[2 * third + 30 :].all()
    assert shown[third + 30 : 2 * third - 30].sum() == 1


def test_the_tracks_of_highest_score_are_drawn_where_there_are_many():
    tracks = [track(number, {0: 10}, score=number / 100) for number in range(1, 91)]
    timeline = Timeline(tracks, range(3), 0.1)
    assert [one.id for one in timeline.rows] == list(range(31, 91))
    assert timeline.left_out == 30
    assert timeline.image().shape[0] == HEADER + MOST_ROWS * ROW + 40


@pytest.mark.parametrize("frames", [1, 2, 7, 1000])
def test_nothing_found_and_any_number_of_frames(frames):
    assert Timeline([], range(frames), 1.0, "clip").image().shape == (HEADER + ROW + 40, 1400, 3)
    assert bars(Timeline([track(3, dict.fromkeys(range(frames), 5))], range(frames), 1.0).image(), 0)[3] > 0


def test_names_are_whole_lines_and_long_ones_are_cut():
    assert name_of(track(3, {}, "traffic\n light", 0.876)) == "3 traffic light 0.88"
    assert name_of(track(3, {}, None, 1.0)) == "3 1.00"
    picture = Timeline([track(1, {0: 50}, "long " * 40)], range(2), 0.1, "title " * 200).image()
    assert picture.shape[1] == 1400
    assert bars(picture[:, 180:], 0)[5] > 0
    names = picture[HEADER : HEADER + ROW, 340:354]
    assert (names.max(axis=(0, 1)) < 60).all(), "nothing is written over the bars' column"


def test_it_is_saved_whole_as_png_only(tmp_path):
    timeline = Timeline([track(1, {0: 50})], range(2), 0.1)
    with pytest.raises(OutputError, match=r"let the name end in \.png"):
        timeline.save(tmp_path / "a.jpg")
    timeline.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(np.asarray(picture), timeline.image())
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
