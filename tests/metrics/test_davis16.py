"""The protocol: the official numbers from arrays and through files, and every way that predictions can be wrong."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.errors import DataError, MaskError, OptionError
from rotoscope.masks.label_map import write_label_png
from rotoscope.metrics.davis16 import Davis16Scores, as_json, evaluate, score_masks
from rotoscope.metrics.statistics import Statistics

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "davis16.json").read_text())
TRACKERS = list(EXPECTED)
NAMES = [sequence["sequence"] for sequence in EXPECTED["pred_a"]["sequences"]]


def load(name):
    with np.load(GOLDEN / f"davis16_{name}.npz") as stored:
        return {key: stored[key] != 0 for key in stored.files}


def near(found: Statistics, wanted):
    for name in ("mean", "recall", "decay"):
        assert getattr(found, name) == pytest.approx(wanted[name], rel=0, abs=1e-6), name
    return True


def near_global(found: Davis16Scores, wanted):
    figures = as_json(found)["global"]
    assert figures == pytest.approx(wanted, rel=0, abs=1e-6)
    return True


@pytest.mark.parametrize("tracker", TRACKERS)
def test_official_numbers(tracker):
    dropped, kept = [], []
    for wanted in EXPECTED[tracker]["sequences"]:
        masks = load(wanted["sequence"])
        dropped.append(score_masks(wanted["sequence"], masks["gt"], masks[tracker]))
        kept.append(score_masks(wanted["sequence"], masks["gt"], masks[tracker], keep_ends=True))
        assert kept[-1].region == pytest.approx(np.array(wanted["J_frames_all"]), rel=0, abs=1e-6)
        assert kept[-1].boundary == pytest.approx(np.array(wanted["F_frames_all"]), rel=0, abs=1e-6)
        assert len(kept[-1].frames) == wanted["frames"]
        assert near(dropped[-1].region_statistics, wanted["J"])
        assert near(dropped[-1].boundary_statistics, wanted["F"])
        assert near(kept[-1].region_statistics, wanted["all_frames"]["J"])
        assert near(kept[-1].boundary_statistics, wanted["all_frames"]["F"])
    assert near_global(Davis16Scores(tuple(dropped), False), EXPECTED[tracker]["global"])
    assert near_global(Davis16Scores(tuple(kept), True), EXPECTED[tracker]["global_all_frames"])


def save(folder, maps, mode="grey"):
    """Write maps as frames 00000.png on; grey as they are, or as palette files of ids."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index, values in enumerate(maps):
        files.append(folder / f"{index:05d}.png")
        if mode == "palette":
            write_label_png(files[-1], np.asarray(values, np.uint8))
        else:
            Image.fromarray(np.asarray(values, np.uint8)).save(files[-1])
    return files


def squares(count=6, size=(40, 60), step=1):
    masks = np.zeros((count, *size), np.uint8)
    for index in range(count):
        masks[index, 10:25, 10 + step * index : 30 + step * index] = 1
    return masks


@pytest.fixture
def truth(tmp_path):
    return {"box": save(tmp_path / "truth" / "box", squares() * 255)}


def predicted(tmp_path, maps, mode="grey", inner="box"):
    save(tmp_path / "predictions" / inner, maps, mode)
    return tmp_path / "predictions"


def scores_of(truth, predictions, **options):
    return evaluate(truth, predictions, **options).sequences[0]


def test_files_give_the_official_numbers(tmp_path):
    names = ["synthetic-leaves", "synthetic-short"]
    wanted = {entry["sequence"]: entry for entry in EXPECTED["pred_b"]["sequences"]}
    annotations = {}
    for name in names:
        masks = load(name)
        annotations[name] = save(tmp_path / "truth" / name, masks["gt"] * 255)
        save(tmp_path / "predictions" / name, masks["pred_b"])
    done = []
    found = evaluate(annotations, tmp_path / "predictions", workers=2, progress=done.append)
    assert done == names
    for sequence in found.sequences:
        assert near(sequence.region_statistics, wanted[sequence.name]["J"])
        assert near(sequence.boundary_statistics, wanted[sequence.name]["F"])
    assert as_json(found) == as_json(evaluate(annotations, tmp_path / "predictions"))


@pytest.mark.parametrize(
    ("maps", "mode", "rule"),
    [
        (squares() * 255, "grey", "not 0"),
        (squares(), "grey", "not 0"),
        (squares() * 100, "grey", "not 0"),
        (squares(), "palette", "not 0"),
        (squares() * 255, "palette", "not 0"),
        (squares() * np.arange(1, 7, dtype=np.uint8)[:, None, None], "palette", "not 0"),
        (squares() * np.arange(1, 7, dtype=np.uint8)[:, None, None], "grey", "not 0"),
        (40 + squares() * 160, "grey", "above 128"),
        (np.where(squares() != 0, 255, 3), "grey", "above 128"),
    ],
    ids=["0-255", "0-1", "one number", "palette", "palette 255", "ids", "grey ids", "soft", "soft low"],
)
def test_what_counts_as_foreground(tmp_path, truth, maps, mode, rule):
    found = scores_of(truth, predicted(tmp_path, maps, mode))
    assert found.rule == rule
    assert found.region.tolist() == [1.0] * 4


def test_a_soft_sequence_is_soft_on_frames_with_few_levels_too(tmp_path):
    """Noise of one level on an empty frame is no object when the sequence is known to be soft."""
    annotations = {"box": save(tmp_path / "truth" / "box", [np.zeros((40, 60))] * 3 + list(squares(3) * 255))}
    noise = np.zeros((40, 60), np.uint8)
    noise[5, 5] = 1
    predictions = predicted(tmp_path, [noise] * 3 + list(40 + squares(3) * 160))
    assert scores_of(annotations, predictions).region.tolist() == [1.0] * 4


@pytest.mark.parametrize("mode", ["grey", "palette"])
def test_void_of_a_2019_annotation_is_background(tmp_path, mode):
    maps = squares() * 2
    maps[:, 30:, :] = 255
    annotations = {"box": save(tmp_path / "truth" / "box", maps, mode)}
    assert scores_of(annotations, predicted(tmp_path, squares())).region.tolist() == [1.0] * 4


def test_uneven_grey_annotations_keep_255(tmp_path):
    maps = squares() * 255
    maps[:, 9, 15:20] = 120
    annotations = {"box": save(tmp_path / "truth" / "box", maps)}
    assert scores_of(annotations, predicted(tmp_path, maps != 0)).region.tolist() == [1.0] * 4


@pytest.mark.parametrize("inner", ["box", "box/masks", "box/anything"])
def test_one_more_folder(tmp_path, truth, inner):
    assert scores_of(truth, predicted(tmp_path, squares(), inner=inner)).region.min() == 1


def test_masks_folder_goes_before_other_pictures(tmp_path, truth):
    predictions = predicted(tmp_path, squares(), inner="box/masks")
    Image.new("RGB", (8, 8)).save(predictions / "box" / "sheet.png")
    assert scores_of(truth, predictions).region.min() == 1


def test_several_folders(tmp_path, truth):
    predicted(tmp_path, squares(), inner="box/a")
    with pytest.raises(DataError, match="several folders"):
        evaluate(truth, predicted(tmp_path, squares(), inner="box/b"))


def test_dropped_frames_need_no_prediction(tmp_path, truth):
    predictions = predicted(tmp_path, squares())
    (predictions / "box" / "00000.png").unlink()
    (predictions / "box" / "00005.png").unlink()
    assert scores_of(truth, predictions).frames == ("00001", "00002", "00003", "00004")
    with pytest.raises(DataError, match=r"2 of 6 frames of box .* 00000, 00005"):
        evaluate(truth, predictions, keep_ends=True)


def test_missing_frame(tmp_path, truth):
    predictions = predicted(tmp_path, squares())
    (predictions / "box" / "00002.png").unlink()
    with pytest.raises(DataError, match=r"1 of 4 frames of box have no prediction: no 00002"):
        evaluate(truth, predictions)
    found = scores_of(truth, predictions, missing="empty")
    assert found.missing == ("00002",)
    assert found.region.tolist() == [1, 0, 1, 1]


def test_missing_sequence_and_folder(tmp_path, truth):
    with pytest.raises(DataError, match="no predictions folder"):
        evaluate(truth, tmp_path / "predictions", missing="empty")
    (tmp_path / "predictions").mkdir()
    with pytest.raises(DataError, match="no predictions of box"):
        evaluate(truth, tmp_path / "predictions")
    assert scores_of(truth, tmp_path / "predictions", missing="empty").region.tolist() == [0.0] * 4


def test_extra_frames(tmp_path, truth):
    with pytest.raises(DataError, match=r"2 frames without annotation: 00006, 00007; box has 00000 to 00005"):
        evaluate(truth, predicted(tmp_path, squares(8)))


def test_hidden_files_are_passed_over(tmp_path, truth):
    predictions = predicted(tmp_path, squares())
    (predictions / "box" / "._00001.png").write_bytes(b"no picture")
    assert scores_of(truth, predictions).region.min() == 1


def test_another_size(tmp_path, truth):
    with pytest.raises(DataError, match=r"00001\.png is 30x20, its annotation .* is 60x40"):
        evaluate(truth, predicted(tmp_path, np.ones((6, 20, 30), np.uint8)))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_jpeg(tmp_path, truth, suffix):
    folder = tmp_path / "predictions" / "box"
    folder.mkdir(parents=True)
    for index, values in enumerate(squares() * 255):
        Image.fromarray(values).save(folder / f"{index:05d}{suffix}", "JPEG")
    for missing in ("error", "empty"):
        with pytest.raises(DataError, match=r"0000.*is a JPEG"):
            evaluate(truth, tmp_path / "predictions", missing=missing)


def test_damaged_file(tmp_path, truth):
    predictions = predicted(tmp_path, squares())
    path = predictions / "box" / "00003.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"00003\.png"):
        evaluate(truth, predictions, workers=1)


def test_too_short(tmp_path):
    annotations = {"box": save(tmp_path / "truth" / "box", squares(2) * 255)}
    predictions = predicted(tmp_path, squares(2))
    with pytest.raises(DataError, match="keep the end frames"):
        evaluate(annotations, predictions)
    assert evaluate(annotations, predictions, keep_ends=True).region_and_boundary == 1


def test_bad_options(tmp_path, truth):
    with pytest.raises(OptionError, match="worker"):
        evaluate(truth, predicted(tmp_path, squares()), workers=0)
    with pytest.raises(DataError, match="no sequence"):
        evaluate({}, tmp_path)
    with pytest.raises(DataError, match="one each"):
        score_masks("box", squares() != 0, squares(5) != 0)
    with pytest.raises(MaskError):
        score_masks("box", squares(), squares())


def test_needs_no_torch():
    code = "import sys, rotoscope.metrics.davis16; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
