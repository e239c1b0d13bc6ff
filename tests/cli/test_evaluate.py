import json
import subprocess
import sys

import numpy as np
import pytest
import tyro

from rotoscope.cli.evaluate import evaluate
from rotoscope.errors import DataError
from rotoscope.masks.label_map import write_label_png


@pytest.fixture
def folders(tmp_path):
    masks = np.zeros((5, 30, 40), np.uint8)
    for index in range(5):
        masks[index, 5:20, 5 + index : 20 + index] = 1
        for name in ("cows", "goat"):
            write_label_png(tmp_path / "davis" / "Annotations" / "480p" / name / f"{index:05d}.png", masks[index])
            write_label_png(tmp_path / "masks" / name / f"{index:05d}.png", masks[index] * (name == "cows"))
    (tmp_path / "davis" / "ImageSets" / "2016").mkdir(parents=True)
    (tmp_path / "davis" / "ImageSets" / "2016" / "val.txt").write_text("cows\ngoat\nlibby\n")
    return tmp_path


def run(folders, *options):
    arguments = ["davis16", "--annotations", str(folders / "davis"), "--predictions", str(folders / "masks"), *options]
    assert tyro.cli(evaluate, args=arguments) is None


def test_table_and_remarks(folders, capsys):
    run(folders)
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines() if line.startswith((" cows", " goat", " mean"))]
    assert rows == [
        ["cows", "1.000", "1.000", "1.000", "0.000", "1.000", "1.000", "0.000"],
        ["goat", "0.000", "0.000", "0.000", "0.000", "0.000", "0.000", "0.000"],
        ["mean", "of", "2", "0.500", "0.500", "0.500", "0.000", "0.500", "0.500", "0.000"],
    ]
    assert "6 frames scored, first and last of each sequence left out" in shown
    assert "left out, no annotations here: libby (1 of " in shown


def test_json(folders, capsys):
    path = folders / "new" / "scores.json"
    run(folders, "--json", str(path), "--ends", "keep", "--sequences", "goat", "cows")
    report = json.loads(path.read_text())
    assert report["global"]["J&F-Mean"] == 0.5
    assert report["protocol"]["end_frames"] == "kept"
    assert [entry["sequence"] for entry in report["sequences"]] == ["goat", "cows"]
    assert report["sequences"][1]["J"] == [1.0] * 5
    assert report["sequences"][1]["frames"] == [f"{index:05d}" for index in range(5)]
    assert str(path) in capsys.readouterr().out


def test_missing_predictions(folders, capsys):
    (folders / "masks" / "cows" / "00002.png").unlink()
    with pytest.raises(DataError, match="cows"):
        run(folders)
    assert capsys.readouterr().out == ""
    run(folders, "--missing", "empty")
    assert "cows: 1 frame without prediction scored as empty" in capsys.readouterr().out


def test_starts_without_torch():
    code = "import sys, rotoscope.cli.evaluate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_narrow_terminal_cuts_no_number(folders, capsys, monkeypatch, columns):
    from rich import console

    plain = console.Console
    monkeypatch.setattr(console, "Console", lambda: plain(width=columns, force_terminal=True, color_system=None))
    run(folders)
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert "cows" in shown
    assert shown.count("1.000") == 5
    assert shown.count("0.500") == 5
