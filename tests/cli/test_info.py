from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tyro
from PIL import Image

from rotoscope.cli.info import info
from rotoscope.errors import VideoError
from tests.video.clips import encode, numbered


def test_a_file_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = [0.0, 0.1, 0.3, 0.31]
    path = encode(tmp_path / "[odd] clip.mkv", [numbered(index) for index in range(4)], times=times)
    tyro.cli(info, args=[str(path), "--count"])
    printed = capsys.readouterr().out
    for words in ("[odd] clip", "64x48", "not told", "h264", "yuv420p", "none"):
        assert words in printed
    rows = dict(line.split("  ", 1) for line in printed.splitlines() if "  " in line)
    assert rows["frames counted"].strip() == "4"
    assert rows["variable rate"].strip() == "yes"


def test_a_folder_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for index in range(3):
        Image.fromarray(np.zeros((4, 6), np.uint8)).save(tmp_path / f"{index}.png")
    info(tmp_path)
    printed = capsys.readouterr().out
    assert "6x4" in printed
    assert "picture folder" in printed


def test_a_bad_source_is_left_to_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(VideoError):
        info(tmp_path / "gone.mp4")
