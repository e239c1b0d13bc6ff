"""Whatever is wrong with what a user gives: one clear line, exit code 2, no traceback, and nothing half-written."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from rotoscope.inference import loading
from rotoscope.masks.davis import read_davis
from rotoscope.video import open_video
from tests.inference import bright
from tests.video.clips import encode

FFV1 = {"codec": "ffv1", "pixels": "bgr0"}


def refused(result, *words):
    """Exit code 2 and one line that holds the words."""
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("rotoscope: ")
    assert err.count("\n") == 1
    assert "internal error" not in err
    for word in words:
        assert word in err
    return True


def bad_sources(folder):
    """Path to a word of its message."""
    whole = bright.clip(folder / "whole.mp4").read_bytes()
    for name, content in {
        "empty.mp4": b"",
        "text.mp4": b"some words\n" * 99,
        "index_cut_off.mp4": whole[: len(whole) // 2],
        "zeros.mp4": bytes(5000),
        "damaged.png": b"\x89PNG\r\n\x1a\n" + bytes(50),
    }.items():
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "pipe.mp4")
    (folder / "circle.mp4").symlink_to("circle.mp4")
    (folder / "nothing").mkdir()
    for name, bad in (("unreadable", b"no picture"), ("twins", None), ("sizes", None)):
        (folder / name).mkdir()
        for index, image in enumerate(bright.images(4)):
            Image.fromarray(image).save(folder / name / f"{index}.jpg")
        if bad is not None:
            (folder / name / "2.jpg").write_bytes(bad)
    shutil.copy(folder / "twins" / "1.jpg", folder / "twins" / "1.jpeg")
    Image.fromarray(bright.images(1, (30, 30))[0]).save(folder / "sizes" / "2.jpg")
    return {
        "gone.mp4": "does not exist",
        "empty.mp4": "is empty",
        "text.mp4": "not a video",
        "index_cut_off.mp4": "cut off",
        "zeros.mp4": "cannot be opened",
        "damaged.png": "cannot be read",
        "pipe.mp4": "neither a file nor a folder",
        "circle.mp4": "does not exist",
        "nothing": "holds no pictures",
        "unreadable": "2.jpg",
        "twins": "1.jpeg",
        "sizes": "30x30",
        "http://example.org/a.mp4": "download",
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--clip", "99999999999999999999"), "clip of 20 digits: expected at most"),
        (("--clip", "100000", "--overlap", "1"), "clip 100000: expected at most 1024"),
        (("--set", "parallel=100000"), "parallel 100000: expected at most 256"),
        (("--set", f"parallel={'9' * 5000}"), "is no TOML"),
        (("--set", f"clip={'[' * 3000}"), "deep in each other"),
        (("--set", "dense=3"), "dense"),
        (("--overlap", "-9" + "9" * 400), "overlap"),
    ],
)
def test_numbers_that_cannot_be_meant(run, bright_model, tmp_path, options, words):
    assert refused(run("segment", bright.clip(tmp_path / "a.mp4"), "-o", tmp_path / "out", *options), words)
    assert not (tmp_path / "out").exists()


def test_a_library_that_cannot_be_loaded_is_told(tmp_path):
    resource = pytest.importorskip("resource")

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (300_000 * 1024,) * 2)

    command = [sys.executable, "-m", "rotoscope", "segment", bright.clip(tmp_path / "a.mp4"), "-o", tmp_path / "out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, env=environment, check=False)
    assert refused((done.returncode, done.stdout, done.stderr), "torch could not be loaded: libtorch")


def test_every_bad_source_is_one_line(run, bright_model, tmp_path):
    for name, word in bad_sources(tmp_path).items():
        source = name if "://" in name else tmp_path / name
        assert refused(run("segment", source, "-o", tmp_path / "out"), word)
        if name not in ("unreadable", "sizes"):  # what comes later in a video is not looked at
            assert refused(run("info", source), word)
    assert not [path for path in (tmp_path / "out").rglob("*") if ".part" in path.name or path.suffix == ".json"]


def test_a_run_goes_on_after_bad_sources(run, bright_model, tmp_path):
    bad = [tmp_path / name for name in bad_sources(tmp_path) if "://" not in name]
    good = [bright.clip(tmp_path / f"good{number}.mp4", 2) for number in (1, 2)]
    code, out, err = run("segment", good[0], *bad, good[1], "-o", tmp_path / "out")
    assert code == 2
    assert out.count("2 frames in") == 2
    lines = err.splitlines()
    assert all(line.startswith("rotoscope: ") for line in lines)
    assert lines[-1] == f"rotoscope: {len(bad)} of {len(bad) + 2} videos could not be segmented; see above"
    assert len(lines) == len(bad) + 1
    code, out, err = run("segment", good[0], *bad, good[1], "-o", tmp_path / "out", "--resume")
    assert code == 2
    assert out.count("finished before") == 2


def test_a_folder_with_a_broken_video(run, bright_model, tmp_path):
    bright.clip(tmp_path / "in" / "a.mp4", 2)
    (tmp_path / "in" / "b.mp4").write_text("text")
    bright.clip(tmp_path / "in" / "c.mp4", 2)
    code, out, err = run("segment", tmp_path / "in", "-o", tmp_path / "in" / "out")
    assert code == 2
    assert out.count("2 frames in") == 2
    assert "b.mp4" in err
    code, out, _ = run("segment", tmp_path / "in", "-o", tmp_path / "in" / "out", "--resume")
    assert out.count("finished before") == 2


def test_an_internal_error_in_one_video_does_not_stop_the_others(run, bright_model, tmp_path, monkeypatch):
    from rotoscope.inference import jobs

    segment = jobs._segment
    monkeypatch.setattr(jobs, "_segment", lambda job, *rest: 1 / 0 if job.name == "a" else segment(job, *rest))
    sources = [bright.clip(tmp_path / f"{name}.mp4", 2) for name in "ab"]
    code, out, err = run("segment", *sources, "-o", tmp_path / "out")
    assert code == 2
    assert "2 frames in" in out
    assert "a: internal error, ZeroDivisionError" in err
    code, _, err = run("segment", sources[0], "-o", tmp_path / "out")
    assert code == 1
    assert err.count("\n") == 1


def test_a_truncated_video_gives_what_it_holds_and_a_warning(run, bright_model, tmp_path):
    whole = bright.clip(tmp_path / "whole.mp4", 40, container={"movflags": "+faststart"}, options={"g": "5"})
    content = whole.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) * 2 // 3])
    code, out, err = run("segment", tmp_path / "cut.mp4", "-o", tmp_path / "out")
    assert code == 0
    assert err.startswith("rotoscope: warning: ")
    assert err.count("\n") == 1
    count = len(list((tmp_path / "out" / "cut").glob("*.png")))
    assert 5 <= count < 40
    assert f"{count} frames in" in out
    assert open_video(tmp_path / "out" / "cut.overlay.mp4").count().frames == count


def test_a_size_that_changes_midway(run, bright_model, tmp_path):
    parts = [encode(tmp_path / f"{size[0]}.h264", bright.images(4, size)) for size in ((48, 64), (64, 96))]
    (tmp_path / "both.h264").write_bytes(b"".join(part.read_bytes() for part in parts))
    code, _, err = run("segment", tmp_path / "both.h264", "-o", tmp_path / "out")
    assert code == 0
    assert "instead of 64x48" in err
    assert len(read_davis(tmp_path / "out" / "both")[0].masks) == 8


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (33, 47), (2, 2), (1, 3000), (3000, 1)], ids=str)
def test_odd_sizes_with_the_bundled_network(run, tmp_path, size):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(2):
        Image.fromarray(np.full((*size, 3), 90 * index, np.uint8)).save(folder / f"{index}.png")
    place = tmp_path / "out"
    code, _, err = run("segment", folder, "-o", place, "--soft", "--size", "32", "--cutout", place / "c.webm")
    assert (code, err) == (0, "")
    assert open_video(place / "pictures").info.size == size
    assert open_video(place / "pictures.soft").info.size == size
    assert open_video(place / "pictures.overlay.mp4").count().frames == 2


def test_grey_and_transparent_pictures(run, bright_model, tmp_path):
    for kind in ("L", "RGBA", "P", "1"):
        (tmp_path / kind).mkdir()
        for index, image in enumerate(bright.images(2)):
            Image.fromarray(image).convert(kind).save(tmp_path / kind / f"{index}.png")
    code, out, _ = run("segment", *(tmp_path / kind for kind in ("L", "RGBA", "P", "1")), "-o", tmp_path / "out")
    assert code == 0
    assert out.count("2 frames in") == 4


OPTIONS = [
    (("--clip", "0"), "at least 1 frame"),
    (("--clip", "4", "--overlap", "4"), "0..3"),
    (("--overlap", "-1"), "overlap -1"),
    (("--size", "0"), "outside 8..8192"),
    (("--size", "9" * 5000), "size"),
    (("--size", "480x"), "not understood"),
    (("--size", "large"), "not understood"),
    (("--device", "gpu"), "not known"),
    (("--device", "meta"), "not supported"),
    (("-m", "no-such-model"), "bundled models"),
    (("-m", "gone.pth"), "no weights file"),
    (("-m", "."), "is a folder"),
    (("-m", ""), "empty argument"),
    (("-o", ""), "empty argument"),
    (("--output=",), "names nothing"),
    (("--overlay", "o.avi"), "possible: .mp4"),
    (("--overlay", "o"), "suffix missing"),
    (("--sheet", "s.jpg"), "PNG"),
    (("--cutout", "c.mp4"), "possible: .webm"),
    (("--overlay", "a.mp4"), "over the source"),
    (("-o", "a.mp4"), "is no folder"),
    (("-o", "a.mp4/deep"), "is no folder"),
    (("--overlay", "a.mp4/o.mp4"), "is no folder"),
    (("b.mp4", "--overlay", "o.mp4"), "2 videos"),
]


@pytest.mark.parametrize(
    ("options", "word"), OPTIONS, ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else ""
)
def test_bad_options_are_one_line(run, tmp_path, monkeypatch, options, word):
    monkeypatch.chdir(tmp_path)
    source = bright.clip(tmp_path / "a.mp4", 1)
    before = source.read_bytes()
    assert refused(run("segment", "a.mp4", *options), word)
    assert source.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_cuda_that_is_not_there(run, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refused(run("segment", bright.clip(tmp_path / "a.mp4", 1), "--device", "cuda"), "no CUDA device")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert refused(run("segment", tmp_path / "a.mp4", "--device", "cuda:7"), "cuda:7", "counted from 0")


@pytest.mark.parametrize(
    "arguments",
    [["segment", "a", "--bogus"], ["segment", "a", "--clip", "x"], ["info"], ["convert", "x"], ["evaluate", "davis1"]],
    ids=" ".join,
)
def test_what_cannot_be_parsed_is_one_line(run, arguments):
    assert refused(run(*arguments), f"`rotoscope {arguments[0]} --help`")


def test_commands_and_their_absence(run):
    assert refused(run("segmnt"), "rotoscope --help")
    assert refused(run("segment"), "no source given")
    assert refused(run("segment", ""), "empty argument")


def test_places_that_cannot_be_written(run, bright_model, tmp_path):
    source = bright.clip(tmp_path / "a.mp4", 2)
    places = ["/proc/rotoscope", "/sys/rotoscope", "/dev/null"]
    for place in [place for place in places if sys.platform == "linux"]:
        assert refused(run("segment", source, "-o", place), place)
        assert refused(run("segment", source, "-o", tmp_path / "out", "--overlay", f"{place}/o.mp4"), place)
    assert not [path for path in tmp_path.rglob("*") if ".part" in path.name]


def test_convert(run, tmp_path):
    weights = loading.WEIGHTS / "3dc-seg-mobile.safetensors"
    (tmp_path / "text.pth").write_text("text")
    output = tmp_path / "o.safetensors"
    for source, place, word in [
        (tmp_path / "gone.pth", output, "no weights file"),
        (tmp_path / "text.pth", output, "no checkpoint"),
        (tmp_path, output, "is a folder"),
        (weights, output, "already"),
        (weights, weights, "source itself"),
        (weights, tmp_path / "o.pth", ".safetensors"),
    ]:
        assert refused(run("convert", source, "--system", "3dc-seg", "-o", place), word)
    assert refused(run("convert", weights, "--system", "stm-9", "-o", output), "no system")
    assert not output.exists()


def test_names_from_a_wide_world(run, bright_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-x", "ünï cödé [red] {x}", "new\nline", "a:b", "d'o\"t", "n" * 200):
        bright.clip(tmp_path / f"{name}.mp4", 1)
        code, _, err = run("segment", "-o", "out", "--", f"{name}.mp4")
        assert (code, err) == (0, "")
        assert (tmp_path / "out" / name.replace("\n", "_") / "00000.png").is_file()  # no name breaks a line
    raw = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
    shutil.copy(bright.clip(tmp_path / "plain.mp4", 1), raw)
    assert run("segment", os.fsdecode(raw), "-o", "out")[0] == 0
    bright.clip(tmp_path / ("m" * 249 + ".mp4"), 1)
    assert run("segment", f"{'m' * 249}.mp4", "-o", "out")[0] == 0
    (cut,) = (tmp_path / "out").glob("mmm*.done.json")  # so that suffixes have room
    assert (tmp_path / "out" / cut.name.removesuffix(".done.json") / "00000.png").is_file()


def test_who_reads_may_leave(tmp_path):
    source = bright.clip(tmp_path / "a.mp4", 1)
    command = [sys.executable, "-m", "rotoscope", "info", str(source)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0
    process.stderr.close()
