"""Pictures of embeddings, seediness and instances."""

import numpy as np
import pytest
import torch

from rotoscope.errors import OptionError
from rotoscope.models.contract import Subject
from rotoscope.models.stem_seg.analyses import ANALYSES, PlacesOptions
from rotoscope.models.stem_seg.options import EmbeddingOptions
from rotoscope.render.figures import draw_figure
from rotoscope.types import Frame, VideoInfo
from tests.models.stem_seg.colours import BLUE, RED, Colours, moving, picture


def run(images, network=None, chosen=None, **options):
    def frames():
        return (Frame(index, index / 25, image) for index, image in enumerate(images))

    height, width = images[0].shape[:2]
    info = VideoInfo("clip", width, height)
    given = EmbeddingOptions(**{"size": "unchanged", **options})
    subject = Subject(network or Colours(), given, torch.device("cpu"), info, frames)
    return ANALYSES["embeddings"].run(subject, chosen or PlacesOptions())


@pytest.mark.parametrize("full_size", [False, True])
def test_frames_spread_over_the_video(tmp_path, full_size):
    found = run(moving(21, RED, BLUE), full_size=full_size)
    assert [one["frame"] for one in found.numbers["frames"]] == [0, 5, 10, 15, 20]
    for one in found.numbers["frames"]:
        assert list(one["instances"]) == ["1", "2"]
        assert min(one["instances"].values()) >= (50 if full_size else 4)
        assert full_size or one["outliers"] == 0  # enlarged, colours mix at edges
        assert 0.9 < one["highest seediness"] <= 0.95
    image = found.figures["places"].image
    assert image.shape == (24 + 5 * (270 + 4) + 4, 4 * 364 + 4, 3)
    draw_figure(found.figures["places"], tmp_path / "places.png")
    assert (tmp_path / "places.png").stat().st_size > 1000


def test_instances_differ_in_the_colours_of_their_embeddings():
    image = (
        run([picture((RED, 0, 0, 16), (BLUE, 24, 32, 16))] * 3, chosen=PlacesOptions(at=(1,))).figures["places"].image
    )
    left, top, scale = 364 + 4, 24, 360 / 64
    red = image[top + round(8 * scale), left + round(8 * scale)].astype(int)
    blue = image[top + round(32 * scale), left + round(40 * scale)].astype(int)
    assert np.abs(red - blue).max() > 200
    seed = image[top + round(8 * scale), left + 364 + round(8 * scale)]
    assert seed.tolist() == [242] * 3


@pytest.mark.parametrize("count", [1, 3])
def test_a_video_without_foreground(count):
    found = run([picture()] * count)
    assert [one["instances"] for one in found.numbers["frames"]] == [{}] * count
    assert found.figures["places"].image.ndim == 3


def test_what_is_not_there_is_named():
    with pytest.raises(OptionError, match="no frame 9; it has 4"):
        run(moving(4, RED), chosen=PlacesOptions(at=(0, 9)))
    with pytest.raises(OptionError, match="STEm-Seg's, not those of a Linear"):
        run(moving(4, RED), torch.nn.Linear(1, 1))
    with pytest.raises(OptionError, match="1 to 24"):
        PlacesOptions(frames=0)
    with pytest.raises(OptionError, match="counted from 0"):
        PlacesOptions(at=(-1,))
