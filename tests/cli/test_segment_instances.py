"""Instances through the command line: every file of every format, read back by the scorers."""

import json

import numpy as np
import pytest
from PIL import Image

from rotoscope.cli.app import main
from rotoscope.data.clip_set import AnnotatedClip, ClipSetWriter, jpeg
from rotoscope.data.synthetic import SyntheticClip
from rotoscope.inference import loading
from rotoscope.masks.davis import read_davis
from rotoscope.masks.label_map import read_label_png
from rotoscope.masks.mots import read_mots
from rotoscope.masks.run_length import encode, to_string
from rotoscope.masks.youtube_vis import read_results
from rotoscope.video import open_video
from tests.cli.test_bad_input import refused
from tests.inference import known

NAMED = {1: "pedestrian", 2: "car"}
CATEGORIES = {1: "car", 2: "pedestrian"}
SIZE = (64, 96)


def drawn(frames, seed=0):
    """Pictures (T, H, W, 3) and ids (T, H, W)."""
    parts = list(SyntheticClip(frames, SIZE, seed, things=2))
    return np.stack([frame.image for frame, _ in parts]), np.stack([labels for _, labels in parts])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Clips as DAVIS, YouTube-VIS and KITTI-MOTS have them: one with two things, one with none, one of one frame."""
    root = tmp_path_factory.mktemp("set") / "clips"
    pictures, labels = drawn(20)
    shown = slice(6, 12)
    single = int(np.argmin([-min((one == 1).sum(), (one == 2).sum()) for one in labels]))
    clips = {
        "0000": (pictures[shown], labels[shown]),
        "0001": (pictures[:3], np.zeros_like(labels[:3])),
        "0002": (pictures[single : single + 1], labels[single : single + 1]),
    }
    writer = ClipSetWriter(root, CATEGORIES)
    for name, (images, ids) in clips.items():
        numbers = {number: {"car": 1, "pedestrian": 2}[NAMED[number]] for number in np.unique(ids).tolist() if number}
        writer.write(AnnotatedClip(name, [jpeg(image) for image in images], ids, numbers))
        lines = [
            f"{index} {1000 * category + number} {category} {SIZE[0]} {SIZE[1]} {to_string(encode(frame == number))}\n"
            for index, frame in enumerate(ids)
            for number, category in numbers.items()
            if (frame == number).any()
        ]
        (root / "label_02").mkdir(exist_ok=True)
        (root / "label_02" / f"{name}.txt").write_text("".join(lines))
    writer.close()
    return root, {name: ids for name, (_, ids) in clips.items()}


@pytest.fixture
def known_model(made, monkeypatch):
    monkeypatch.setattr(loading, "load", lambda *_, **__: known.model(made[1], NAMED))


def scores(run, tmp_path, benchmark, annotations, predictions, *more):
    file = tmp_path / f"{benchmark}.json"
    code, _, err = run(
        "evaluate", benchmark, "--annotations", annotations, "--predictions", predictions, "--json", file, *more
    )
    assert (code, err) == (0, "")
    return json.loads(file.read_text())


def test_what_equals_the_truth_is_scored_so_in_every_format(made, known_model, run, tmp_path):
    root, truth = made
    out = tmp_path / "o"
    code, told, err = run("segment", root / "JPEGImages", "-o", out)
    assert (code, err) == (0, "")
    assert told.splitlines()[-1] == f"results of 3 of 3 videos -> {out / 'results.json'}"
    kinds = ("", ".done.json", ".json", ".overlay.mp4", ".sheet.png", ".timeline.png", ".txt")
    expected = {f"{name}{kind}" for name in truth for kind in kinds} | {"results.json"}
    assert {path.name for path in out.iterdir()} == expected

    found = scores(run, tmp_path, "youtube-vis", root / "instances.json", out)["global"]
    assert (found["AP"], found["AR10"]) == (1.0, 1.0)
    alone = scores(run, tmp_path, "youtube-vis", root / "instances.json", out / "results.json")["global"]
    assert alone == found
    davis = scores(run, tmp_path, "davis17-unsupervised", root, out, "--sequences", "0000", "0002")
    assert davis["global"]["J&F-Mean"] == 1.0
    mots = scores(run, tmp_path, "kitti-mots", root, out)["classes"]
    assert [mots[name]["HOTA"] for name in ("car", "pedestrian")] == pytest.approx([1.0, 1.0])


def test_a_video_without_instances_and_one_of_one_frame_have_whole_files(made, known_model, run, tmp_path):
    root, truth = made
    out = tmp_path / "o"
    assert run("segment", *(root / "JPEGImages" / name for name in ("0001", "0002")), "-o", out)[0] == 0
    assert (out / "0001.json").read_text() == "[]"
    assert (out / "0001.txt").read_text() == ""
    assert sorted(path.name for path in (out / "0001").iterdir()) == ["00000.png", "00001.png", "00002.png"]
    assert not any(read_label_png(path).any() for path in (out / "0001").iterdir())
    assert read_davis(out / "0001") == []
    assert np.array_equal(read_label_png(out / "0002" / "00000.png"), truth["0002"][0])
    assert [one.category_id for one in read_results(out / "0002.json")] == [2, 1]
    assert [track.label for track in read_mots(out / "0002.txt")] == ["car", "pedestrian"]
    assert {one.video_id for one in read_results(out / "results.json")} == {2}
    for name in ("0001", "0002"):
        assert open_video(out / f"{name}.overlay.mp4").count().frames == len(truth[name])
        with Image.open(out / f"{name}.timeline.png") as picture:
            assert picture.size[0] == 1400


def test_the_last_word_on_a_track_is_its_score_and_category(made, known_model, run, tmp_path):
    root, _ = made
    assert run("segment", root / "JPEGImages" / "0000", "-o", tmp_path / "o", "--no-pictures")[0] == 0
    entries = read_results(tmp_path / "o" / "0000.json")
    assert [(one.category_id, one.score) for one in entries] == [(2, 0.9), (1, 0.9)]
    assert all(one.frame_count == 6 for one in entries)


def test_results_of_a_stopped_run_are_joined_when_it_goes_on(made, monkeypatch, run, tmp_path):
    root, truth = made
    model = known.model(truth, NAMED)
    out = tmp_path / "o"
    monkeypatch.setattr(loading, "load", lambda *_, **__: model)
    assert run("segment", root / "JPEGImages" / "0000", "-o", out, "--no-pictures")[0] == 0
    (out / "results.json").write_text("what a killed run left")
    before = (out / "0000.json").stat().st_mtime_ns
    code, told, _ = run("segment", root / "JPEGImages", "-o", out, "--no-pictures", "--resume")
    assert code == 0
    assert told.splitlines()[0] == "0000: finished before"
    assert (out / "0000.json").stat().st_mtime_ns == before
    assert [one.video_id for one in read_results(out / "results.json")] == [1, 1, 3, 3]


def test_other_options_of_instances_are_no_finished_run(made, known_model, run, tmp_path):
    source = made[0] / "JPEGImages" / "0002"
    common = ("segment", source, "-o", tmp_path / "o", "--no-pictures")
    assert run(*common)[0] == 0
    for options, again in (
        ((), False),
        (("--most-tracks", "1"), True),
        (("--most-tracks", "1"), False),
        (("--most-tracks", "1", "--numbers", made[0] / "instances.json"), False),
        (("--format", "ytvis"), True),
    ):
        code, told, _ = run(*common, "--resume", *options)
        assert code == 0
        assert ("0002: finished before" in told) == (not again), options
        assert len(read_results(tmp_path / "o" / "results.json")) == (1 if "--most-tracks" in options else 2)


def test_numbers_mean_nothing_without_categories(made, monkeypatch, run, tmp_path):
    root, truth = made
    monkeypatch.setattr(loading, "load", lambda *_, **__: known.model(truth, NAMED, ()))
    source = root / "JPEGImages" / "0002"
    code, _, err = run("segment", source, "-o", tmp_path / "o", "--numbers", root / "instances.json")
    assert (code, err.count("\n")) == (2, 1)
    assert "known tells no categories apart" in err


def test_a_bad_video_is_left_out_of_the_results_of_the_others(made, known_model, run, tmp_path):
    root, _ = made
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    sources = [root / "JPEGImages" / "0002", tmp_path / "bad.mp4", root / "JPEGImages" / "0000"]
    code, told, err = run("segment", *sources, "-o", tmp_path / "o", "--no-pictures")
    assert code == 2
    assert "1 of 3 videos could not be segmented" in err
    assert "results of 2 of 3 videos" in told
    assert [one.video_id for one in read_results(tmp_path / "o" / "results.json")] == [1, 1, 3, 3]


def test_numbers_are_those_of_a_set_where_one_is_named(made, monkeypatch, run, tmp_path):
    root, truth = made
    names = ("Pedestrian", "tree", "CAR")
    named = {1: "Pedestrian", 2: "CAR"}
    monkeypatch.setattr(known, "NAMES", names)
    monkeypatch.setattr(loading, "load", lambda *_, **__: known.model(truth, named, names))
    content = json.loads((root / "instances.json").read_text())
    content["videos"] = [{**video, "id": video["id"] + 40} for video in content["videos"]]
    content["annotations"] = [{**one, "video_id": one["video_id"] + 40} for one in content["annotations"]]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    out = tmp_path / "o"
    code, _, err = run("segment", root / "JPEGImages", "-o", out, "--no-pictures", "--numbers", other)
    assert code == 0
    assert err == f"rotoscope: warning: tracks of 1 categories that {other} lacks are left out: tree\n"
    assert {one.video_id for one in read_results(out / "results.json")} == {41, 43}
    assert scores(run, tmp_path, "youtube-vis", other, out / "results.json")["global"]["AP"] == 1.0
    folder = tmp_path / "unknown"
    folder.mkdir()
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / "0.png")
    code, _, err = run("segment", folder, "-o", tmp_path / "o2", "--numbers", other)
    assert code == 2
    assert "has no video unknown; it has 3 (0000, 0001, 0002 ...)" in err


def test_formats_and_tracks_are_chosen(made, known_model, run, tmp_path):
    root, truth = made
    out = tmp_path / "o"
    chosen = ("--format", "mots", "--format", "davis", "--most-tracks", "1")
    assert run("segment", root / "JPEGImages" / "0002", "-o", out, "--no-pictures", *chosen)[0] == 0
    assert {path.name for path in out.iterdir()} == {"0002", "0002.txt", "0002.done.json"}
    assert np.array_equal(read_label_png(out / "0002" / "00000.png"), truth["0002"][0] * (truth["0002"][0] == 1))
    assert [track.id for track in read_mots(out / "0002.txt")] == [2001]
    code, _, err = run("segment", root / "JPEGImages" / "0002", "-o", out, "--most-tracks", "0")
    assert (code, err) == (2, "rotoscope: --most-tracks is 0; expected 1 or more\n")
    code, _, err = run("segment", root / "JPEGImages" / "0002", "-o", out, "--soft")
    assert code == 2
    assert "--soft writes the probabilities of a foreground" in err


def test_a_video_called_results_does_not_take_the_place_of_all_results(made, monkeypatch, run, tmp_path):
    _, truth = made
    folder = tmp_path / "results"
    folder.mkdir()
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / "0.png")
    monkeypatch.setattr(loading, "load", lambda *_, **__: known.model({"results-2": truth["0002"]}, NAMED))
    assert run("segment", folder, "-o", tmp_path / "o", "--no-pictures", "--cutout", tmp_path / "cut")[0] == 0
    written = {path.name for path in (tmp_path / "o").iterdir()}
    assert written == {"results-2", "results-2.json", "results-2.txt", "results-2.done.json", "results.json"}
    with Image.open(tmp_path / "cut" / "0.png") as picture:
        assert np.array_equal(np.asarray(picture)[..., 3] > 0, truth["0002"][0] > 0)


def test_options_of_instances_are_refused_for_other_models(bright_model, capsys, tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / "0.png")
    with pytest.raises(SystemExit):
        main(["segment", str(folder), "-o", str(tmp_path / "o"), "--most-tracks", "3"])
    assert "--most-tracks is for models that find instances, which bright does not" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "changes", "wrong"),
    [
        (
            "stem-seg-mobile",
            ("free_dim_stds=[0.3, 0.4]", "tracks=kitti-mots", "clean=false", "empty_masks=true"),
            {
                "free_dim_stds=[0.3, 0.4, 1]": "free_dim_stds has 3 values, the network 2 free dimensions",
                "free_dim_stds=0.3": "free_dim_stds is 0.3 (float); expected a list",
                "free_dim_stds=[0]": "expected a list of numbers above 0",
            },
        ),
        (
            "visolo-mobile",
            ("nms_sigma=3", "nms_pre=20"),
            {"nms_sigma=0": "nms_sigma 0.0: expected a number above 0", "nms_pre=0": "nms_pre 0: expected 1 or more"},
        ),
    ],
)
def test_published_constants_are_options(model, changes, wrong, run, tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / "0.png")
    command = ("segment", folder, "-m", model, "--size", "64", "--no-pictures", "-o", tmp_path / "o")
    assert run(*command, *(word for change in changes for word in ("--set", change)))[0] == 0
    told = json.loads((tmp_path / "o" / "clip.done.json").read_text())["options"]
    for change in changes:
        name, _, value = change.partition("=")
        assert told[name] == (value if name == "tracks" else json.loads(value))
    for change, words in wrong.items():
        assert refused(run(*command, "--set", change), words)
