"""F and MAE of soft maps: the tools' numbers from arrays and files, and what must hold always."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from rotoscope.errors import DataError, MaskError
from rotoscope.masks.label_map import write_label_png
from rotoscope.metrics.saliency import (
    SaliencyScores,
    framewise_levels,
    histogram,
    pooled_levels,
    pooled_probabilities,
    score_maps,
)
from rotoscope.metrics.saliency_files import evaluate
from tests.golden.recipe import random_input

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "saliency.json").read_text())
NAMES = EXPECTED["sequence_order"]
POOLED = {
    "max_f": "max_f",
    "precision": "precision_at_max",
    "recall": "recall_at_max",
    "mae": "mae",
    "f_at_half": "f1_at_half",
    "pixels": "pixels",
    "foreground": "foreground",
}


def arrays(name):
    with np.load(GOLDEN / "saliency.npz") as stored:
        return stored[f"{name}/gt"] != 0, stored[f"{name}/prob8"]


@pytest.fixture(scope="module")
def scores():
    return SaliencyScores(tuple(score_maps(name, *arrays(name)) for name in NAMES))


def near(found, wanted, names):
    for mine, theirs in names.items():
        assert getattr(found, mine) == pytest.approx(wanted[theirs], rel=0, abs=1e-6), mine
    return True


@pytest.mark.parametrize(("keep", "group"), [(True, "pooled_all_frames"), (False, "pooled_without_first_and_last")])
def test_pooled(scores, keep, group):
    assert near(scores.pooled(keep), EXPECTED[group], POOLED)


def test_the_log_of_a_sequence(scores):
    for wanted, found in zip(EXPECTED["per_sequence_all_frames"], scores.sequences, strict=True):
        assert found.name == wanted["sequence"]
        assert near(found.pooled(), wanted, {"f_of_mask": "f_of_binary_map", "mae": "mae"})


@pytest.mark.parametrize(("keep", "group"), [(True, "vsod_all_frames"), (False, "vsod_without_first_and_last")])
def test_framewise(scores, keep, group):
    names = {name: name for name in ("adaptive_f", "max_f", "mean_f", "mae")}
    assert near(scores.framewise(keep), EXPECTED[group]["total"], names)
    for wanted in EXPECTED[group]["sequences"]:
        found = next(one for one in scores.sequences if one.name == wanted["sequence"]).framewise(keep)
        assert near(found, wanted, names)
        if "curve" in wanted:
            assert found.curve == pytest.approx(np.array(wanted["curve"]), rel=0, abs=1e-6)


def test_float_maps():
    case = EXPECTED["continuous"]
    probability, source = (random_input(case[name], tuple(case["shape"])) for name in ("prob", "gt_source"))
    truth = source < np.float32(0.4) * probability + np.float32(0.1)
    assert near(pooled_probabilities(truth, probability), case["expected"], POOLED)


@pytest.mark.parametrize("inner", ["{}", "{}.soft", "{}/soft"])
def test_files_give_the_same_numbers(tmp_path, scores, inner):
    annotations = {}
    for name in NAMES:
        truth, soft = arrays(name)
        annotations[name] = save(tmp_path / "truth" / name, truth * np.uint8(255))
        save(tmp_path / "predictions" / inner.format(name), soft)
        if inner == "{}.soft":  # masks beside the soft maps, as `segment --soft` leaves them
            save(tmp_path / "predictions" / name, truth * np.uint8(1))
    found = evaluate(annotations, tmp_path / "predictions")
    for mine, wanted in zip(found.sequences, scores.sequences, strict=True):
        assert np.array_equal(mine.histograms, wanted.histograms)
        assert not mine.hard


def save(folder, maps):
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index, values in enumerate(maps):
        files.append(folder / f"{index:05d}.png")
        Image.fromarray(np.asarray(values, np.uint8)).save(files[-1])
    return files


maps = hnp.arrays(np.uint8, (3, 6, 7))
truths = hnp.arrays(np.bool_, (3, 6, 7))


@settings(deadline=None, max_examples=60)
@given(truths, maps)
def test_histograms_equal_float_maps_and_bounds_hold(truth, soft):
    scores = score_maps("x", truth, soft).pooled()
    floats = pooled_probabilities(truth, soft / 255)
    assert scores.mae == pytest.approx(floats.mae, abs=1e-12)
    assert scores.max_f == pytest.approx(floats.max_f, abs=1e-12, nan_ok=True)
    assert 0 <= scores.mae <= 1
    if truth.any():
        assert scores.max_f >= max(scores.f_at_half, 2 * truth.sum() / (truth.size + truth.sum())) - 1e-12
    else:
        assert math.isnan(scores.max_f)


@settings(deadline=None, max_examples=40)
@given(truths, st.integers(1, 255))
def test_a_perfect_map(truth, level):
    if not truth.any():
        return
    assert score_maps("x", truth, truth * np.uint8(level)).pooled().max_f == 1
    frame = framewise_levels(histogram(truth[0], truth[0] * np.uint8(level)))
    if truth[0].any() and not truth[0].all():  # stretched to 0..1, the level does not matter
        assert (frame.max_f, frame.adaptive_f, frame.mae) == (1, 1, 0)


def test_no_true_positive_at_the_top():
    """The authors' plain maximum is NaN then; ours leaves such thresholds out."""
    truth = np.array([[[True, False]]])
    scores = score_maps("x", truth, np.array([[[100, 200]]], np.uint8))
    assert scores.pooled().max_f == pytest.approx(2 / 3)
    assert math.isnan(scores.pooled(official=True).max_f)


def test_too_few_frames_for_the_framewise_scores():
    scores = score_maps("x", np.ones((2, 3, 3), np.bool_), np.full((2, 3, 3), 255, np.uint8))
    assert scores.framewise() is None
    assert SaliencyScores((scores,)).framewise() is None
    assert scores.framewise(keep_ends=True).max_f == 1


SQUARE = np.zeros((3, 20, 30), np.uint8)
SQUARE[:, 5:12, 6:20] = 1


@pytest.mark.parametrize("level", [1, 255])
@pytest.mark.parametrize("palette", [False, True])
def test_masks_are_taken_too(tmp_path, level, palette):
    annotations = {"x": save(tmp_path / "truth" / "x", SQUARE * 255)}
    for index, values in enumerate(SQUARE * np.uint8(level)):
        path = tmp_path / "predictions" / "x" / f"{index:05d}.png"
        if palette:
            write_label_png(path, values)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    found = evaluate(annotations, tmp_path / "predictions").sequences[0]
    assert found.hard
    assert (found.pooled().max_f, found.pooled().mae, found.framewise().max_f) == (1, 0, 1)


def test_sparse_annotations_named_otherwise(tmp_path):
    annotations = [path.rename(path.with_name(f"{path.stem[-3:]}_gt.png")) for path in save(tmp_path / "t", SQUARE)]
    folder = tmp_path / "predictions" / "x"
    for index, path in enumerate(save(folder, np.repeat(SQUARE, 3, axis=0) * 255)):
        path.rename(folder / f"cars1_{index:04d}.png")
    found = evaluate({"x": annotations}, tmp_path / "predictions", sparse=True).sequences[0]
    assert found.pooled().max_f == 1
    with pytest.raises(DataError, match="9 frames without annotation"):
        evaluate({"x": annotations}, tmp_path / "predictions")
    (folder / "cars1_0001.png").rename(folder / "again_0002.png")
    with pytest.raises(DataError, match="give them the same names"):
        evaluate({"x": annotations}, tmp_path / "predictions", sparse=True)


def test_grey_levels_in_annotations(tmp_path):
    """All but 0 is foreground for pooled pixels, above 128 for the framewise benchmarks, unless numbers are ids."""
    annotations = {"x": save(tmp_path / "truth" / "x", SQUARE * 90)}
    predictions = tmp_path / "predictions"
    save(predictions / "x", SQUARE * 255)
    assert evaluate(annotations, predictions, ids=False).sequences[0].framewise().max_f == 0
    assert evaluate(annotations, predictions, ids=False).pooled().max_f == 1
    assert evaluate(annotations, predictions).sequences[0].framewise().max_f == 1


def test_sizes(tmp_path):
    annotations = {"x": save(tmp_path / "truth" / "x", SQUARE * 255)}
    save(tmp_path / "predictions" / "x", np.kron(SQUARE, np.full((2, 2), 255, np.uint8)))
    with pytest.raises(DataError, match=r"60x40, its annotation .* is 30x20"):
        evaluate(annotations, tmp_path / "predictions")
    assert evaluate(annotations, tmp_path / "predictions", resize=True).pooled().max_f == 1


def test_missing_frames_and_wrong_files(tmp_path):
    annotations = {"x": save(tmp_path / "truth" / "x", SQUARE * 255)}
    save(tmp_path / "predictions" / "x", SQUARE[:2] * 255)
    with pytest.raises(DataError, match="1 of 3 frames of x have no prediction: no 00002"):
        evaluate(annotations, tmp_path / "predictions")
    found = evaluate(annotations, tmp_path / "predictions", missing="empty").sequences[0]
    assert found.missing == ("00002",)
    assert 0 < found.pooled().recall < 1
    Image.fromarray(np.zeros((20, 30), np.uint16)).save(tmp_path / "predictions" / "x" / "00002.png")
    assert evaluate(annotations, tmp_path / "predictions").sequences[0].missing == ()
    with pytest.raises(MaskError, match="expected bool"):
        histogram(SQUARE[0], SQUARE[0])
    with pytest.raises(MaskError, match="sizes must be equal"):
        histogram(SQUARE[0] != 0, SQUARE[0][:3])
    with pytest.raises(MaskError, match=r"lie in 0\.\.1"):
        pooled_probabilities(SQUARE != 0, SQUARE * 2.0)
    with pytest.raises(DataError, match="at least one"):
        score_maps("x", [], [])
    assert pooled_levels(histogram(SQUARE[0] != 0, SQUARE[0] * np.uint8(255))).max_f == 1


def test_an_adaptive_threshold_right_on_a_level():
    """Stretched the map is .8, 1, 0, .2, 0 with mean .4: the first pixel reaches the threshold of .8."""
    truth = np.array([[True, True, False, False, False]])
    assert framewise_levels(histogram(truth, np.array([[72, 90, 0, 18, 0]], np.uint8))).adaptive_f == 1
