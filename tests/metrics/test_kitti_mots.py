"""KITTI-MOTS: the tracking toolkit's and the older tool's numbers, and results that cannot be scored."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rotoscope.errors import DataError, OptionError
from rotoscope.masks.png import write_grey_png
from rotoscope.masks.run_length import decode, encode, to_string
from rotoscope.metrics.kitti_mots import CLASSES, evaluate, read_frames

GOLDEN = Path(__file__).parent / "golden"
EXPECTED = json.loads((GOLDEN / "mots.json").read_text())
TRACKERS = list(EXPECTED["trackeval"])
LENGTHS = {
    line.split()[0]: int(line.split()[3]) + 1
    for line in (GOLDEN / "mots" / "gt" / "evaluate_mots.seqmap.val").read_text().splitlines()
}
TRUTHS = {name: (GOLDEN / "mots" / "gt" / "label_02" / f"{name}.txt", count) for name, count in LENGTHS.items()}


def results(tracker):
    return GOLDEN / "mots" / "trackers" / tracker


def near(found, wanted, where):
    for name, value in wanted.items():
        if name != "Frames":
            if value is None:
                assert not np.isfinite(found[name]), (where, name)
            elif isinstance(value, int):
                assert found[name] == value, (where, name)
            else:
                assert np.asarray(found[name]) == pytest.approx(np.array(value), rel=0, abs=1e-6), (where, name)
    return True


def near_all(scores, wanted, where):
    assert near(scores.tracking.hota.figures(), wanted["HOTA"], where)
    assert near(scores.tracking.clear.figures(), wanted["CLEAR"], where)
    assert near(scores.tracking.identity.figures(), wanted["Identity"], where)
    assert near(scores.tracking.counts.figures(), wanted["Count"], where)
    return True


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("tracker", TRACKERS)
def test_the_tools_numbers(tracker, workers):
    scores = evaluate(TRUTHS, results(tracker), workers=workers)
    expected = EXPECTED["trackeval"][tracker]
    for name in CLASSES:
        for sequence in scores.sequences:
            assert near_all(sequence.classes[name], expected[sequence.name][name], (sequence.name, name))
        assert near_all(scores.classes[name], expected["COMBINED_SEQ"][name], ("all", name))
        assert near(scores.classes[name].older.figures(), EXPECTED["mots_tools"][tracker][name], ("older", name))


def test_png_annotations_and_results(tmp_path):
    """The PNG form of both sides gives the same numbers as the text form."""
    name = "0006"
    for kind, path in (("truth", TRUTHS[name][0]), ("results", results("tracker_a") / "data" / f"{name}.txt")):
        for index, masks in read_frames(path).items():
            labels = np.zeros(masks[0].mask.size, np.uint16)
            for one in masks:
                number = one.id if one.id >= 1000 else one.category * 1000 + one.id
                labels[decode(one.mask)] = number
            (tmp_path / kind / name).mkdir(parents=True, exist_ok=True)
            write_grey_png(tmp_path / kind / name / f"{index:06d}.png", labels)
    pictures = evaluate({name: (tmp_path / "truth" / name, LENGTHS[name])}, tmp_path / "results")
    text = evaluate({name: TRUTHS[name]}, results("tracker_a"))
    for label in CLASSES:
        assert pictures.classes[label].tracking.clear == text.classes[label].tracking.clear
        assert np.array_equal(pictures.classes[label].tracking.hota.hota, text.classes[label].tracking.hota.hota)


def line(index, number, category, mask):
    height, width = mask.shape
    return f"{index} {number} {category} {height} {width} {to_string(encode(mask))}\n"


SQUARE = np.zeros((6, 9), np.bool_)
SQUARE[1:4, 1:5] = True
OTHER = np.roll(SQUARE, 4, axis=1)


@pytest.fixture
def truth(tmp_path):
    path = tmp_path / "0002.txt"
    path.write_text("".join(line(index, 1001, 1, SQUARE) for index in range(4)))
    return {"0002": (path, 4)}


def write(tmp_path, *lines):
    (tmp_path / "results").mkdir(exist_ok=True)
    (tmp_path / "results" / "0002.txt").write_text("".join(lines))
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [line(0, 1, 1, SQUARE), line(0, 2, 2, SQUARE)],
            r"line 2 of .*0002\.txt: on frame 0 the mask of id 2 overlaps that of id 1 \(line 1\)",
        ),
        ([line(0, 1, 1, SQUARE), line(0, 1, 1, OTHER)], r"line 2 of .*0002\.txt gives id 1 a second mask on frame 0"),
        ([line(0, 1, 1, SQUARE), line(9, 1, 1, OTHER)], r"line 2 of .*: frame 9, sequence 0002 has frames 0 to 3"),
        ([line(0, 1, 3, SQUARE)], r"line 1 of .* has class 3, which is none of: 1 \(car\), 2 \(pedestrian\)"),
        ([line(0, 1, 10, SQUARE)], r"line 1 of .* is of the ignore class"),
        ([line(0, 1, 1, SQUARE[:, :6])], r"masks of 6x6, the annotation 9x6"),
        (["0 1 1 6 9 !!!\n"], r"line 1 of .*: the run-length string holds '!'"),
        (["0 1 1 6 9 11\n"], r"line 1 of .*: run lengths sum to 2"),
        (["0 1 1 6\n"], r"line 1 of .* is not 'frame id class"),
    ],
    ids=["overlap", "id twice", "late", "class", "ignore class", "size", "no code", "short code", "fields"],
)
def test_broken_results(tmp_path, truth, lines, message):
    with pytest.raises(DataError, match=message):
        evaluate(truth, write(tmp_path, *lines))


def test_masks_without_a_pixel_are_detections_that_match_nothing(tmp_path, truth):
    """So the tracking toolkit has it: their IoU is 0, also with each other, and no region to ignore holds them."""
    nothing = np.zeros_like(SQUARE)
    region = line(0, 10000, 10, OTHER)
    truth["0002"][0].write_text(line(0, 1001, 1, SQUARE) + region + line(1, 1001, 1, nothing))
    predictions = write(tmp_path, line(0, 1, 1, SQUARE), line(0, 2, 1, nothing), line(1, 1, 1, nothing))
    scores = evaluate(truth, predictions).classes["car"]
    for found in (scores.tracking.clear, scores.older):
        assert (found.tp, found.fp, found.fn) == (1, 2, 1)
    assert np.isfinite(scores.tracking.hota.hota).all()


def test_regions_to_ignore_share_an_id_and_may_overlap(tmp_path, truth):
    regions = [line(0, 10000, 10, SQUARE), line(0, 10000, 10, np.roll(SQUARE, 1, axis=0))]
    truth["0002"][0].write_text("".join(regions))
    scores = evaluate(truth, write(tmp_path, line(0, 1, 1, SQUARE), line(0, 2, 1, OTHER)))
    assert (scores.classes["car"].tracking.clear.fp, scores.classes["car"].older.ignored) == (1, 1)


def test_missing_and_empty_results(tmp_path, truth):
    with pytest.raises(DataError, match="no predictions folder"):
        evaluate(truth, tmp_path / "results")
    folder = write(tmp_path)
    scores = evaluate(truth, folder)
    assert (scores.classes["car"].tracking.clear.fn, scores.sequences[0].missing) == (4, False)
    (folder / "0002.txt").unlink()
    with pytest.raises(DataError, match="no result of sequence 0002"):
        evaluate(truth, folder)
    assert evaluate(truth, folder, missing="empty").sequences[0].missing
    with pytest.raises(OptionError, match="worker"):
        evaluate(truth, folder, missing="empty", workers=0)


def test_without_a_known_length_the_last_mask_ends_the_sequence(tmp_path, truth):
    scores = evaluate({"0002": (truth["0002"][0], None)}, write(tmp_path, line(6, 1, 1, SQUARE)))
    assert scores.sequences[0].frames == 7


def test_results_of_the_toolkits_layout(tmp_path, truth):
    folder = write(tmp_path, *(line(index, 5, 1, SQUARE) for index in range(4)))
    (folder / "data").mkdir()
    shutil.move(folder / "0002.txt", folder / "data" / "0002.txt")
    assert evaluate(truth, folder).classes["car"].tracking.hota.hota.tolist() == [1] * 19
