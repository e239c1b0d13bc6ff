"""The recipe that learns four clips by heart does, from the command line."""

import json
from pathlib import Path

import pytest

from rotoscope.cli.app import main
from rotoscope.inference.loading import load

RECIPE = Path(__file__).parents[2] / "recipes" / "overfit.toml"


def test_four_clips_are_learnt_by_heart(tmp_path):
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(RECIPE), "-o", str(tmp_path / "run"), "--device", "cpu"])
    assert stopped.value.code == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    scores = [line["J"] for line in lines if line["kind"] == "validation"]
    assert max(scores) > 0.95
    assert lines[0]["score"] < 0.95  # it had something to learn
    assert load(tmp_path / "run" / "best.safetensors").card.scores["validation"]["J"] == max(scores)
    assert (tmp_path / "run" / "curves.png").stat().st_size > 0
    assert (tmp_path / "run" / "clips.png").stat().st_size > 0
