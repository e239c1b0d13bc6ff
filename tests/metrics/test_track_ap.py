"""Track AP and AR: the evaluator's numbers, what must hold always, its faults with and without `official`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotoscope.errors import DataError, MaskError
from rotoscope.masks.run_length import empty, encode
from rotoscope.masks.youtube_vis import AnnotatedTrack, ResultTrack, Video, VideoSet, read_results, read_video_set
from rotoscope.metrics.track_ap import score_tracks, track_ious, track_size

GOLDEN = Path(__file__).parent / "golden" / "track_ap"
CASES = json.loads((GOLDEN / "cases.json").read_text())["cases"]
SIZE = (8, 10)


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_the_evaluators_numbers(case, official):
    truth, results = read_video_set(GOLDEN / case["ground_truth"]), read_results(GOLDEN / case["predictions"])
    scores, wanted = score_tracks(truth, results, official=official), case["expected"]
    summary = {name: value for name, value in wanted.items() if name not in ("per_category", "iou")}
    assert scores.summary() == pytest.approx(summary, rel=0, abs=1e-6)
    for number, figures in wanted["per_category"].items():
        assert scores.ap(category=int(number)) == pytest.approx(figures["AP"], rel=0, abs=1e-6)
        assert scores.ar(cap=10, category=int(number)) == pytest.approx(figures["AR10"], rel=0, abs=1e-6)
    for key, table in wanted["iou"].items():
        video, category = map(int, key.split(","))
        mine = sorted(
            (one for one in results if (one.video_id, one.category_id) == (video, category)), key=lambda one: -one.score
        )
        theirs = [one for one in truth.tracks.get(video, ()) if one.category_id == category]
        pixels = truth.videos[video].width * truth.videos[video].height
        assert track_ious(mine, theirs, pixels) == pytest.approx(
            np.array(table, float).reshape(len(mine), len(theirs)), abs=1e-6
        )


def test_workers_change_nothing():
    truth, results = read_video_set(GOLDEN / "ties.gt.json"), read_results(GOLDEN / "ties.pred.json")
    done = []
    scores = score_tracks(truth, results, workers=2, progress=done.append)
    assert scores.summary() == score_tracks(truth, results).summary()
    assert len(done) == len(truth.videos)


def box(left, width, frames=3, category=1, score=0.5, video=1, top=1, height=4):
    mask = np.zeros(SIZE, np.bool_)
    mask[top : top + height, left : left + width] = True
    return ResultTrack(video, category, score, frames, {index: encode(mask) for index in range(frames)}, "entry")


def annotated(track, number, crowd=False):
    areas = tuple(float(mask.area) for mask in track.masks.values())
    return AnnotatedTrack(number, track.video_id, track.category_id, crowd, track.frame_count, track.masks, areas)


def video_set(*tracks):
    videos = {number: Video(number, f"v{number}", SIZE[1], SIZE[0], 3) for number in (1, 2)}
    found = {number: [one for one in tracks if one.video_id == number] for number in videos}
    return VideoSet(videos, {1: "cat", 2: "dog"}, found)


TRUTH = video_set(annotated(box(0, 4), 1), annotated(box(5, 4), 2), annotated(box(2, 3, category=2, video=2), 3))
boxes = st.builds(
    box,
    st.integers(0, 6),
    st.integers(1, 4),
    category=st.sampled_from([1, 2]),
    score=st.floats(0.01, 1),
    video=st.sampled_from([1, 2]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(boxes, max_size=6), boxes)
def test_monotony(results, extra):
    scores = score_tracks(TRUTH, results)
    levels = [scores.ap(threshold=threshold) for threshold in np.linspace(0.5, 0.95, 10)]
    assert all(0 <= level <= 1 for level in levels)
    assert scores.ap(threshold=0.5) >= scores.ap(threshold=0.75) - 1e-12
    assert scores.ar(cap=1) <= scores.ar(cap=10) <= scores.ar(cap=100)
    # A further result below all others takes nothing from what is found: precision at reached recalls stays.
    more = score_tracks(TRUTH, [*results, replace(extra, score=0.001)])
    assert more.ap() >= scores.ap() - 1e-12
    assert more.ar() >= scores.ar() - 1e-12
    # Scores matter by their order alone.
    squared = [replace(one, score=one.score**2) for one in results]
    assert score_tracks(TRUTH, squared).ap() == pytest.approx(scores.ap())


def test_perfect_and_nothing():
    perfect = [box(0, 4), box(5, 4), box(2, 3, category=2, video=2)]
    assert score_tracks(TRUTH, perfect).ap() == pytest.approx(1)
    nothing = score_tracks(TRUTH, [])
    assert (nothing.ap(), nothing.ar()) == (0, 0)
    assert score_tracks(video_set(), perfect).ap() == -1
    assert nothing.videos[0].missed == (1, 2)


def test_what_became_of_each_result():
    results = [
        box(0, 4, score=0.9),
        box(5, 4, category=2, score=0.8),
        box(3, 2, score=0.7, top=6, height=2),
        box(2, 3, category=2, video=2, score=0.4),
    ]
    scores = score_tracks(TRUTH, results)
    found = scores.videos[0].found
    assert [(one.kind, one.annotation_id) for one in found] == [
        ("match", 1),
        ("wrong category", 2),
        ("false alarm", None),
    ]
    assert found[0].frame_ious == {0: 1, 1: 1, 2: 1}
    assert scores.videos[0].missed == (2,)
    assert scores.videos[1].count("match") == 1


def test_crowd_is_ignored():
    truth = video_set(annotated(box(0, 8), 1, crowd=True), annotated(box(0, 2, video=2), 2))
    scores = score_tracks(truth, [box(0, 8), box(1, 7, score=0.4), box(0, 2, video=2)])
    assert scores.ap() == pytest.approx(1)
    assert [one.kind for one in scores.videos[0].found] == ["ignored", "ignored"]
    assert scores.annotated[1] == 1


def test_size_of_a_track():
    assert track_size([0, 10, 20]) == 15
    assert track_size([0]) == track_size([]) == 0


def hollow(count=3):
    return ResultTrack(1, 1, 0.9, count, {index: empty(SIZE) for index in range(count)}, "entry")


def test_two_tracks_without_pixels():
    truth = video_set(annotated(hollow(), 7))
    assert score_tracks(truth, [hollow()]).ap() == 0
    assert score_tracks(truth, [hollow()]).empty == (7,)
    assert score_tracks(truth, [hollow()], official=True).ap() == pytest.approx(1)


def test_an_ignored_annotation_of_id_0_stays_ignored():
    truth = video_set(annotated(box(0, 5), 0, crowd=True), annotated(box(5, 5), 1))
    for official in (False, True):
        assert score_tracks(truth, [box(0, 5, score=0.9), box(5, 5)], official=official).ap() == pytest.approx(1)


def test_two_tracks_absent_everywhere():
    absent = ResultTrack(1, 1, 0.9, 3, {}, "entry")
    assert score_tracks(video_set(annotated(absent, 7)), [absent], official=True).ap() == 0


def test_annotation_of_id_0():
    truth = video_set(annotated(box(0, 4), 0))
    assert score_tracks(truth, [box(0, 4)]).ap() == pytest.approx(1)
    assert score_tracks(truth, [box(0, 4)], official=True).ap() == 0


def test_lists_of_another_length():
    truth = video_set(annotated(box(0, 4), 1))
    short = box(0, 4, frames=2)
    with pytest.raises(DataError, match=r"entry has 2 frames, video 1 \(v1\) has 3"):
        score_tracks(truth, [short])
    assert score_tracks(truth, [short], official=True).ap() == pytest.approx(1)


def test_bad_input():
    with pytest.raises(DataError, match="of video 9"):
        score_tracks(TRUTH, [box(0, 4, video=9)])
    with pytest.raises(DataError, match="no annotations"):
        score_tracks(replace(TRUTH, tracks=None), [])
    wide = ResultTrack(1, 1, 0.5, 3, {1: encode(np.ones((8, 12), np.bool_))}, "entry 4 of results.json")
    with pytest.raises(MaskError, match=r"entry 4 of results\.json, frame 1: the mask is 12x8, video 1 \(v1\) is 10x8"):
        score_tracks(TRUTH, [wide])
    assert score_tracks(TRUTH, [box(0, 4, category=5)]).unknown == 1
