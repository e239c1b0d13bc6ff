"""`rotoscope export`: what the archives hold, and results that a server would refuse."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.masks.label_map import write_label_png
from rotoscope.masks.mots import read_mots_frames
from tests.cli.test_bad_input import refused
from tests.cli.test_evaluate_all import GOLDEN, GOOD, TRUTH, VIDEO


def maps(folder, names, highest=2):
    values = np.zeros((6, 9), np.uint8)
    values[1:3, 2:5], values[4:, 6:] = 1, highest
    for name in names:
        write_label_png(folder / f"{name}.png", values)
    return values


def pictures(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (9, 6)).save(folder / f"{name}.jpg")


def members(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("benchmark", ["davis17", "davis17-unsupervised"])
def test_davis(tmp_path, run, benchmark):
    root = tmp_path / "davis"
    year = "2017" if benchmark == "davis17" else "2019"
    (root / "ImageSets" / year).mkdir(parents=True)
    (root / "ImageSets" / year / "test-dev.txt").write_text("boat\ncar\n")
    for name in ("boat", "car"):
        pictures(root / "JPEGImages" / "480p" / name, ["00000", "00001"])
        values = maps(tmp_path / "maps" / name / "masks", ["00000", "00001"])
    common = ("export", benchmark, "--predictions", tmp_path / "maps", "--videos", root, "-o", tmp_path / "s.zip")
    code, out, err = run(*common)
    assert (code, err) == (0, "")
    assert "4 files in" in out
    found = members(tmp_path / "s.zip")
    assert list(found) == [f"{name}/{frame}.png" for name in ("boat", "car") for frame in ("00000", "00001")]
    with Image.open(io.BytesIO(found["car/00001.png"])) as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), values)
    (tmp_path / "maps" / "car" / "masks" / "00001.png").unlink()
    assert refused(run(*common), "1 of 2 frames of car have no prediction: no 00001")
    code, out, _ = run(*common, "--missing", "empty")
    assert "1 frame without prediction: empty masks" in out
    with Image.open(io.BytesIO(members(tmp_path / "s.zip")["car/00001.png"])) as image:
        assert not np.asarray(image).any()


@pytest.fixture
def boat(tmp_path):
    """A split of one sequence of two frames; writes its masks, gives the command."""
    root = tmp_path / "davis"
    for year in ("2017", "2019"):
        (root / "ImageSets" / year).mkdir(parents=True)
        (root / "ImageSets" / year / "test-dev.txt").write_text("boat\n")
    pictures(root / "JPEGImages" / "480p" / "boat", ["00000", "00001"])

    def command(benchmark, values):
        for index, mask in enumerate(values):
            path = tmp_path / "maps" / "boat" / f"{index:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(mask, Image.Image):
                mask.save(path)
            else:
                write_label_png(path, np.asarray(mask, np.uint8))
        places = ("--predictions", tmp_path / "maps", "--videos", root, "-o", tmp_path / "s.ZIP")
        return ("export", benchmark, *places)

    return command


MASK = np.zeros((6, 9), np.uint8)
MASK[1:3, 2:5] = 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([MASK, MASK * 21], "00001.png holds the id 21; at most 20"),
        ([MASK, MASK * 255], "00001.png holds 0 and 255"),
        ([MASK, Image.fromarray(MASK * 90 + 7)], "00001.png holds levels of grey up to 97"),
        ([MASK, MASK[:, :5]], "00001.png is 5x6"),
        ([MASK, MASK, MASK], "1 frames without annotation: 00002"),
    ],
    ids=["proposals", "black and white", "soft", "size", "extra"],
)
def test_maps_that_the_server_would_refuse(tmp_path, run, boat, values, words):
    assert refused(run(*boat("davis17-unsupervised", values)), words)
    assert not list(tmp_path.glob("*.ZIP"))
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part.ZIP")]


def test_places_and_names(tmp_path, run, boat):
    command = boat("davis17", [MASK, MASK * 30])
    assert refused(run(*command, "--sequences", "../maps/boat"), "names the sequence '../maps/boat'")
    assert refused(run(*command[:-1], tmp_path / "maps" / "s.zip"), "would be written into the predictions")
    assert run(*command)[0] == 0
    assert refused(run(*command[:4], "-o", tmp_path / "s.zip"), "name with --videos")


def test_youtube_vos(tmp_path, run):
    pictures(tmp_path / "valid" / "JPEGImages" / "abc", ["00000", "00005"])
    maps(tmp_path / "maps" / "abc", [f"{index:05d}" for index in range(6)])  # of every frame: only those wanted go in
    common = ("export", "youtube-vos", "--predictions", tmp_path / "maps", "-o", tmp_path / "s.zip")
    assert run(*common, "--videos", tmp_path / "valid")[0] == 0
    assert list(members(tmp_path / "s.zip")) == ["Annotations/abc/00000.png", "Annotations/abc/00005.png"]
    assert refused(run(*common, "--videos", tmp_path / "none"), "there is no folder")
    (tmp_path / "valid" / "JPEGImages" / "xyz").mkdir()
    assert refused(run(*common, "--videos", tmp_path / "valid"), "xyz", "has no pictures")


@pytest.mark.parametrize("benchmark", ["youtube-vis", "ovis"])
def test_track_results(tmp_path, run, benchmark):
    (tmp_path / "valid.json").write_text(json.dumps({**TRUTH, "annotations": None}))
    (tmp_path / "results.json").write_text(json.dumps([GOOD]))
    common = ("export", benchmark, "--predictions", tmp_path / "results.json", "-o", tmp_path / "s.zip")
    code, out, _ = run(*common, "--videos", tmp_path / "valid.json")
    assert code == 0
    assert "1 track on 1 video, 0 of them without any" in out
    assert json.loads(members(tmp_path / "s.zip")["results.json"]) == [GOOD]
    assert refused(run(*common), "name with --videos what says which videos")
    assert refused(run(*common, "--videos", tmp_path / "valid.json", "--sequences", "v"), "leave --sequences out")
    for change, word in (
        ({"category_id": 3}, "has category 3"),
        ({"video_id": 3}, "of video 3"),
        ({"segmentations": []}, "has 0 frames, video v has 2"),
    ):
        (tmp_path / "results.json").write_text(json.dumps([GOOD, {**GOOD, **change}]))
        assert refused(run(*common, "--videos", tmp_path / "valid.json"), "entry 1 of", word)
    (tmp_path / "valid.json").write_text(json.dumps({**TRUTH, "videos": [{**VIDEO, "width": 9}]}))
    (tmp_path / "results.json").write_text(json.dumps([GOOD]))
    assert refused(run(*common, "--videos", tmp_path / "valid.json"), "the mask is 8x6", "is 9x6")


def test_kitti_mots(tmp_path, run):
    results = GOLDEN / "mots" / "trackers" / "tracker_a"
    common = ("export", "kitti-mots", "--predictions", results, "-o", tmp_path / "s.zip")
    assert refused(run(*common), "there is no result of 24 sequences: 0000, 0001")
    assert run(*common, "--missing", "empty")[0] == 0
    found = members(tmp_path / "s.zip")
    assert list(found) == [f"{number:04d}.txt" for number in range(29)]
    assert found["0000.txt"] == b""
    (tmp_path / "0002.txt").write_bytes(found["0002.txt"])
    again, before = (read_mots_frames(path) for path in (tmp_path / "0002.txt", results / "data" / "0002.txt"))
    for index, masks in before.items():
        assert [(one.id, one.mask) for one in again[index]] == [(one.id, one.mask) for one in masks]
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "0000.txt").write_text("0 1 10 6 8 d1\n")
    bad = ("export", "kitti-mots", "--predictions", tmp_path / "bad", "--sequences", "0000", "-o", tmp_path / "t.zip")
    assert refused(run(*bad), "line 1 of")
    assert not (tmp_path / "t.zip").exists()


def test_other_faults(tmp_path, run):
    common = ("export", "davis17", "--predictions", tmp_path / "none")
    assert refused(run(*common, "-o", tmp_path / "s.tar"), "name a .zip file")
    (tmp_path / "davis").mkdir()
    assert refused(run(*common, "-o", tmp_path / "s.zip", "--videos", tmp_path / "davis"), "has no JPEGImages")
    assert not Path(tmp_path, "s.zip").exists()
