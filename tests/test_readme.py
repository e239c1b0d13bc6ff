"""The README's Python is run as it stands, and its commands exist."""

import re
from pathlib import Path

import numpy as np

import rotoscope
from rotoscope.data.synthetic import moving_disc_clip

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def test_the_python_runs(tmp_path, monkeypatch):
    frames = [frame.image for frame in moving_disc_clip(4, (48, 64), seed=0)[0]]
    with rotoscope.VideoWriter(tmp_path / "clip.mp4", (48, 64), 25.0) as writer:
        for image in frames:
            writer.write(image)
    monkeypatch.chdir(tmp_path)
    names = {"frames": [np.zeros((480, 640, 3), np.uint8)] * 2}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "out" / "clip" / "00003.png").exists()
    assert (tmp_path / "out" / "overlay.mp4").exists()
    assert len(names["rest"]) == 2


def test_its_commands_and_files_exist():
    from rotoscope.cli.app import USAGE

    for command in re.findall(r"^    rotoscope ([\w-]+)", README, re.MULTILINE):
        assert f"  {command} " in USAGE, command
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (Path(__file__).parent.parent / link).exists(), link
