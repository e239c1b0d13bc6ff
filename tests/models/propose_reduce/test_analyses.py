"""What is found out about distances from key frames, numbers of them, and reductions."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from rotoscope.errors import OptionError
from rotoscope.inference.looking import read_truth
from rotoscope.masks.label_map import write_label_png
from rotoscope.models.contract import Subject
from rotoscope.models.propose_reduce import session as module
from rotoscope.models.propose_reduce.analyses import ANALYSES, ReductionOptions
from rotoscope.models.propose_reduce.options import WholeVideoOptions
from rotoscope.render.figures import draw_figure
from rotoscope.types import Frame, VideoInfo
from rotoscope.video import open_video
from tests.models.propose_reduce.small import CPU, images, small

SIZE = (48, 80)


def subject(network, truth, count=5, **options):
    pictures = images(count, SIZE)

    def frames():
        return (Frame(index, index / 25, image) for index, image in enumerate(pictures))

    chosen = WholeVideoOptions(**{"size": "unchanged", "key_frames": 2, **options})
    return Subject(network, chosen, CPU, VideoInfo("clip", SIZE[1], SIZE[0], count), frames, truth=truth)


@pytest.fixture(scope="module")
def network():
    return small()


@pytest.fixture
def known(network, monkeypatch):
    """Sequences that are known: one that fades, one that lies beside the object."""

    def followed(network, maps_of, masks, key, frames, every, limit):
        for frame in range(frames):
            parts = torch.zeros(2, 64, 96)
            parts[0, 8 : 24 - 2 * abs(frame - key), 8:24] = 1
            parts[1, 30:40, 60:70] = 1
            yield frame, parts

    monkeypatch.setattr(module, "followed", followed)
    monkeypatch.setattr(module, "found_in", lambda *_: torch.ones(2, *SIZE, dtype=torch.bool))
    return network


def square(frames):
    labels = np.zeros(SIZE, np.uint8)
    labels[8:24, 8:24] = 1
    return dict.fromkeys(frames, labels)


def test_masks_fade_with_the_distance(known, tmp_path):
    run = ANALYSES["distances"].run
    found = run(subject(known, square(range(5))), None)
    best = found.numbers["80 to 100 %"]
    assert best["sequences"] == 2  # one of each key frame
    assert best["frames"] == [2, 2, 2, 2, 2]
    assert np.array(best["sums"]) / 2 == pytest.approx([1, 7 / 8, 6 / 8, 5 / 8, 4 / 8])
    worst = found.numbers["0 to 20 %"]
    assert worst["sequences"] == 2
    assert sum(worst["sums"]) == 0
    both = ANALYSES["distances"].joined([found, run(subject(known, square(range(4)), count=4), None)])
    assert both.numbers["80 to 100 %"]["frames"] == [4, 4, 4, 4, 2]
    json.dumps(both.numbers)
    draw_figure(both.figures["distances"], tmp_path / "distances.png")
    assert (tmp_path / "distances.png").stat().st_size > 1000


def test_frames_without_the_object_are_left_out(known):
    found = ANALYSES["distances"].run(subject(known, square([0, 1])), None)
    assert found.numbers["80 to 100 %"]["frames"] == [1, 1, 0, 0, 0]  # of the first key frame alone


def test_reductions_by_number_of_key_frames(known, tmp_path):
    options = ReductionOptions(key_frames=(1, 2))
    found = ANALYSES["reductions"].run(subject(known, square(range(5))), options)
    assert found.numbers["objects"] == 1
    assert found.numbers["sequences"]["none"] == [2, 4]
    assert found.numbers["sequences"]["hard"] == [2, 2]
    shared = sum(16 * (16 - 2 * away) for away in range(5)) / (5 * 256)
    assert found.numbers["covered"]["none"] == pytest.approx([shared, shared])
    both = ANALYSES["reductions"].joined([found, found])
    assert both.numbers["covered"]["hard"] == pytest.approx(found.numbers["covered"]["hard"])
    assert both.numbers["sequences"]["none"] == [4, 8]
    json.dumps(both.numbers)
    draw_figure(both.figures["reductions"], tmp_path / "reductions.png")
    assert (tmp_path / "reductions.png").stat().st_size > 1000


def test_a_real_network(network):
    found = ANALYSES["distances"].run(subject(network, square(range(3)), count=3), None)
    assert sum(group["sequences"] for group in found.numbers.values()) > 0


def test_what_cannot_be_compared(network):
    with pytest.raises(OptionError, match="no true mask"):
        ANALYSES["reductions"].run(subject(network, {}, count=2), ReductionOptions(key_frames=(1,)))
    with pytest.raises(OptionError, match="expected numbers of 1 or more"):
        ReductionOptions(key_frames=())


@pytest.mark.parametrize(("values", "found"), [((0, 255), {0, 1}), ((0, 1, 255), {0, 1, 255}), ((0, 2), {0, 2})])
def test_black_and_white_truth_is_one_object(tmp_path, values, found):
    for folder in ("clip", "masks"):
        (tmp_path / folder).mkdir()
    labels = np.array(values, np.uint8)[np.arange(48 * 64).reshape(48, 64) % len(values)]
    for number, truth in enumerate((labels, np.zeros_like(labels))):
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(tmp_path / "clip" / f"{number:05d}.png")
        write_label_png(tmp_path / "masks" / f"{number:05d}.png", truth)
    with open_video(tmp_path / "clip") as video:
        truth = read_truth(tmp_path / "masks", video)
    assert set(np.unique(truth[0]).tolist()) == found
    assert not truth[1].any()
