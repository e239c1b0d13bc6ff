"""`rotoscope propose` and `rotoscope segment --proposals`: what is found is kept and used; and what cannot be meant."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from rotoscope.inference import loading, proposing
from rotoscope.masks.label_map import read_label_png, write_label_png
from rotoscope.masks.proposal_cache import ProposalCache
from tests.cli.test_bad_input import refused
from tests.inference import bright
from tests.models.dmn_aoa import colours
from tests.models.stm.colours import GREEN, RED, mask_of, picture
from tests.video.clips import encode

COUNT = 5


@pytest.fixture(autouse=True)
def _colours(monkeypatch):
    monkeypatch.setattr(loading, "load", lambda *_, **__: colours.model())


@pytest.fixture
def detector(monkeypatch):
    found = colours.ColourDetector()
    monkeypatch.setattr(proposing, "open_detector", lambda path, device: found)
    return found


def images(shift=0):
    return [picture((RED, 2, 4 + 3 * i + shift, 12), (GREEN, 30, 40 - 3 * i, 14)) for i in range(COUNT)]


def clip(path, pictures=None):
    path.parent.mkdir(exist_ok=True)
    return encode(path, pictures or images(), codec="ffv1", pixels="bgr0")


def given(folder):
    image = images()[0]
    write_label_png(folder / "first.png", (mask_of(image, RED) + 2 * mask_of(image, GREEN)).astype(np.uint8))
    return folder / "first.png"


def segment(run, source, folder, *more):
    return run("segment", source, "--masks", given(folder), "-o", folder / "out", "--no-pictures", *more)


def truth(folder):
    return [read_label_png(folder / "out" / "a" / f"{index:05d}.png") for index in range(COUNT)]


def test_proposals_are_kept_and_used(run, tmp_path, detector):
    source = clip(tmp_path / "a.mkv")
    code, said, _ = run("propose", source, "--detector", "maskrcnn.pth", "-o", tmp_path / "p")
    assert code == 0
    assert "a: 5 frames" in said
    assert detector.calls == COUNT
    with ProposalCache(tmp_path / "p" / "a.npz") as cache:
        assert (cache.frames, cache.size) == (COUNT, (48, 64))
        assert len(cache.read(0)) == 3
    assert segment(run, source, tmp_path, "--proposals", tmp_path / "p", "--set", "refine=false")[0] == 0
    cached = truth(tmp_path)
    marker = json.loads((tmp_path / "out" / "a.done.json").read_text())
    assert marker["options"]["proposals"] == str(tmp_path / "p")
    assert detector.calls == COUNT
    assert segment(run, source, tmp_path, "--detector", "maskrcnn.pth", "--set", "refine=false")[0] == 0
    assert detector.calls == 2 * COUNT - 1
    assert all(np.array_equal(one, other) for one, other in zip(cached, truth(tmp_path), strict=True))
    assert set(np.unique(cached[-1])) == {0, 1, 2}


def test_proposals_count_as_finished_for_the_same_video_and_detector_only(run, tmp_path, detector):
    source, weights, cache = clip(tmp_path / "a.mkv"), tmp_path / "m.pth", tmp_path / "p" / "a.npz"
    weights.write_bytes(b"1")

    def propose():
        return run("propose", source, "--detector", weights, "-o", tmp_path / "p", "--resume")[1]

    assert "5 frames" in propose()
    assert "finished before" in propose()
    cache.write_bytes(cache.read_bytes()[:-1])
    assert "5 frames" in propose()
    weights.write_bytes(b"22")
    assert "5 frames" in propose()
    os.utime(source, ns=(1, 1))
    assert "5 frames" in propose()
    assert "finished before" in propose()


def test_other_proposals_make_other_results(run, tmp_path, detector):
    source = clip(tmp_path / "a.mkv")
    assert run("propose", source, "--detector", "m.pth", "-o", tmp_path / "p")[0] == 0
    asked = ["segment", source, "--masks", given(tmp_path), "-o", tmp_path / "out", "--no-pictures", "--resume"]
    asked += ["--proposals", tmp_path / "p"]
    assert "5 frames" in run(*asked)[1]
    assert "finished before" in run(*asked)[1]
    os.utime(tmp_path / "p" / "a.npz", ns=(1, 1))
    assert "5 frames" in run(*asked)[1]


def test_both_ways_reads_the_right_frames(run, tmp_path, detector):
    source = clip(tmp_path / "a.mkv")
    run("propose", source, "--detector", "maskrcnn.pth", "-o", tmp_path / "p")
    image = images()[3]
    write_label_png(tmp_path / "at.png", mask_of(image, RED).astype(np.uint8))
    arguments = ["--masks", tmp_path / "at.png", "--at", 3, "--both-ways", "--proposals", tmp_path / "p"]
    assert run("segment", source, *arguments, "-o", tmp_path / "out", "--no-pictures")[0] == 0
    found = truth(tmp_path)
    assert all(np.array_equal(one == 1, mask_of(image, RED)) for one, image in zip(found, images(), strict=True))


def test_proposals_of_another_video(run, tmp_path, detector):
    source = clip(tmp_path / "a.mkv")
    clip(tmp_path / "other" / "a.mkv", [255 - image for image in images()])
    run("propose", tmp_path / "other" / "a.mkv", "--detector", "maskrcnn.pth", "-o", tmp_path / "p")
    result = segment(run, source, tmp_path, "--proposals", tmp_path / "p")
    assert refused(result, "a.npz is of another video", "frame 1")
    assert not (tmp_path / "out" / "a.done.json").exists()
    (tmp_path / "p" / "a.npz").unlink()
    assert refused(
        segment(run, source, tmp_path, "--proposals", tmp_path / "p"), "no proposals at", "rotoscope propose"
    )
    assert refused(segment(run, source, tmp_path, "--proposals", tmp_path / "gone"), "no folder of proposals")
    (tmp_path / "p" / "a.npz").write_bytes(b"PK nothing")
    assert refused(segment(run, source, tmp_path, "--proposals", tmp_path / "p"), "no cache of proposals")


def test_proposals_of_another_size_or_length(run, tmp_path, detector):
    source = clip(tmp_path / "a.mkv")
    run("propose", clip(tmp_path / "short" / "a.mkv", images()[:3]), "--detector", "m.pth", "-o", tmp_path / "p")
    assert refused(segment(run, source, tmp_path, "--proposals", tmp_path / "p"), "a.npz", "3 frames")
    large = [np.pad(image, ((0, 16), (0, 0), (0, 0))) for image in images()]
    run("propose", clip(tmp_path / "large" / "a.mkv", large), "--detector", "m.pth", "-o", tmp_path / "p")
    assert refused(segment(run, source, tmp_path, "--proposals", tmp_path / "p"), "a.npz", "64x64", "64x48")
    assert not (tmp_path / "out" / "a.done.json").exists()


def test_an_object_that_vanishes_for_good(run, tmp_path, detector):
    pictures = [images()[0], *[picture((GREEN, 30, 40 - 3 * i, 14)) for i in range(1, COUNT)]]
    source = clip(tmp_path / "a.mkv", pictures)
    for more in ((), ("--detector", "m.pth")):
        assert segment(run, source, tmp_path, *more)[0] == 0
        found = [np.unique(labels).tolist() for labels in truth(tmp_path)]
        assert found == [[0, 1, 2], *[[0, 2]] * (COUNT - 1)]


def test_more_than_255_objects(run, tmp_path, detector):
    content = np.zeros((48, 64), np.uint16)
    content.flat[:300] = np.arange(1, 301)
    source = clip(tmp_path / "a.mkv", images()[:1])
    write_label_png(tmp_path / "many.png", content)
    arguments = ["--masks", tmp_path / "many.png", "-o", tmp_path / "out", "--detector", "m.pth"]
    assert run("segment", source, *arguments)[0] == 0
    assert np.array_equal(read_label_png(tmp_path / "out" / "a" / "00000.png"), content)


def test_options_by_name(run, tmp_path):
    source = clip(tmp_path / "a.mkv")
    assert (
        segment(run, source, tmp_path, "--set", "align=forward", "--set", "template=first", "--set", "size=48")[0] == 0
    )
    options = json.loads((tmp_path / "out" / "a.done.json").read_text())["options"]
    assert (options["align"], options["template"], options["size"]) == ("forward", "first", "48")
    assert refused(
        segment(run, source, tmp_path, "--set", "size=48", "--size", "64"),
        "size is given by --size and by --set; give it once",
    )
    for change, words in {
        "size=0x48": ("size '0x48' lies outside",),
        "align=near": ("near", "mutual"),
        "colour=red": ("colour",),
        "align": ("name=value",),
        "floor=high": ("floor",),
    }.items():
        assert refused(segment(run, source, tmp_path, "--set", change), *words)


def test_masks_that_cannot_be_meant(run, tmp_path):
    source, folder = clip(tmp_path / "a.mkv"), tmp_path / "masks"
    folder.mkdir()
    good = (mask_of(images()[0], RED) * 1).astype(np.uint8)
    for name, content in {"large": np.ones((48, 65), np.uint8), "empty": 0 * good, "00009": good}.items():
        write_label_png(folder / f"{name}.png", content)
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "rgb.png")
    for name, words in {
        "large": ("65x48", "64x48"),
        "empty": ("no object",),
        "rgb": ("none of the DAVIS palette",),
        "00009": ("frame 9", "5 frames"),
    }.items():
        arguments = ["--masks", folder / f"{name}.png", "-o", tmp_path / "out", "--no-pictures"]
        assert refused(run("segment", source, *arguments), *words)


def test_a_detector_that_cannot_be_used(run, tmp_path, monkeypatch):
    source = clip(tmp_path / "a.mkv")
    assert refused(segment(run, source, tmp_path, "--proposals", "built-in"), "--detector")
    assert refused(segment(run, source, tmp_path, "--detector", tmp_path / "gone.pth"), "gone.pth")
    torch.save({"backbone.body.conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "cut.pth")
    assert refused(segment(run, source, tmp_path, "--detector", tmp_path / "cut.pth"), "cut.pth", "missing")
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "other.pth")
    assert refused(run("propose", source, "--detector", tmp_path / "other.pth"), "other.pth", "no weight of Mask R-CNN")
    assert refused(run("propose", "--detector", tmp_path / "other.pth"), "no source")
    monkeypatch.setattr(proposing, "open_detector", lambda path, device: colours.ColourDetector())
    assert refused(run("propose", tmp_path / "gone.mp4", "--detector", "m.pth", "-o", tmp_path / "p"), "does not exist")
    monkeypatch.setattr(loading, "load", lambda *_, **__: bright.model())
    assert refused(run("segment", source, "--detector", "m.pth"), "matches no proposals")
    assert refused(run("segment", source, "--proposals", "none"), "no option 'proposals'")
