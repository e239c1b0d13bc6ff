"""Training VISOLO: instances and categories of a batch, what has gradients, that it learns, weights to start from."""

import numpy as np
import pytest
import torch

from rotoscope.data.categories import CLASS_MAPS
from rotoscope.data.clips import ClipBatch
from rotoscope.errors import OptionError
from rotoscope.masks.category_names import COCO, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from rotoscope.models import trainable
from rotoscope.models.visolo.mobile import MobileVISOLO
from rotoscope.models.visolo.network import VISOLO, Widths, pairs
from rotoscope.models.visolo.options import OnlineOptions
from rotoscope.models.visolo.tracker import Tracker
from rotoscope.models.visolo.training import TrainingOptions, clip_instances, training_step

TRAINABLE = trainable("visolo")
OPTIONS = TrainingOptions(grid="4x6")


def small(classes=5, seed=0):
    torch.manual_seed(seed)
    return VISOLO(classes, (1, 1, 1), 8, Widths(32, 32, 32, 32))


def batch(count=2, size=(32, 48), categories=True, length=3):
    generator = torch.Generator().manual_seed(1)
    clips = torch.rand(count, 3, length, *size, generator=generator) * 0.3
    masks = torch.zeros(count, 1, length, *size, dtype=torch.uint8)
    for clip in range(count):
        for frame in range(length):
            for label, top, left in ((2, 4, 4 + 3 * frame), (9, 18, 24 - 2 * frame)):
                place = (clip, 0, frame, slice(top, top + 10), slice(left, left + 14))
                masks[place] = label
                clips[clip, label % 3, frame][place[3:]] += 0.6
    table = torch.zeros(count, 256, dtype=torch.int64)
    table[:, 2], table[:, 9] = 3, 5
    return ClipBatch(clips, masks, table if categories else None)


def test_instances_of_a_clip():
    labels = torch.zeros(2, 4, 4)
    labels[0, 0], labels[1, 1], labels[1, 2] = 7, 3, 255
    table = torch.zeros(256, dtype=torch.int64)
    table[7] = 2
    masks, categories = clip_instances(labels, None)
    assert categories.tolist() == [0, 0]
    assert masks.sum(dim=(2, 3)).tolist() == [[0, 4], [4, 0]]
    masks, categories = clip_instances(labels, table)
    assert categories.tolist() == [1]
    assert masks.sum().item() == 4
    assert clip_instances(labels * 0, None)[0].shape == (2, 0, 4, 4)


def test_what_is_frozen_has_no_gradient():
    network = small()
    TRAINABLE.begin(network, OPTIONS)
    TRAINABLE.mode(network, OPTIONS)
    before = {key: value.clone() for key, value in network.state_dict().items() if "running" in key}
    result = TRAINABLE.step(network, batch(), OPTIONS, None)
    result.loss.backward()
    assert result.loss.isfinite()
    assert 0 <= float(result.score) <= 1
    for name, parameter in network.named_parameters():
        fixed = name.startswith(("encoder.conv1", "encoder.layer1")) or ".bn" in name or "downsample.1" in name
        assert (parameter.grad is None) == fixed, name
    assert all(torch.equal(network.state_dict()[key], value) for key, value in before.items())


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (40, 50)])
def test_sizes_and_clips_without_instances(size):
    network, given = small(), batch(size=size)
    given.masks[0] = 0
    result = training_step(network, given, OPTIONS)
    assert result.loss.isfinite()
    empty = training_step(network, ClipBatch(given.clips, given.masks * 0, given.categories), OPTIONS)
    empty.loss.backward()
    assert empty.loss.isfinite()
    assert float(empty.score) == 1


def test_hundreds_of_instances_in_a_clip():
    network, given = small(), batch(1)
    rows = torch.arange(32)[:, None] // 2 * 16 + torch.arange(48) // 3
    given.masks[:] = (rows % 254 + 1).to(torch.uint8)
    assert training_step(network, ClipBatch(given.clips, given.masks), OPTIONS).loss.isfinite()


def test_a_category_that_the_network_lacks_is_named():
    with pytest.raises(OptionError, match="category 5, the network has 4"):
        training_step(small(4), batch(), OPTIONS)
    for wrong in ({"grid": "x"}, {"centre": 2.0}, {"mask": -1.0}):
        with pytest.raises(OptionError):
            TrainingOptions(**wrong)


@torch.inference_mode()
def test_the_third_frame_is_what_inference_gives_with_two_in_memory():
    network, given = small().eval(), batch(1)
    predicted = network(given.clips, (4, 6))
    seen = {}
    network.kernel.register_forward_hook(lambda _, inputs, out: seen.update(kernels=out))
    network.category.register_forward_hook(lambda _, inputs, out: seen.update(categories=out))
    tracker = Tracker(network, OnlineOptions(grid="4x6", memory_every=1, least_score=0.0))
    for frame in given.clips[0].unbind(1):
        tracker.step(frame)
    torch.testing.assert_close(seen["categories"], predicted.categories[:, 2], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(seen["kernels"], predicted.kernels[:, 2], rtol=1e-4, atol=1e-4)
    assert predicted.similarity.shape == (1, len(pairs(3)), 24, 24)
    assert network(given.clips[:, :, :1], (4, 6)).similarity.shape == (1, 1, 24, 24)


def test_it_learns_a_clip():
    network, given = small(), batch(1)
    TRAINABLE.begin(network, OPTIONS)
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], 2e-3)
    losses, scores = [], []
    for _ in range(60):
        TRAINABLE.mode(network, OPTIONS)
        optimiser.zero_grad()
        result = training_step(network, given, OPTIONS)
        result.loss.backward()
        optimiser.step()
        losses.append(float(result.loss.detach()))
        scores.append(float(result.score))
    assert losses[-1] < 0.3 * losses[0]
    assert scores[-1] > 0.7
    network.eval()
    tracker = Tracker(network, OnlineOptions(grid="4x6", least_score=0.5))  # what it is not sure of is noise
    ids, labels = [], []
    for frame in given.clips[0].unbind(1):
        found = tracker.step(frame)
        by_label = dict(zip(found.detections.labels.tolist(), found.ids, strict=True))
        ids.append(by_label)
        labels.append(sorted(by_label))
    assert labels == [[2, 4]] * 3
    assert ids[0] == ids[1] == ids[2]


def test_class_maps_agree_with_the_names():
    same = {"person", "dog", "cat", "horse", "cow", "bear", "zebra", "giraffe", "elephant", "train", "truck", "boat"}
    ids = dict(zip(sorted(CLASS_MAPS["coco-80"]), COCO, strict=True))
    for name, wanted in (("visolo-2019", YOUTUBE_VIS_2019), ("visolo-2021", YOUTUBE_VIS_2021)):
        table = CLASS_MAPS[name]
        mapped = {ids[coco]: wanted[number - 1] for coco, number in table.items()}
        assert all(mapped[one] == one for one in same & set(mapped))
        assert mapped["motorcycle"] == mapped["bicycle"] == "motorbike"
        assert mapped["tennis racket"] == "tennis_racket"
    assert len(CLASS_MAPS["visolo-2019"]) == 21
    assert len(CLASS_MAPS["visolo-2021"]) == 23
    assert len(COCO) == 80


def test_a_network_of_other_categories_starts_from_a_file(tmp_path):
    from rotoscope.inference.checkpoint import Card, save_weights
    from rotoscope.training.start import start_from

    first, second = MobileVISOLO(80), MobileVISOLO(40)
    head = second.category.predict.weight.detach().clone()
    path = tmp_path / "coco.safetensors"
    save_weights(path, first.state_dict(), Card("coco", "visolo", "mobile"))
    told = start_from(second, "visolo", "mobile", str(path), tmp_path)
    assert "category.predict.bias, category.predict.weight" in told
    for key, value in second.state_dict().items():
        if not key.startswith("category.predict."):
            assert torch.equal(value, first.state_dict()[key]), key
    assert torch.equal(second.category.predict.weight, head)


def test_the_encoder_starts_from_a_classifier(tmp_path):
    from rotoscope.backbones.resnet import ResNet
    from rotoscope.models import system
    from rotoscope.training.start import start_from

    torch.manual_seed(0)
    classifier = ResNet().state_dict() | {"fc.weight": torch.zeros(1000, 2048)}
    torch.save(classifier, tmp_path / "resnet50.pth")
    module = system("visolo").build("coco")
    assert "encoder" in start_from(module, "visolo", "coco", str(tmp_path / "resnet50.pth"), tmp_path)
    assert all(torch.equal(value, classifier[key]) for key, value in module.encoder.state_dict().items())


def test_the_small_network_starts_from_picture_weights():
    from tests.shared import shared

    network = MobileVISOLO()
    weights = dict(np.load(shared("weights", "deeplabv3_mobilenetv2_voc.npz")))
    left = network.load_picture_weights(weights)
    assert left
    assert torch.equal(network.encoder.stem.weight, torch.from_numpy(weights["stem.weight"]))
    assert sum(parameter.numel() for parameter in network.parameters()) <= 8e6
    TRAINABLE.begin(network, OPTIONS)
    assert all(parameter.requires_grad for parameter in network.parameters())
    result = training_step(network, batch(1), OPTIONS)
    result.loss.backward()
    assert network.encoder.stem.weight.grad.abs().sum() > 0
