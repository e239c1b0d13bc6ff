"""Golden cases of Propose-Reduce: what goes in, and the networks with deterministic weights."""

import json
from functools import lru_cache

import numpy as np
import torch

from rotoscope.inference.loading import from_published
from tests import golden

SYSTEM = "propose-reduce"
CASES = {case["case"]: case for case in golden.read(SYSTEM, "cases.json")["cases"]}


@lru_cache(maxsize=1)
def _network(name, scales):
    state = golden.state(SYSTEM, name)
    for key, factor in json.loads(scales).items():
        state[key] = state[key] * np.float32(factor)
    return from_published(SYSTEM, state)


def network_of(case):
    return _network(case["network"], json.dumps(case.get("scale_after_fill", {})))


def load(name):
    return CASES[name], golden.arrays(SYSTEM, CASES[name])


def made(case):
    """The inputs that are made from their names."""
    return {
        name: torch.from_numpy(golden.recipe.random_input(spec["name"], spec["shape"], spec["low"], spec["high"]))
        for name, spec in case["inputs"].items()
        if isinstance(spec, dict) and "recipe" in spec
    }


def unpacked(packed, shape):
    count = int(np.prod(shape))
    return np.unpackbits(packed)[:count].reshape(shape)


def check(name, case, found, expected):
    bounds = case["tolerance"][name]
    found = found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    assert found.shape == expected.shape, name
    if bounds == "exact":
        np.testing.assert_array_equal(found, expected)
    elif "max_fraction_different" in bounds:
        assert np.mean(found != expected) <= bounds["max_fraction_different"], name
    else:
        np.testing.assert_allclose(found, expected, rtol=bounds["rtol"], atol=bounds["atol"], err_msg=name)
