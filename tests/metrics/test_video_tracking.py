"""The tracking scores on YouTube-VIS files: the toolkit's numbers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rotoscope.errors import DataError
from rotoscope.masks.youtube_vis import read_results, read_video_set
from rotoscope.metrics.video_tracking import score_tracking
from tests.metrics.test_kitti_mots import near

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "ytvis.json").read_text())
GROUPS = ("HOTA", "CLEAR", "Identity", "Count")


@pytest.fixture(scope="module")
def files():
    return read_video_set(GOLDEN / "ytvis" / "gt.json"), read_results(GOLDEN / "ytvis" / "results.json")


def check(figures, wanted, where):
    for group in GROUPS:
        near(figures, wanted[group], where)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_toolkits_numbers(files, workers):
    truth, results = files
    done = []
    scores = score_tracking(truth, results, workers=workers, progress=done.append)
    assert done == [video.name for video in truth.videos.values()]
    for number, video in truth.videos.items():
        for name, wanted in EXPECTED[video.name].items():
            check(scores.videos[number][name].figures(), wanted, (video.name, name))
    joined = dict(EXPECTED["COMBINED_SEQ"])
    check(scores.class_average(), joined.pop("cls_comb_cls_av"), "class average")
    check(scores.detection_average().figures(), joined.pop("cls_comb_det_av"), "detection average")
    assert joined.keys() == scores.classes.keys()
    for name, wanted in joined.items():
        check(scores.classes[name].figures(), wanted, name)


def test_results_below_the_bound_do_not_count(files):
    truth, results = files
    bound = sorted(one.score for one in results)[len(results) // 2]
    kept = [one for one in results if one.score >= bound]
    few, many = score_tracking(truth, results, minimum_score=bound), score_tracking(truth, kept)
    assert few.detection_average().counts == many.detection_average().counts
    assert few.detection_average().counts.tracks == len(kept) < len(results)


def test_bad_input(files):
    truth, results = files
    with pytest.raises(DataError, match="no annotations"):
        score_tracking(replace(truth, tracks=None), results)
    with pytest.raises(DataError, match="of video 99"):
        score_tracking(truth, [replace(results[0], video_id=99)])
