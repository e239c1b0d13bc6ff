"""Whole videos, frames into the network, windows, and what the published writers make of labels."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from rotoscope.masks.davis import DavisWriter
from rotoscope.masks.label_map import read_label_png
from rotoscope.masks.mots import read_mots_frames, write_mots
from rotoscope.masks.run_length import decode, from_coco
from rotoscope.models.clip_windows import clip_indices
from rotoscope.models.published import load_published
from rotoscope.models.stem_seg import published
from rotoscope.models.stem_seg.answers import Answers, Stamp
from rotoscope.models.stem_seg.fit import FrameFit
from rotoscope.models.stem_seg.labelling import Labelled, Labeller
from rotoscope.models.stem_seg.network import NETWORKS, FrameEncoder
from rotoscope.models.stem_seg.options import EmbeddingOptions
from rotoscope.models.stem_seg.selection import numbered
from rotoscope.types import Track
from tests import golden
from tests.models.stem_seg.test_golden_chaining import SYSTEM, cases

KITTI = ("car", "pedestrian")


@lru_cache(maxsize=1)
def network(name):
    state = {key: torch.from_numpy(value) for key, value in golden.state(SYSTEM, name).items()}
    module = NETWORKS[name]()
    turned = published.turned_around(state)
    load_published(module, turned, published.TABLE, system=SYSTEM, network=name, constants=published.CONSTANTS)
    return module.eval()


def rule_of(config):
    return f"{config['min_dim']}/{config['max_dim']}"


def pictures(case, name):
    """RGB."""
    return golden.inputs(case)[name].floor().to(torch.uint8).flip(-1).numpy()


@pytest.mark.parametrize("row", golden.cases(SYSTEM, "windows")[0]["inline"], ids=lambda row: f"{row['frames']} frames")
def test_windows(row):
    assert clip_indices(row["frames"], row["clip"], row["overlap"], "shifted", "first") == row["windows"]


@pytest.mark.parametrize(
    "row", golden.cases(SYSTEM, "resize_table")[0]["inline"], ids=lambda row: f"{row['w']}x{row['h']}"
)
def test_sizes(row):
    fit = FrameFit.of((row["h"], row["w"]), rule_of(row))
    assert (*fit.resized, *fit.padded) == (row["new_h"], row["new_w"], row["pad_h"], row["pad_w"])


@pytest.mark.parametrize("case", cases("preprocess"))
def test_frames_into_the_network(case):
    image, expected = pictures(case, "image_bgr"), golden.arrays(SYSTEM, case)
    fit = FrameFit.of(image.shape[:2], rule_of(case["config"]))
    encoder = FrameEncoder((1, 1, 1, 1), 8, 16)
    encoder.maps = lambda x: x
    assert list(fit.resized) == expected["size"].tolist()
    golden.check(case, "tensor", encoder(fit.pixels(image)[None])[None].flip(2), expected["tensor"])


@pytest.mark.parametrize("case", cases("video"))
def test_videos(case, monkeypatch):
    expected, config, module = golden.arrays(SYSTEM, case), case["config"], network(case["network"])
    images, full = pictures(case, "frames_bgr"), config["upscale"] != 1
    options = EmbeddingOptions(
        size=rule_of(config),
        clip=config["num_frames"],
        overlap=6 if "davis" in case["name"] else 4,
        full_size=full,
        foreground_seediness=config["seediness_threshold"],
        least_seediness=config["min_seediness"],
    )
    clips, heads = [], module.heads
    monkeypatch.setattr(module, "heads", lambda features: clips.append(heads(features)) or clips[-1])
    labeller, fit = Labeller(module, options), FrameFit.of(images.shape[1:3], options.size, full)
    frames = [frame for image in images for frame in labeller.push(fit.pixels(image))] + labeller.finish()
    assert [frame.index for frame in frames] == list(range(len(images)))
    own = {"embeddings": "embeddings", "bandwidths": "bandwidths", "seediness": "seediness"}
    for which, window, maps in (("first", config["windows"][0], clips[0]), ("last", config["windows"][-1], clips[-1])):
        places = list({index: place for place, index in enumerate(window)}.values())[::3]
        for name in own:
            if f"{name}_{which}" in expected:
                found = getattr(maps, name)[0][:, places]
                golden.check(case, f"{name}_{which}", found, expected[f"{name}_{which}"])
    assert len(clips) == len(config["windows"])
    probability = torch.stack([frame.foreground for frame in frames])
    golden.check(
        case, "foreground_prob", probability[:, ::2, ::2] if full else probability, expected["foreground_prob"]
    )
    labels = torch.stack([frame.labels for frame in frames]).numpy()
    assert (labels == expected["labels"]).mean() >= 0.98
    if full:
        classes = torch.stack([frame.classes for frame in frames])
        classes = torch.nn.functional.interpolate(classes, scale_factor=4.0, mode="bilinear")
        golden.check(case, "classes", classes[:, ::5, ::4, ::4], expected["classes"])
    elif "classes" in expected:
        classes = torch.stack([frame.classes.argmax(dim=0) for frame in frames]).numpy()
        assert (classes == expected["classes"]).mean() >= 0.99


def answers_of(case, tracks, names=(), **options):
    """The results on the labels of a writer's case."""
    arrays, config = golden.arrays(SYSTEM, case), case["config"]
    full = config["full_resolution_labels"]
    chosen = EmbeddingOptions(size=rule_of(config), full_size=full, tracks=tracks, most=config["max_tracks"], **options)
    answers = Answers(FrameFit.of(tuple(config["image_size"]), chosen.size, full), chosen, names)
    for index, labels in enumerate(arrays["in_labels"]):
        classes = None
        if "in_class_logits" in arrays:
            classes = torch.from_numpy(arrays["in_class_logits"][index])
        if "in_class_labels" in arrays:
            winners = torch.from_numpy(arrays["in_class_labels"][index])
            classes = torch.nn.functional.one_hot(winners, 3).permute(2, 0, 1).float()
        frame = Labelled(index, torch.from_numpy(labels), None, classes, None, None)
        assert answers.add(Stamp(index, index / 25), frame) == []
    return answers.finish(), arrays, answers


def nearly(mask, expected):
    assert mask.shape == expected.shape
    assert (mask != expected).mean() <= 0.005


@pytest.mark.parametrize("case", cases("writer.davis"))
def test_davis(case, tmp_path):
    results, arrays, _ = answers_of(case, "davis")
    with DavisWriter(tmp_path) as writer:
        written = [writer.write(result) for result in results]
    assert [path.name for path in written] == case["inline"]["files"]
    for path, expected in zip(written, arrays["png"], strict=True):
        np.testing.assert_array_equal(read_label_png(path), expected)


def tracks_of(results):
    tracks = {}
    for result in results:
        for item in result.objects:
            tracks.setdefault(item.track_id, {})[result.index] = item
    return tracks


@pytest.mark.parametrize("case", cases("writer.ytvis"))
def test_youtube_vis(case):
    names = tuple("12345")
    results, _, _ = answers_of(case, "youtube-vis", names)
    tracks = tracks_of(results)
    assert list(tracks) == list(range(1, len(case["inline"]) + 1))
    for frames, entry in zip(tracks.values(), case["inline"], strict=True):
        for index, code in enumerate(entry["segmentations"]):
            expected = decode(from_coco(code))
            found = decode(frames[index].mask) if index in frames else np.zeros_like(expected)
            nearly(found, expected)
        for item in frames.values():
            assert item.label == str(entry["category_id"])
            assert item.score == pytest.approx(entry["score"], abs=1e-4)


@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("case", cases("writer.kitti"))
def test_kitti_mots(case, clean, tmp_path):
    results, _, answers = answers_of(case, "kitti-mots", KITTI, votes="places", clean=clean)
    if not clean:
        numbers = {str(number): label for label, number in numbered(answers.records.all, "kitti-mots", 1000).items()}
        assert numbers == case["inline"]["output_id_to_label"]
    tracks = [
        Track(number, next(iter(frames.values())).label, masks={index: item.mask for index, item in frames.items()})
        for number, frames in tracks_of(results).items()
    ]
    write_mots(tmp_path / "0007.txt", tracks)
    expected = tmp_path / "expected.txt"
    expected.write_text("\n".join(case["inline"]["filtered_lines" if clean else "raw_lines"]))
    found, wanted = read_mots_frames(tmp_path / "0007.txt"), read_mots_frames(expected)
    assert sorted(found) == sorted(wanted)
    for index, masks in found.items():
        others = sorted(wanted[index], key=lambda one: one.id)
        assert [(one.id, one.category) for one in masks] == [(one.id, one.category) for one in others]
        for one, other in zip(masks, others, strict=True):
            nearly(decode(one.mask), decode(other.mask))
