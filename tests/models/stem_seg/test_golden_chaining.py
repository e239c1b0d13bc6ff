"""Clusters of a clip, and clips chained to a video, against the authors' numbers."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from rotoscope.models.stem_seg.chaining import Chainer, associate
from rotoscope.models.stem_seg.clustering import Rules, cluster
from tests import golden

SYSTEM = "stem-seg"


def cases(kind):
    return [pytest.param(case, id=case["name"]) for case in golden.cases(SYSTEM, kind)]


def rules_of(config):
    return Rules(
        config["primary_threshold"],
        config["secondary_threshold"],
        config["min_seediness"],
        config.get("max_instances", 20),
    )


def free_of(config):
    return torch.tensor([1 / std**2 for std in config["free_dim_stds"]], dtype=torch.float32)


@pytest.mark.parametrize("case", cases("cluster"))
def test_clusters(case):
    arrays, config = golden.arrays(SYSTEM, case), case["config"]
    points = [torch.from_numpy(arrays[f"in_{name}"]).T for name in ("embeddings", "bandwidths", "seediness")]
    found = cluster(points[0], points[1], points[2][0], free_of(config), rules_of(config), config["label_start"])
    np.testing.assert_array_equal(found.labels, arrays["labels"])
    assert found.ids == arrays["instance_labels"].tolist()
    golden.check(case, "centers", found.centres, arrays["centers"])
    golden.check(case, "stds", found.stds, arrays["stds"])


@pytest.mark.parametrize("row", golden.cases(SYSTEM, "associate")[0]["inline"])
def test_association(row):
    found = associate(np.array(row["existing"]), np.array(row["current"]))
    assert [[old, new] for old, (new, _) in found.items()] == row["pairs_existing_current"]
    np.testing.assert_allclose([1 - iou for _, iou in found.values()], row["costs"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", cases("chain"))
def test_chains(case):
    arrays, config = golden.arrays(SYSTEM, case), case["config"]
    masks = torch.from_numpy(arrays["in_foreground"]).bool()
    chainer = Chainer(free_of(config), rules_of(config))
    labels = np.full(masks.shape, -7)
    for number, window in enumerate(config["windows"]):
        maps = [torch.from_numpy(arrays[f"in_{kind}_{number}"]) for kind in ("embeddings", "bandwidths", "seediness")]
        if config["upscale"] != 1:
            maps = [functional.interpolate(x[None], scale_factor=(1, 4, 4), mode="trilinear")[0] for x in maps]
        chosen = masks[window]
        points = [x[:, chosen] for x in maps]
        foreground = dict(zip(window, chosen, strict=True))
        for index, found in chainer.step(foreground, points[0], points[1], points[2][0]).items():
            labels[index] = found
    np.testing.assert_array_equal(labels, arrays["labels"])
    for label, count, lifetime in zip(arrays["ids"], arrays["counts"], arrays["lifetimes"], strict=True):
        frames = np.flatnonzero((labels == label).any(axis=(1, 2)))
        assert ((labels == label).sum(), frames[-1] - frames[0]) == (count, lifetime)
