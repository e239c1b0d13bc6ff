"""Encoder, decoders and whole networks against the authors' numbers."""

import re
from functools import lru_cache

import pytest
import torch

from rotoscope.models.published import load_published
from rotoscope.models.stem_seg import published
from rotoscope.models.stem_seg.decoders import DecoderOptions, EmbeddingHead, MapHead
from rotoscope.models.stem_seg.embedding import Mode, coordinates
from rotoscope.models.stem_seg.network import NETWORKS
from tests import golden
from tests.golden import recipe

SYSTEM = "stem-seg"
PARTS = {"embedding": "embedding", "seediness": "seediness", "semseg": "semantic"}


def cases(kind):
    return [pytest.param(case, id=case["name"]) for case in golden.cases(SYSTEM, kind)]


@lru_cache(maxsize=1)
def network(name):
    state = {key: torch.from_numpy(value) for key, value in golden.state(SYSTEM, name).items()}
    module = NETWORKS[name]()
    turned = published.turned_around(state)
    load_published(module, turned, published.TABLE, system=SYSTEM, network=name, constants=published.CONSTANTS)
    return module


def features(module, images):
    """Maps of a clip (1, T, 3, H, W) in BGR, normalised already."""
    maps = module.encoder.maps(images[0].flip(1))
    return [x.transpose(0, 1)[None] for x in maps]


@pytest.mark.parametrize("case", cases("grid"))
def test_coordinates(case):
    expected, config = golden.arrays(SYSTEM, case), case["config"]
    size = (config["frames"], config["height"], config["width"])
    found = coordinates(Mode(("t", "y", "x"), 0), size, torch.zeros(()))
    for place, name in enumerate("tyx"):
        golden.check(case, name, found[place], expected[name])


@pytest.mark.parametrize("case", cases("backbone"))
def test_encoder(case):
    expected, images = golden.arrays(SYSTEM, case), golden.inputs(case)["images"]
    encoder = network(case["network"]).encoder
    with torch.inference_mode():
        x = torch.nn.functional.max_pool2d(encoder.body.stem(images.flip(1)), 3, 2, 1)
        stages = encoder.body(images.flip(1))
        maps = encoder.pyramid(stages)
    golden.check(case, "stem", x[:, ::16], expected["stem"])
    for number, stage in enumerate(stages, 1):
        golden.check(case, f"layer{number}", stage[:, ::32], expected[f"layer{number}"])
    for stride, found in zip((4, 8, 16, 32), maps, strict=True):
        golden.check(case, f"fpn{stride}", found[:, :: 16 if stride == 4 else 8], expected[f"fpn{stride}"])


def decoder(case):
    config = case["config"]
    options = DecoderOptions(
        groups=32 if config["norm"] == "gn" else 0,
        pool={"avg": "average"}.get(config["pool"], config["pool"]),
        dilated=config["variant"] == "dilated",
    )
    widths = config["inter_channels"]
    if case["head"] == "embedding":
        return EmbeddingHead(widths, config["mode"], options, config["seediness_channel"], config["tanh"])
    outputs = next(
        shape[0] for key, shape in case["keys"].items() if key.endswith("conv_out.weight") and "block" not in key
    )
    return MapHead(widths, outputs, options)


@pytest.mark.parametrize("case", cases("decoder"))
def test_decoder(case):
    expected, maps = golden.arrays(SYSTEM, case), golden.inputs(case)
    head = decoder(case)
    whole = torch.nn.Module()
    setattr(whole, PARTS[case["head"]], head)
    state = {key: torch.from_numpy(value) for key, value in recipe.fill_state_dict(case["keys"]).items()}
    report = load_published(whole, state, published.TABLE, system=SYSTEM, network=case["name"])
    assert report.complete
    assert not report.unexpected
    seen = {}
    trunk = head.trunk
    names = {"block_32x": trunk.stride32, "block_16x": trunk.stride16, "block_8x": trunk.stride8}
    names |= {"block_4x": trunk.stride4, "conv_16": trunk.join16, "conv_8": trunk.join8, "conv_4": trunk.join4}
    for name, part in names.items():
        part.register_forward_hook(lambda module, given, found, name=name: seen.__setitem__(f"mid_{name}", found))
    with torch.inference_mode():
        found = head([maps[f"features_{stride}x"] for stride in (4, 8, 16, 32)])
    if case["head"] == "embedding":
        found = torch.cat([part for part in found if part is not None], dim=1)
    elif case["head"] == "seediness":
        found = found.sigmoid()
    every = re.search(r"every (\d+)th frame", case["note"])
    step = int(every[1]) if every else 1
    golden.check(case, "out", found[:, :, ::step], expected["out"])
    for name in set(case["outputs"]) & set(seen):
        golden.check(case, name, seen[name][:, ::32], expected[name])


@pytest.mark.parametrize("case", cases("network"))
def test_network(case):
    expected, images = golden.arrays(SYSTEM, case), golden.inputs(case)["images"]
    module = network(case["network"])
    with torch.inference_mode():
        maps = module.heads(features(module, images))
    golden.check(case, "embeddings", maps.embeddings, expected["embeddings"])
    golden.check(case, "bandwidths_raw", maps.raw_bandwidths, expected["bandwidths_raw"])
    golden.check(case, "bandwidths", maps.bandwidths, expected["bandwidths"])
    golden.check(case, "seediness", maps.seediness, expected["seediness"])
    assert ("semseg_logits" in expected) == (maps.classes is not None)
    if maps.classes is not None:
        logits = torch.cat([maps.classes, maps.foreground], dim=1)
        step = 4 if logits.shape[1] == 42 else 1
        golden.check(case, "semseg_logits", logits[:, :, ::step], expected["semseg_logits"])
