"""The picture of what the aggregation reads."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rotoscope.errors import OptionError
from rotoscope.inference.prepare import prepare
from rotoscope.models.contract import Subject
from rotoscope.models.visolo.analyses import ANALYSES, WeightOptions
from rotoscope.models.visolo.options import OnlineOptions
from rotoscope.render.figures import draw_figure
from rotoscope.types import Frame, VideoInfo
from tests.models.visolo.test_session import images, small
from tests.processor import needs_bfloat16


def subject(count=9, size=(50, 70), **options):
    pictures = images(count, size)

    def frames():
        return (Frame(index, index / 25, image) for index, image in enumerate(pictures))

    chosen = OnlineOptions(**{"size": "40x72", "grid": "4x6", **options})
    return Subject(small(), chosen, torch.device("cpu"), VideoInfo("clip", size[1], size[0], count), frames)


def run(given, **options):
    return ANALYSES["weights"].run(given, WeightOptions(**options))


def test_weights_of_chosen_cells(tmp_path):
    found = run(subject(), frame=8, cells=("1x2", "3x5"), references=3)
    assert found.numbers["frame"] == 8
    assert found.numbers["memory"] == [0, 5, 6, 7]
    assert [one["cell"] for one in found.numbers["cells"]] == [[1, 2], [3, 5]]
    for one in found.numbers["cells"]:
        assert sum(one["shares"]) == pytest.approx(1, abs=1e-4)
        assert len(one["strongest"]) == 4
    figure = found.figures["frame8"]
    assert len(figure.blocks) == 4
    own, *others = figure.blocks
    assert own.names == ["cell 1x2", "cell 3x5"]
    assert np.isnan(own.maps).sum() == own.maps.size - 2
    assert own.maps[1, 0, 3, 5] == 1
    for block in others:
        assert block.maps.shape == (2, 1, 4, 6)
        assert block.maps.max(axis=(1, 2, 3)).tolist() == pytest.approx([1, 1])
        assert block.picture.shape == (48, 80, 3)
    draw_figure(figure, tmp_path / "weights.png")
    assert (tmp_path / "weights.png").stat().st_size > 1000


def test_defaults_and_the_first_frame():
    found = run(subject())
    assert found.numbers["frame"] == 4
    assert 1 <= len(found.numbers["cells"]) <= 3
    first = run(subject(1), frame=0)
    assert first.numbers["memory"] == [0]
    assert first.numbers["cells"][0]["shares"] == [1.0]


@needs_bfloat16
def test_a_network_in_bfloat16_is_looked_at_too():
    given = subject(3)
    given = replace(given, network=prepare(small(), torch.device("cpu"), torch.bfloat16))
    shares = run(given, frame=2, cells=("1x2",)).numbers["cells"][0]["shares"]
    assert sum(shares) == pytest.approx(1, abs=0.02)


def test_what_is_not_there_is_named():
    for options, words in (
        ({"cells": ("9x1",)}, "outside the grid"),
        ({"cells": ("here",)}, "not understood"),
        ({"frame": 50}, "no frame 50"),
    ):
        with pytest.raises(OptionError, match=words):
            run(subject(), **options)
    with pytest.raises(OptionError, match="references"):
        WeightOptions(references=0)
