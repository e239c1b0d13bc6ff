"""`rotoscope evaluate` on every benchmark: tables, JSON, the tools' files, plots; and everything that can be wrong."""

import csv
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.masks.label_map import write_label_png
from rotoscope.masks.run_length import encode, to_coco
from tests.cli.test_bad_input import refused

GOLDEN = Path(__file__).parent.parent / "metrics" / "golden"
DAVIS17 = {"davis17": "davis17_semi", "davis17-unsupervised": "davis17_unsup"}


def expected(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def write_maps(folder, maps):
    for index, values in enumerate(maps):
        write_label_png(folder / f"{index:05d}.png", np.asarray(values, np.uint8))


@pytest.fixture
def davis17(tmp_path, request):
    """The golden sequences of a protocol as DAVIS's package, and a tracker's maps."""
    files = DAVIS17[request.param]
    base = "Annotations" if request.param == "davis17" else "Annotations_unsupervised"
    names = []
    for path in sorted(GOLDEN.glob(f"{files}_*.npz")):
        names.append(path.stem.removeprefix(f"{files}_"))
        with np.load(path) as stored:
            write_maps(tmp_path / "davis" / base / "480p" / names[-1], stored["gt"])
            write_maps(tmp_path / "maps" / names[-1] / "masks", stored["pred_a"])
    (tmp_path / "davis" / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "davis" / "ImageSets" / "2017" / "val.txt").write_text("\n".join(["absent", *names]))
    return request.param, tmp_path, expected(files)["pred_a"]


@pytest.mark.parametrize("davis17", list(DAVIS17), indirect=True)
def test_davis17(davis17, run):
    benchmark, folder, wanted = davis17
    code, out, err = run(
        *("evaluate", benchmark, "--annotations", folder / "davis", "--predictions", folder / "maps", "--official"),
        *("--json", folder / "o" / "scores.json", "--csv", folder / "o", "--plot", folder / "o", "--workers", "2"),
    )
    assert (code, err) == (0, "")
    report = json.loads((folder / "o" / "scores.json").read_text())
    assert report["global"] == pytest.approx(wanted["global"], rel=0, abs=1e-6)
    assert report["benchmark"] == benchmark
    assert "left out, no annotations here: absent" in out
    rows = list(csv.reader((folder / "o" / "global_results-val.csv").read_text().splitlines()))
    assert dict(zip(*rows, strict=True)) == {name: f"{value:.3f}" for name, value in wanted["global"].items()}
    parts = {
        row[0]: row[1:] for row in csv.reader((folder / "o" / "per-sequence_results-val.csv").read_text().splitlines())
    }
    assert parts.pop("Sequence") == ["J-Mean", "F-Mean"]
    # With --official the rows have the tool's numbers, in order of proposals in the unsupervised task.
    assert parts == {item["name"]: [f"{item[key]['mean']:.3f}" for key in "JF"] for item in wanted["objects"]}
    for name in ("sequences.png", "over-time.png"):
        with Image.open(folder / "o" / name) as image:
            assert image.width > 400


@pytest.mark.parametrize("davis17", ["davis17"], indirect=True)
def test_splits_without_public_annotations(davis17, run):
    benchmark, folder, _ = davis17
    common = ("evaluate", benchmark, "--annotations", folder / "davis", "--predictions", folder / "maps")
    assert refused(run(*common, "--split", "test-dev"), "not public", "rotoscope export davis17")
    assert refused(run(*common, "--split", "train"), "no list of the split 'train'", "train.txt")


def test_saliency(tmp_path, run):
    wanted = expected("saliency")
    with np.load(GOLDEN / "saliency.npz") as stored:
        for name in wanted["sequence_order"]:
            write_maps(tmp_path / "truth" / name, stored[f"{name}/gt"] * 255)
            for index, values in enumerate(stored[f"{name}/prob8"]):
                path = tmp_path / "maps" / f"{name}.soft" / f"{index:05d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(values).save(path)
    common = ("evaluate", "saliency", "--annotations", tmp_path / "truth", "--predictions", tmp_path / "maps")
    code, out, err = run(*common, "--json", tmp_path / "s.json", "--plot", tmp_path / "plots")
    assert (code, err) == (0, "")
    report = json.loads((tmp_path / "s.json").read_text())
    for name in ("max_f", "mae", "f1_at_half", "precision_at_max"):
        assert report["pooled"][name] == pytest.approx(wanted["pooled_all_frames"][name], rel=0, abs=1e-6)
    for name, value in wanted["vsod_without_first_and_last"]["total"].items():
        assert report["framewise"][name] == pytest.approx(value, rel=0, abs=1e-6)
    assert "pooled, beta^2 = 1, first and last annotated frame kept" in out
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        "precision-recall.png",
        "sequences.png",
        "error.png",
    }
    code, _, _ = run(*common, "--json", tmp_path / "s.json", "--ends", "drop")
    report = json.loads((tmp_path / "s.json").read_text())
    assert code == 0
    assert report["pooled"]["mae"] == pytest.approx(wanted["pooled_without_first_and_last"]["mae"], rel=0, abs=1e-6)
    assert run(*common, "--csv", tmp_path / "c")[0] == 0
    rows = list(csv.DictReader((tmp_path / "c" / "saliency.csv").read_text().splitlines()))
    assert float(rows[-1]["MAE"]) == pytest.approx(wanted["pooled_all_frames"]["mae"], abs=1e-6)


def test_fbms_and_visal(tmp_path, run):
    square = np.zeros((4, 20, 30), np.uint8)
    square[:, 5:12, 6:20] = 200
    for index, values in enumerate(square):
        for place in (
            f"fbms/Testset/cars1/GroundTruth/{index + 1:03d}_gt.pgm",
            f"visal/GroundTruth/Car/{index:05d}.bmp",
        ):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(tmp_path / place)
    for index in range(8):
        for place in (f"maps/cars1/cars1_{index:04d}.png", f"maps/Car/{index:05d}.png"):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(square[0]).save(tmp_path / place)
    for dataset, name in (("fbms", "cars1"), ("visal", "Car")):
        code, out, _ = run(
            *("evaluate", "saliency", "--dataset", dataset, "--annotations", tmp_path / dataset),
            *("--predictions", tmp_path / "maps", "--json", tmp_path / "s.json"),
        )
        assert code == 0
        report = json.loads((tmp_path / "s.json").read_text())
        assert [one["sequence"] for one in report["sequences"]] == [name]
        assert report["pooled"]["max_f"] == 1
        assert "4 annotated frames" in out


def test_kitti_mots(tmp_path, run):
    code, out, err = run(
        *("evaluate", "kitti-mots", "--annotations", GOLDEN / "mots" / "gt"),
        *("--predictions", GOLDEN / "mots" / "trackers" / "tracker_a", "--json", tmp_path / "m.json"),
        *("--csv", tmp_path, "--plot", tmp_path),
    )
    assert (code, err) == (0, "")
    wanted = expected("mots")["trackeval"]["tracker_a"]["COMBINED_SEQ"]
    report = json.loads((tmp_path / "m.json").read_text())
    for name in ("car", "pedestrian"):
        found = report["classes"][name]
        assert found["HOTA"] == pytest.approx(np.mean(wanted[name]["HOTA"]["HOTA"]), rel=0, abs=1e-6)
        assert found["HOTA_by_alpha"] == pytest.approx(wanted[name]["HOTA"]["HOTA"], rel=0, abs=1e-6)
        rows = list(csv.DictReader((tmp_path / f"{name}_detailed.csv").read_text().splitlines()))
        assert [row["seq"] for row in rows] == ["0002", "0006", "0010", "0013", "0018", "0100", "COMBINED"]
        assert float(rows[-1]["DetA___50"]) == pytest.approx(wanted[name]["HOTA"]["DetA"][9], abs=1e-6)
        assert int(rows[-1]["IDSW"]) == wanted[name]["CLEAR"]["IDSW"]
        header, values = (tmp_path / f"{name}_summary.txt").read_text().splitlines()
        summary = dict(zip(header.split(), values.split(), strict=True))
        assert float(summary["HOTA"]) == pytest.approx(100 * found["HOTA"], rel=1e-4)
    assert "65 frames of 6 sequences" in out
    assert "by the older MOTS tool" in out
    assert (tmp_path / "hota-over-alpha.png").exists()


def test_youtube_vis(tmp_path, run):
    common = ("evaluate", "youtube-vis", "--annotations", GOLDEN / "ytvis" / "gt.json", "--json", tmp_path / "y.json")
    results = GOLDEN / "ytvis" / "results.json"
    code, out, err = run(*common, "--predictions", results, "--csv", tmp_path, "--plot", tmp_path)
    assert (code, err) == (0, "")
    wanted = expected("ytvis")["COMBINED_SEQ"]
    report = json.loads((tmp_path / "y.json").read_text())
    average = report["tracking"]["class_average"]
    assert average["HOTA"] == pytest.approx(np.mean(wanted["cls_comb_cls_av"]["HOTA"]["HOTA"]), rel=0, abs=1e-6)
    assert "28 results on 5 videos, 45 frames" in out
    assert {"precision-recall.png", "categories.png", "hota-over-alpha.png", "dog_detailed.csv", "track_ap.csv"} <= {
        path.name for path in tmp_path.iterdir()
    }
    # The same results as an archive, as a folder, and as a file for each video under its name.
    with zipfile.ZipFile(tmp_path / "results.zip", "w") as archive:
        archive.write(results, "results.json")
    entries = json.loads(results.read_text())
    (tmp_path / "folder").mkdir()
    (tmp_path / "videos").mkdir()
    (tmp_path / "folder" / "results.json").write_bytes(results.read_bytes())
    for number in range(1, 6):
        own = [{**entry, "video_id": 1} for entry in entries if entry["video_id"] == number]
        (tmp_path / "videos" / f"vid{number - 1:03d}.json").write_text(json.dumps(own))
    (tmp_path / "videos" / "vid000.done.json").write_text("{}")
    for place in ("results.zip", "folder", "videos"):
        assert run(*common, "--predictions", tmp_path / place)[0] == 0
        again = json.loads((tmp_path / "y.json").read_text())
        assert again["global"] == report["global"]
        assert again["tracking"] == report["tracking"]


@pytest.mark.parametrize("benchmark", ["youtube-vis", "ovis"])
def test_track_ap_of_chosen_videos(tmp_path, run, benchmark):
    path = tmp_path / "y.json"
    common = ("--annotations", GOLDEN / "ytvis" / "gt.json", "--predictions", GOLDEN / "ytvis" / "results.json")
    code, _, _ = run("evaluate", benchmark, *common, "--sequences", "vid003", "--json", path, "--minimum-score", "0.5")
    assert code == 0
    assert [one["video"] for one in json.loads(path.read_text())["videos"]] == ["vid003"]
    assert refused(run("evaluate", benchmark, *common, "--sequences", "vid9"), "has no video vid9")


BOX = np.zeros((6, 8), np.bool_)
BOX[1:4, 2:6] = True
CODE = to_coco(encode(BOX))
GOOD = {"video_id": 1, "category_id": 1, "score": 0.5, "segmentations": [CODE, None]}
VIDEO = {"id": 1, "width": 8, "height": 6, "length": 2, "file_names": ["v/0.jpg", "v/1.jpg"]}
TRUTH = {
    "videos": [VIDEO],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [{"id": 5, **{key: GOOD[key] for key in ("video_id", "category_id", "segmentations")}}],
}


def track_files(tmp_path, results, truth=TRUTH):
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(results if isinstance(results, str) else json.dumps(results))
    return (
        *("evaluate", "youtube-vis", "--annotations", tmp_path / "truth.json"),
        *("--predictions", tmp_path / "results.json"),
    )


def test_track_results_without_anything(tmp_path, run):
    code, out, _ = run(*track_files(tmp_path, []), "--json", tmp_path / "s.json")
    assert code == 0
    assert "1 video without any result" in out
    assert json.loads((tmp_path / "s.json").read_text())["global"]["AP"] == 0


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ("", ["results.json is no JSON"]),
        ("{}", ["must hold a list of tracks"]),
        ([GOOD, {**GOOD, "score": float("nan")}], ["entry 1 of", "needs a number 'score', found nan"]),
        ([{**GOOD, "category_id": 7}], ["entry 0 of", "has category 7", "1 (cat)", "--official passes them over"]),
        ([{**GOOD, "video_id": 3}], ["entry 0 of", "of video 3"]),
        ([{**GOOD, "segmentations": [CODE]}], ["has 1 frames, video 1 (v) has 2"]),
        ([{**GOOD, "segmentations": [None, {**CODE, "size": [8, 6]}]}], ["frame 1: the mask is 6x8", "8x6"]),
        ([{**GOOD, "segmentations": [None, {**CODE, "counts": "!"}]}], ["entry 0 of", "frame 1: the run-length"]),
        ([{**GOOD, "segmentations": [None, [1.0, 2.0]]}], ["frame 1: a polygon"]),
        ([{**GOOD, "segmentations": [None, 3]}], ["run-length object or null for frame 1"]),
        ([{"video_id": 1}], ["has no list 'segmentations'"]),
    ],
)
def test_bad_track_results(tmp_path, run, results, words):
    assert refused(run(*track_files(tmp_path, results)), *words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"annotations": None}, ["has no annotations", "rotoscope export youtube-vis"]),
        ({"videos": [VIDEO, VIDEO]}, ["videos[1]", "has the id 1, as one before it"]),
        ({"annotations": [{**TRUTH["annotations"][0], "video_id": 4}]}, ["annotation 5", "of video 4"]),
        ({"annotations": [{**TRUTH["annotations"][0], "category_id": 4}]}, ["annotation 5", "of category 4"]),
        ({"categories": 3}, ["has no list 'categories'"]),
        ({"categories": [], "annotations": []}, ["lists no category"]),
        ({"videos": [{**VIDEO, "width": "8"}]}, ["needs a whole number 'width'"]),
    ],
)
def test_bad_track_annotations(tmp_path, run, change, words):
    assert refused(run(*track_files(tmp_path, [GOOD], {**TRUTH, **change})), *words)


def test_official_takes_what_the_tool_takes(tmp_path, run):
    common = track_files(tmp_path, [GOOD, {**GOOD, "category_id": 7}, {**GOOD, "segmentations": [CODE]}])
    code, out, _ = run(*common, "--official")
    assert code == 0
    assert "1 result of categories that the annotations do not list were passed over" in out


def test_places_of_track_files(tmp_path, run):
    common = track_files(tmp_path, [GOOD])
    assert refused(run(*common[:5], tmp_path / "none.json"), "cannot read", "none.json")
    (tmp_path / "folder").mkdir()
    assert refused(run(*common[:5], tmp_path / "folder"), "has no results", "results.json")
    (tmp_path / "folder" / "clip.json").write_text("[]")
    assert refused(run(*common[:5], tmp_path / "folder"), "clip.json", "nor named like one of the 1 videos")
    (tmp_path / "x.zip").write_bytes(b"PK")
    assert refused(run(*common[:5], tmp_path / "x.zip"), "cannot read", "x.zip")
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        archive.writestr("other.json", "[]")
    assert refused(run(*common[:5], tmp_path / "y.zip"), "does not hold one results.json")
    assert refused(
        run("evaluate", "ovis", "--annotations", tmp_path / "folder" / "x", "--predictions", tmp_path / "results.json"),
        "cannot read",
    )
    (tmp_path / "truth2.json").write_text("{}")
    assert refused(
        run("evaluate", "ovis", "--annotations", tmp_path, "--predictions", tmp_path / "results.json"),
        "has several annotation files",
    )


@pytest.mark.parametrize("benchmark", ["davis16", "davis17", "davis17-unsupervised", "saliency", "kitti-mots"])
def test_missing_folders(tmp_path, run, benchmark):
    common = ("evaluate", benchmark, "--annotations", tmp_path / "none", "--predictions", tmp_path)
    assert refused(run(*common), "there is no annotations folder")
    (tmp_path / "none").mkdir()
    assert refused(run(*common), "has no annotations")


def test_kitti_map_and_missing_results(tmp_path, run):
    (tmp_path / "label_02").mkdir()
    (tmp_path / "results").mkdir()
    common = ("evaluate", "kitti-mots", "--annotations", tmp_path, "--predictions", tmp_path / "results")
    line = "0 1001 1 6 8 {}\n".format(CODE["counts"])
    (tmp_path / "label_02" / "0002.txt").write_text(line)
    (tmp_path / "label_02" / "walk.txt").write_text(line)
    assert refused(run(*common), "there is no result of sequence 0002")
    code, out, _ = run(*common, "--missing", "empty")
    assert code == 0
    assert "no result, scored as without detections: 0002, walk" in out
    assert "2 frames of 2 sequences, those found" in out
    code, out, _ = run(*common, "--missing", "empty", "--sequences", "walk")
    assert "no sequence map tells the length, taken to end with the last mask: walk" in out
    assert refused(run(*common, "--sequences", "run"), "has no annotations of run")
    (tmp_path / "evaluate_mots.seqmap.val").write_text("walk empty 000000 000004\n0009 empty 000000 000001\n")
    code, out, _ = run(*common, "--missing", "empty")
    assert "5 frames of 1 sequence, as " in out
    assert "left out, no annotations here: 0009" in out
    (tmp_path / "evaluate_mots.seqmap.val").write_text("walk 4\n")
    assert refused(run(*common), "line 1 of", "is not 'sequence empty first last'")


def test_plots_without_matplotlib(tmp_path, run, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    common = track_files(tmp_path, [GOOD])
    assert refused(run(*common, "--plot", tmp_path / "plots"), "pip install 'rotoscope[plot]'")


def test_a_file_that_cannot_be_written_does_not_cost_the_scores(tmp_path, run):
    (tmp_path / "file").write_text("")
    common = track_files(tmp_path, [GOOD])
    code, out, err = run(*common, "--json", tmp_path / "file" / "s.json", "--csv", tmp_path / "csv")
    assert code == 2
    assert "track AP" in out
    assert "written: " in out
    assert err.startswith("rotoscope: cannot write")
    assert (tmp_path / "csv" / "cat_detailed.csv").exists()


def clips(tmp_path):
    """Annotations of two short sequences, and the same as predictions."""
    mask = np.zeros((20, 30), np.uint8)
    mask[5:12, 6:20] = 1
    for name in ("a", "b"):
        write_maps(tmp_path / "davis" / "Annotations" / "480p" / name, [mask] * 4)
        write_maps(tmp_path / "maps" / name, [mask] * 4)
    (tmp_path / "davis" / "ImageSets" / "2016").mkdir(parents=True)
    return ("--annotations", tmp_path / "davis", "--predictions", tmp_path / "maps")


@pytest.mark.parametrize("option", ["--json", "--csv", "--plot"])
def test_nothing_is_written_among_the_inputs(tmp_path, run, option):
    common = clips(tmp_path)
    for place, word in (("maps/a/00000.png", "predictions"), ("davis/Annotations/480p/a", "annotations")):
        before = (tmp_path / "maps" / "a" / "00000.png").read_bytes()
        assert refused(run("evaluate", "davis16", *common, option, tmp_path / place), f"written into the {word}")
        assert (tmp_path / "maps" / "a" / "00000.png").read_bytes() == before
    files = track_files(tmp_path, [GOOD])
    assert refused(run(*files, option, tmp_path / "results.json"), "written into the predictions")
    assert json.loads((tmp_path / "results.json").read_text()) == [GOOD]


def test_devices_are_not_replaced(tmp_path, run):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code, out, err = run("evaluate", "davis16", *clips(tmp_path), "--json", pipe)
    assert (code, "mean of 2" in out) == (2, True)
    assert "pipe is a device or pipe" in err
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["../maps/a", "/etc", "..", "a/", "a\\b"])
def test_names_with_a_path(tmp_path, run, name):
    common = clips(tmp_path)
    assert refused(run("evaluate", "davis16", *common, "--sequences", name), "names the sequence")
    (tmp_path / "davis" / "ImageSets" / "2016" / "val.txt").write_text(f"a\n{name}\n")
    assert refused(run("evaluate", "davis16", *common), "val.txt names the sequence")


def test_lists_in_other_encodings(tmp_path, run):
    common = clips(tmp_path)
    (tmp_path / "davis" / "ImageSets" / "2016" / "val.txt").write_bytes(b"\xef\xbb\xbfa\r\nb\r\n")
    code, out, _ = run("evaluate", "davis16", *common)
    assert (code, "mean of 2" in out, "left out, no annotations" in out) == (0, True, False)
    (tmp_path / "davis" / "ImageSets" / "2016" / "val.txt").write_bytes("a\nb\n".encode("utf-16"))
    assert refused(run("evaluate", "davis16", *common), "val.txt is no UTF-8 text")


@pytest.mark.parametrize(
    ("benchmark", "options", "words"),
    [
        (
            "davis16",
            ["--minimum-score", "0.5"],
            "--minimum-score has no meaning for davis16; it is for youtube-vis, ovis",
        ),
        ("davis16", ["--dataset", "fbms"], "--dataset has no meaning for davis16; it is for saliency"),
        ("davis16", ["--split", "test-dev"], "DAVIS 2016 has no split test-dev"),
        ("davis17", ["--resize-annotations"], "--resize-annotations has no meaning"),
        ("davis17-unsupervised", [], "has Annotations and no Annotations_unsupervised"),
        ("davis17-unsupervised", ["--split", "test-dev"], "rotoscope export davis17-unsupervised --split test-dev"),
        ("kitti-mots", ["--ends", "keep"], "--ends has no meaning for kitti-mots"),
        ("kitti-mots", ["--official"], "--official has no meaning for kitti-mots"),
        ("youtube-vis", ["--split", "train"], "--split has no meaning for youtube-vis"),
        ("youtube-vis", ["--minimum-score", "nan"], "--minimum-score must be a number"),
    ],
)
def test_options_without_a_meaning(tmp_path, run, benchmark, options, words):
    assert refused(run("evaluate", benchmark, *clips(tmp_path), *options), words)


def test_annotations_that_scored_themselves(tmp_path, run):
    folder = clips(tmp_path)[1] / "Annotations" / "480p"
    _, out, _ = run("evaluate", "davis16", "--annotations", folder, "--predictions", folder)
    assert "annotations and predictions are the same folder" in out


def test_annotations_that_are_no_ids(tmp_path, run):
    common = clips(tmp_path)
    for name in ("a", "b"):
        for path in (tmp_path / "davis" / "Annotations" / "480p" / name).iterdir():
            Image.fromarray(np.full((20, 30), 60, np.uint8) * np.arange(1, 4, dtype=np.uint8).repeat(10)).save(path)
    assert refused(run("evaluate", "davis17", *common), "holds levels of grey up to 180 where ids")
    for path in (tmp_path / "maps" / "a").iterdir():
        Image.fromarray(np.full((20, 30), 30000, np.uint16)).save(path)
    assert refused(run("evaluate", "davis16", *common), "has 16 bits and numbers up to 30000")
    assert refused(run("evaluate", "saliency", *common), "neither a mask nor an 8-bit grey map")
    (tmp_path / "maps" / "a" / "00001.PNG").write_bytes(b"")
    assert refused(run("evaluate", "davis16", *common), "are both of frame 00001")


def test_scores_below_zero_count(tmp_path, run):
    """Without a bound HOTA takes every result."""
    path = tmp_path / "s.json"
    for score in (0.5, -3.0):
        assert run(*track_files(tmp_path, [{**GOOD, "score": score}]), "--json", path)[0] == 0
        assert json.loads(path.read_text())["tracking"]["class_average"]["HOTA"] > 0.9


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ("[" * 200_000, "is no JSON"),
        (
            '[{"video_id": 1, "category_id": 1, "score": 1' + "0" * 400 + ', "segmentations": [null, null]}]',
            "needs a number",
        ),
    ],
    ids=["deep", "huge"],
)
def test_odd_json(tmp_path, run, results, words):
    assert refused(run(*track_files(tmp_path, results)), words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"segmentations": [CODE]}, "annotation 5 has 1 frames, video 1 (v) has 2"),
        ({"areas": [1.0]}, "needs a list 'areas' of 2"),
        ({"areas": [-1.0, None]}, "has an area that is no number of pixels"),
        ({"iscrowd": "0"}, "needs 0 or 1 as 'iscrowd'"),
    ],
)
def test_odd_annotations(tmp_path, run, change, words):
    truth = {**TRUTH, "annotations": [{**TRUTH["annotations"][0], **change}]}
    assert refused(run(*track_files(tmp_path, [GOOD], truth)), words)


def test_odd_names(tmp_path, run):
    truth = {**TRUTH, "categories": [{"id": 1, "name": "a$x^2_$/\x00\ud800" + "l" * 300}, {"id": 2, "name": "猫"}]}
    code, _, err = run(*track_files(tmp_path, [GOOD], truth), "--csv", tmp_path / "o", "--plot", tmp_path / "o")
    assert (code, err) == (0, "")
    assert "猫_detailed.csv" in {path.name for path in (tmp_path / "o").iterdir()}
    twice = {**TRUTH, "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}]}
    assert refused(run(*track_files(tmp_path, [GOOD], twice)), "has two categories named 'cat'")


def test_a_folder_that_lacks_a_video(tmp_path, run):
    truth = {**TRUTH, "videos": [VIDEO, {**VIDEO, "id": 2, "file_names": ["w/0.jpg", "w/1.jpg"]}]}
    common = track_files(tmp_path, [GOOD], truth)[:5]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "v.json").write_text(json.dumps([GOOD]))
    assert refused(run(*common, tmp_path / "folder"), "has no file of 1 videos: w")
    assert run(*common, tmp_path / "folder", "--missing", "empty")[0] == 0


def test_mots_of_odd_form(tmp_path, run):
    (tmp_path / "gt").mkdir()
    (tmp_path / "pr" / "data").mkdir(parents=True)
    line = "0 1001 1 6 8 {}\n".format(CODE["counts"])
    (tmp_path / "gt" / "walk.txt").write_bytes(b"\xef\xbb\xbf" + line.encode())
    common = ("evaluate", "kitti-mots", "--annotations", tmp_path / "gt", "--predictions", tmp_path / "pr")
    far = line.replace("0 1001", "300000000 1001", 1)
    (tmp_path / "pr" / "walk.txt").write_text(line + far)  # the length of the sequence is unknown: no loop over it
    code, out, _ = run(*common)
    assert (code, "300000001 frames of 1 sequence" in out) == (0, True)
    (tmp_path / "pr" / "data" / "walk.txt").write_text("")
    assert refused(run(*common), "sequence walk has two results")
    (tmp_path / "pr" / "data" / "walk.txt").unlink()
    (tmp_path / "pr" / "walk.txt").write_text("9" * 5000 + line[1:])
    assert refused(run(*common), "line 1 of", "is not 'frame id class")
