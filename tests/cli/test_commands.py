"""The commands that only print: they run, and say what they should."""

import pytest

from rotoscope.cli import demo as demo_command
from rotoscope.cli.app import main
from rotoscope.inference.checkpoint import Card, save_weights
from rotoscope.models.stem_seg.mobile import MobileStemSeg


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return stopped.value.code, captured.out, captured.err


def test_help_and_version(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert "segment" in out
    assert run(capsys, "--version")[1].startswith("rotoscope ")
    assert run(capsys)[0] == 2
    code, _, err = run(capsys, "segmnt")
    assert code == 2
    assert "no command 'segmnt'" in err


def test_models(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    code, out, _ = run(capsys, "models")
    assert code == 0
    assert "3dc-seg-mobile" in out
    assert "in the package" in out
    assert "3dc-seg/csn_gc3d" in out
    assert "75." in out  # million parameters, as the paper's code has them


def test_bench(capsys):
    code, out, _ = run(capsys, "bench", "--size", "48x64", "--repeat", "1", "--precision", "fp32")
    assert code == 0
    for word in ("encoder", "decoder.refine2", "multiply-adds", "peak memory", "frames/s"):
        assert word in out
    assert run(capsys, "bench", "--size", "48")[0] == 2
    assert run(capsys, "bench", "-m", "3dc-seg/nothing")[0] == 2


def test_bench_gives_an_object_to_a_model_that_follows_one(capsys):
    code, out, _ = run(capsys, "bench", "-m", "stm/mobile", "--size", "48x64", "--repeat", "2")
    assert code == 0
    for word in ("memory_encoder", "query_encoder", "decoder.refine2", "G a frame", "5.95 M"):
        assert word in out


def test_bench_counts_from_clip_to_clip_where_frames_are_encoded_one_by_one(capsys, tmp_path):
    path, options = tmp_path / "small.safetensors", {"size": "48", "clip": 4, "overlap": 1}
    save_weights(path, MobileStemSeg().state_dict(), Card("small", "stem-seg", "mobile", options=options))
    code, out, _ = run(capsys, "bench", "-m", path, "--size", "48x64", "--repeat", "2")
    assert code == 0
    for word in ("encoder", "embedding.trunk", "G 3 frames", "(3 new frames a clip)", "5.37 M"):
        assert word in out


def test_demo(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(demo_command, "FRAMES", 6)
    code, out, _ = run(capsys, "demo", "-o", tmp_path)
    assert code == 0
    assert "J 0." in out or "J 1." in out
    for name in ("rendered.mp4", "masks/rendered.overlay.mp4", "masks/rendered.sheet.png", "masks/rendered/00005.png"):
        assert (tmp_path / name).exists(), name


def test_demo_of_a_model_that_follows_objects_gives_it_those_of_the_first_frame(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(demo_command, "FRAMES", 3)
    code, out, _ = run(capsys, "demo", "-m", "stm-mobile", "-o", tmp_path)
    assert code == 0
    assert float(out.split("DAVIS 2017, semi-supervised protocol): J ")[1].split(",")[0]) > 0.7
    assert (tmp_path / "masks/rendered/00002.png").exists()
    code, _, err = run(capsys, "demo", tmp_path / "rendered.mp4", "-m", "stm-mobile", "-o", tmp_path / "own")
    assert code == 2
    assert "--masks" in err


def test_demo_of_a_model_of_instances_writes_and_scores_them(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(demo_command, "FRAMES", 3)
    path = tmp_path / "small.safetensors"
    save_weights(path, MobileStemSeg().state_dict(), Card("small", "stem-seg", "mobile", options={"size": "48"}))
    code, out, _ = run(capsys, "demo", "-m", path, "-o", tmp_path)
    assert code == 0
    assert "DAVIS 2017, unsupervised protocol): J " in out
    for name in ("rendered.json", "rendered.txt", "rendered.timeline.png", "results.json"):
        assert (tmp_path / "masks" / name).exists(), name
