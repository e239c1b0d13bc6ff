"""Files of whole tracks: which are the best, which ids label maps have, verdicts, and results joined."""

import json

import numpy as np
import pytest

from rotoscope.errors import DataError, MaskError, OptionError
from rotoscope.inference.instances import InstanceSink, Numbers, best, join_results, labelled, read_numbers
from rotoscope.inference.segmentation import Segmentation, TrackCollector
from rotoscope.masks.label_map import read_label_png
from rotoscope.masks.run_length import encode
from rotoscope.types import Frame, FrameResult, ObjectMask, Track, Verdict, VideoInfo
from tests.inference import known

SIZE = (6, 8)


def rows(first, last):
    mask = np.zeros(SIZE, bool)
    mask[first:last] = True
    return encode(mask)


def result(index, objects, verdicts=None):
    return FrameResult(index, index / 10, SIZE, tuple(objects), None, None, verdicts or {})


def frame(index):
    return Frame(index, index / 10, np.zeros((*SIZE, 3), np.uint8))


def test_a_verdict_replaces_the_mean_and_the_last_counts_even_without_a_mask():
    collector = TrackCollector()
    collector.add(result(0, [ObjectMask(1, rows(0, 2), 0.2, "cat"), ObjectMask(2, rows(3, 5), 0.2, "cat")]))
    collector.add(result(1, [ObjectMask(1, rows(0, 2), 0.4, "dog")], {1: Verdict(0.5, "cow"), 9: Verdict(1.0)}))
    assert [(one.id, one.label, one.score) for one in collector.tracks()] == [(1, "cow", 0.5), (2, "cat", 0.2)]
    collector.add(result(2, [], {1: Verdict(0.9)}))
    assert [(one.id, one.label, one.score) for one in collector.tracks()] == [(1, "dog", 0.9), (2, "cat", 0.2)]
    collector.add(result(3, [ObjectMask(2, rows(3, 5), 0.6, "fox")]))
    assert [(one.id, one.label, one.score) for one in collector.tracks()][1] == (2, "fox", pytest.approx(0.4))


def test_the_best_tracks_and_their_ids_in_label_maps():
    tracks = [Track(number, None, score) for number, score in ((2, 0.5), (7, 0.9), (30, 0.5), (31, 0.7))]
    assert best(tracks, None) == best(tracks, 4) == tracks
    assert [one.id for one in best(tracks, 3)] == [2, 7, 31]
    assert [one.id for one in labelled(tracks)] == [2, 7, 30, 31]
    assert [(one.id, one.score) for one in labelled(tracks, 20)] == [(1, 0.5), (2, 0.9), (3, 0.5), (4, 0.7)]
    many = [Track(number, None, number / 400) for number in range(1, 301)]
    kept = labelled(many)
    assert [one.id for one in kept] == list(range(1, 256))
    assert [one.score for one in kept] == [number / 400 for number in range(46, 301)]


def test_the_higher_score_of_the_whole_video_lies_on_top(tmp_path):
    sink = InstanceSink({"masks": tmp_path / "m"}, VideoInfo("a", 8, 6), {})
    with sink:
        both = [ObjectMask(1, rows(0, 4), 0.9), ObjectMask(2, rows(2, 6), 0.1)]
        sink.write(frame(0), result(0, both, {1: Verdict(0.9), 2: Verdict(0.1)}))
        sink.write(frame(1), result(1, [], {1: Verdict(0.3), 2: Verdict(0.8)}))
    assert read_label_png(tmp_path / "m" / "00000.png")[:, 0].tolist() == [1, 1, 2, 2, 2, 2]
    assert not read_label_png(tmp_path / "m" / "00001.png").any()


def test_an_error_leaves_no_file(tmp_path):
    places = {kind: tmp_path / kind for kind in ("masks", "ytvis", "mots", "timeline")}
    sink = InstanceSink(places, VideoInfo("a", 8, 6), {})
    sink.__enter__()
    sink.write(frame(0), result(0, []))
    sink.__exit__(ValueError, ValueError("broken"), None)
    assert list(tmp_path.iterdir()) == []


def test_categories_have_the_numbers_of_the_model(tmp_path):
    truth = {"frames": np.array([np.eye(6, 8), np.zeros(SIZE)], np.uint8)}
    model = known.model(truth, {1: "pedestrian"})
    assert model.categories == {"car": 1, "pedestrian": 2}
    found = model.segment([np.zeros((*SIZE, 3), np.uint8)] * 2)
    assert found.categories == model.categories
    found.save(tmp_path, "ytvis")
    (entry,) = json.loads((tmp_path / f"{found.video.name}.json").read_text())
    assert (entry["category_id"], entry["score"], entry["segmentations"][1]) == (2, 0.9, None)
    found.save(tmp_path / "own.json", "ytvis", {"pedestrian": 8})
    assert json.loads((tmp_path / "own.json").read_text())[0]["category_id"] == 8
    assert found.timeline(tmp_path / "t.png").is_file()
    assert Segmentation(found.video).categories == {}


def test_results_are_joined_in_order_under_their_own_numbers(tmp_path):
    for name, count in (("a", 2), ("b", 0), ("c", 1)):
        entries = [{"video_id": 1, "category_id": place, "score": 0.5} for place in range(count)]
        (tmp_path / f"{name}.json").write_text(json.dumps(entries))
    path = tmp_path / "results.json"
    join_results(path, [(5, tmp_path / "c.json"), (2, tmp_path / "b.json"), (9, tmp_path / "a.json")])
    assert [(one["video_id"], one["category_id"]) for one in json.loads(path.read_text())] == [(5, 0), (9, 0), (9, 1)]
    join_results(path, [])
    assert json.loads(path.read_text()) == []
    for text in ("{", '{"a": 1}', "[1]"):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(MaskError, match="segment its video again, without --resume"):
            join_results(path, [(1, tmp_path / "a.json")])
    assert json.loads(path.read_text()) == []
    assert not [name for name in tmp_path.iterdir() if ".part" in name.name]


def test_numbers_of_a_set_go_by_names(tmp_path):
    numbers = Numbers(tmp_path / "x.json", {"a": 3}, {"Giant_panda": 2, "Cat": 5})
    assert numbers.of(["cat", "giant panda", "dog"]) == {"cat": 5, "giant panda": 2}
    with pytest.raises(OptionError, match=r"has no category of the model's \(dog \.\.\.\); it has Giant_panda, Cat"):
        numbers.of(["dog"])
    numbers.check(["a"])
    with pytest.raises(DataError, match=r"has no video b; it has 1 \(a \.\.\.\)"):
        numbers.check(["a", "b"])
    with pytest.raises(DataError, match="cannot read"):
        read_numbers(tmp_path / "x.json")
