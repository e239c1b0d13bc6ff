"""The protocols with several objects: the official numbers from arrays and through files, and wrong predictions."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from rotoscope.errors import DataError, MaskError
from rotoscope.masks.label_map import write_label_png
from rotoscope.metrics.davis17 import Davis17Scores, as_json, evaluate, score_label_maps

GOLDEN = Path(__file__).parent / "golden"
FILES = {"semi-supervised": "davis17_semi", "unsupervised": "davis17_unsup"}
EXPECTED = {task: json.loads((GOLDEN / f"{name}.json").read_text()) for task, name in FILES.items()}
CASES = [(task, tracker) for task in FILES for tracker in EXPECTED[task]]


def names_of(task, tracker):
    return list(dict.fromkeys(item["name"].rpartition("_")[0] for item in EXPECTED[task][tracker]["objects"]))


def load(task, name):
    with np.load(GOLDEN / f"{FILES[task]}_{name}.npz") as stored:
        return dict(stored)


def rows_of(sequence, task):
    """The official tool's rows: by object, or in the unsupervised task by proposal."""
    ranked = sequence.objects if task == "semi-supervised" else sorted(sequence.objects, key=lambda one: one.proposal)
    return {f"{sequence.name}_{place}": one for place, one in enumerate(ranked, start=1)}


def check(scores, task, tracker):
    wanted = EXPECTED[task][tracker]
    assert as_json(scores)["global"] == pytest.approx(wanted["global"], rel=0, abs=1e-6)
    rows = {}
    for sequence in scores.sequences:
        rows |= rows_of(sequence, task)
    assert len(rows) == len(wanted["objects"])
    for item in wanted["objects"]:
        found = rows[item["name"]]
        assert found.region == pytest.approx(np.array(item["J_frames"]), rel=0, abs=1e-6)
        assert found.boundary == pytest.approx(np.array(item["F_frames"]), rel=0, abs=1e-6)
        for statistics, key in ((found.region_statistics, "J"), (found.boundary_statistics, "F")):
            for name in ("mean", "recall", "decay"):
                assert getattr(statistics, name) == pytest.approx(item[key][name], rel=0, abs=1e-6)


@pytest.mark.parametrize(("task", "tracker"), CASES)
def test_official_numbers(task, tracker):
    sequences = []
    for name in names_of(task, tracker):
        maps = load(task, name)
        sequences.append(score_label_maps(name, maps["gt"], maps[tracker], task))
    scores = Davis17Scores(task, tuple(sequences), task == "unsupervised")
    check(scores, task, tracker)
    for item in EXPECTED[task][tracker].get("assignment", ()):
        found = next(one for one in sequences if one.name == item["sequence"])
        assert [found.proposals, len(found.objects)] == item["score_matrix_shape"]
        maps = load(task, found.name)
        for number, proposal in item["gt_to_proposal"].items():
            mine = found.objects[int(number) - 1].proposal
            # Of proposals without a pixel any is right.
            assert mine == proposal or not np.isin(maps[tracker], [mine, proposal]).any()


@pytest.mark.parametrize(("task", "tracker", "workers"), [(*CASES[0], 2), (*CASES[1], 1), (*CASES[2], 1)])
def test_files_give_the_official_numbers(tmp_path, task, tracker, workers):
    annotations = {}
    for name in names_of(task, tracker):
        maps = load(task, name)
        annotations[name] = save(tmp_path / "truth" / name, maps["gt"])
        save(tmp_path / "predictions" / name, maps[tracker])
    check(evaluate(annotations, tmp_path / "predictions", task, workers=workers), task, tracker)


def save(folder, maps):
    files = []
    for index, values in enumerate(maps):
        files.append(folder / f"{index:05d}.png")
        write_label_png(files[-1], np.asarray(values, np.uint8))
    return files


def two_objects(count=5):
    maps = np.zeros((count, 40, 60), np.uint8)
    maps[:, 5:20, 5:25] = 1
    maps[:, 10:30, 35:55] = 2
    return maps


@pytest.fixture
def truth(tmp_path):
    return {"pair": save(tmp_path / "truth" / "pair", two_objects())}


def predicted(tmp_path, maps):
    save(tmp_path / "predictions" / "pair", maps)
    return tmp_path / "predictions"


def test_objects_that_enter_later_do_not_count_and_void_does_not_either(tmp_path):
    maps = two_objects()
    maps[2:, 32:36, 5:9] = 3
    maps[:, 0:3] = 255
    found = score_label_maps("pair", maps, two_objects(), "semi-supervised")
    assert [item.id for item in found.objects] == [1, 2]
    assert found.objects[0].region.tolist() == [1, 1, 1]
    assert found.frames == ("00001", "00002", "00003")


def test_void_is_left_out_when_unsupervised():
    maps, prediction = two_objects(), two_objects()
    maps[:, 5:20, 25:30] = 255
    prediction[:, 5:20, 25:30] = 1  # on void
    found = score_label_maps("pair", maps, prediction, "unsupervised")
    assert found.objects[0].region.tolist() == [1] * 5
    assert len(found.frames) == 5
    kept = score_label_maps("pair", maps, prediction, "semi-supervised", keep_ends=True)
    assert kept.objects[0].region.max() < 1


def test_assignment_is_one_to_one_and_surplus_costs_nothing():
    prediction = two_objects()
    prediction[two_objects() == 1] = 7
    prediction[two_objects() == 2] = 3
    prediction[:, 35:, :] = 20
    found = score_label_maps("pair", two_objects(), prediction, "unsupervised")
    assert [(item.id, item.proposal) for item in found.objects] == [(1, 7), (2, 3)]
    assert found.proposals == 20
    assert all(item.region.min() == 1 for item in found.objects)


def test_fewer_proposals_than_objects():
    found = score_label_maps("pair", two_objects(), (two_objects() == 2) * np.uint8(1), "unsupervised")
    assert {item.id: item.region.mean() for item in found.objects} == {1: 0, 2: 1}


@settings(deadline=None, max_examples=25)
@given(hnp.arrays(np.uint8, (3, 12, 14), elements=st.integers(0, 4)), st.permutations([1, 2, 3, 4]))
def test_the_numbers_of_proposals_do_not_matter(maps, order):
    truth = np.zeros((3, 12, 14), np.uint8)
    truth[:, 2:6, 2:6], truth[:, 7:11, 7:12] = 1, 2
    table = np.array([0, *order], np.uint8)
    first = score_label_maps("x", truth, maps, "unsupervised")
    second = score_label_maps("x", truth, table[maps], "unsupervised")
    one, other = (Davis17Scores("unsupervised", (found,), True).region_and_boundary for found in (first, second))
    assert one == pytest.approx(other, abs=1e-12)
    assert 0 <= one <= 1


@pytest.mark.parametrize("task", list(FILES))
def test_black_and_white(tmp_path, truth, task):
    predictions = predicted(tmp_path, (two_objects() != 0) * 255)
    with pytest.raises(DataError, match=r"00000\.png holds 0 and 255|00001\.png holds 0 and 255"):
        evaluate(truth, predictions, task)
    annotations = {"pair": save(tmp_path / "old" / "pair", (two_objects() != 0) * 255)}
    with pytest.raises(DataError, match="annotation of DAVIS 2016"):
        evaluate(annotations, predictions, task)


def test_the_best_instance_for_the_one_object_of_davis_2016(tmp_path):
    maps = two_objects()
    annotations = {"pair": save(tmp_path / "old" / "pair", (maps != 0) * 255)}
    predictions = predicted(tmp_path, np.where(maps == 2, 3, maps))
    found = evaluate(annotations, predictions, "unsupervised", one_object=True).sequences[0].objects
    assert [one.proposal for one in found] == [3]
    np.testing.assert_allclose(found[0].region, 400 / 700)
    with pytest.raises(DataError, match="--one-object"):
        evaluate(annotations, predictions, "unsupervised")


def test_ids_above_the_limit(tmp_path, truth):
    maps = two_objects()
    maps[3, 0, 0] = 21
    predictions = predicted(tmp_path, maps)
    with pytest.raises(DataError, match=r"00003\.png holds the id 21; at most 20"):
        evaluate(truth, predictions, "unsupervised")
    with pytest.raises(DataError, match=r"00003\.png holds the id 21, the first annotation of pair has objects 1 to 2"):
        evaluate(truth, predictions, "semi-supervised")


def test_missing_frames_and_sequences(tmp_path, truth):
    predictions = predicted(tmp_path, two_objects())
    (predictions / "pair" / "00002.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 frames of pair have no prediction: no 00002"):
        evaluate(truth, predictions, "semi-supervised")
    found = evaluate(truth, predictions, "semi-supervised", missing="empty").sequences[0]
    assert found.missing == ("00002",)
    assert found.objects[1].region.tolist() == [1, 0, 1]
    with pytest.raises(DataError, match="no predictions of pair"):
        evaluate(truth, tmp_path / "truth" / "pair", "unsupervised")


def test_other_sizes_and_no_object(tmp_path, truth):
    with pytest.raises(DataError, match=r"30x20, its annotation .* is 60x40"):
        evaluate(truth, predicted(tmp_path, np.ones((5, 20, 30), np.uint8)), "unsupervised")
    with pytest.raises(MaskError, match="sizes must be equal"):
        score_label_maps("pair", two_objects(), two_objects()[:, :20], "unsupervised")
    with pytest.raises(DataError, match="no object"):
        score_label_maps("pair", np.zeros((5, 4, 4), np.uint8), np.zeros((5, 4, 4), np.uint8), "unsupervised")
    with pytest.raises(DataError, match="one each"):
        score_label_maps("pair", two_objects(), two_objects(4), "unsupervised")


def test_colour_pictures_are_read_by_the_palette_or_refused(tmp_path, truth):
    predictions = predicted(tmp_path, two_objects())
    path = predictions / "pair" / "00001.png"
    colours = Image.open(path).convert("RGB")
    colours.save(path)
    assert evaluate(truth, predictions, "semi-supervised").region_and_boundary == 1
    colours.putpixel((0, 0), (1, 2, 3))
    colours.save(path)
    with pytest.raises(DataError, match=r"00001\.png is a colour picture"):
        evaluate(truth, predictions, "semi-supervised")


def test_official_decay_of_long_sequences(tmp_path):
    maps = np.zeros((301, 6, 8), np.uint8)
    maps[:, 1:4, 1:5] = 1
    prediction = maps.copy()
    prediction[200:] = 0
    annotations = {"long": save(tmp_path / "truth" / "long", maps)}
    save(tmp_path / "predictions" / "long", prediction)
    plain, official = (
        evaluate(annotations, tmp_path / "predictions", "unsupervised", official=flag).sequences[0].objects[0]
        for flag in (False, True)
    )
    assert plain.region_statistics.decay == 1
    assert official.region_statistics.decay != 1
