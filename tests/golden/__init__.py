"""Numbers of the original implementations, under deterministic weights: small files here, all of them where found.

`folder("3dc-seg")` is the full set beside the checkout (or under ROTOSCOPE_REFERENCE) if it is there, else the copies
here.
"""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import torch

from tests.golden import recipe

HERE = Path(__file__).parent


def files(system: str) -> dict[str, Path]:
    """Stem of every golden array file to its path; the copies here win."""
    beside = HERE.parent.parent.parent / "shared" / "reference"
    roots = [Path(os.environ.get("ROTOSCOPE_REFERENCE", beside)), HERE]
    return {path.stem: path for root in roots for path in sorted((root / system).glob("*.npz"))}


def cases(system: str, kind: str) -> list[dict]:
    content = read(system, "cases.json")
    return [case for case in content["cases"] if case["kind"] == kind]


def read(system: str, name: str) -> dict:
    """A table of a system, kept as it is or packed."""
    packed = HERE / system / f"{name}.gz"
    return json.loads(gzip.decompress(packed.read_bytes()) if packed.exists() else (HERE / system / name).read_text())


def arrays(system: str, case: dict) -> dict[str, np.ndarray]:
    path = files(system).get(Path(case["file"]).stem)
    if path is None:
        import pytest

        pytest.skip(f"{case['file']} is too large for the repository; set ROTOSCOPE_REFERENCE to the reference folder")
    return dict(np.load(path))


def manifest(system: str) -> dict:
    return read(system, "manifest.json")


def state(system: str, network: str) -> dict[str, np.ndarray]:
    """The deterministic weights of a network, under the published names."""
    return recipe.fill_state_dict(manifest(system)["networks"][network]["keys"])


def inputs(case: dict) -> dict[str, torch.Tensor]:
    """The inputs that a case names, before its `then`; some sets call the name `recipe`."""
    named = {name: spec.get("recipe", spec.get("name")) for name, spec in case["inputs"].items()}
    return {
        name: torch.from_numpy(recipe.random_input(named[name], spec["shape"], spec["low"], spec["high"]))
        for name, spec in case["inputs"].items()
        if named[name] is not None
    }


def check(case: dict, name: str, found: object, expected: np.ndarray) -> None:
    """abs(found - expected) <= atol + rtol * abs(expected), as the case states for the output, or for all of them.

    Where it says `only_where_abs_below`, only where the expected value is smaller than that.
    """
    tolerance = case.get("tolerance", {})
    bounds = tolerance.get(name, tolerance.get("default", case["outputs"][name]))
    found = found.detach().cpu().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    if name.endswith("_first8"):
        found = found[:, :8]
    assert found.shape == expected.shape, name
    if "only_where_abs_below" in bounds:
        small = np.abs(expected) < bounds["only_where_abs_below"]
        found, expected = found[small], expected[small]
        assert found.size, name
    relative = bounds.get("rtol", case.get("rtol"))
    np.testing.assert_allclose(found, expected, rtol=relative, atol=bounds["atol"], err_msg=name)
