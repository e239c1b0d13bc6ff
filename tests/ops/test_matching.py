"""The matching layer: the published code's numbers, and what the clean solver promises."""

import pytest
import torch

from rotoscope.ops.matching import Steps, published_solution
from tests import golden

SYSTEM = "dmm-matching"


def cases(system, kind):
    return pytest.mark.parametrize("case", golden.cases(system, kind), ids=lambda case: case["name"])


def test_every_case_is_run():
    kinds = [case["kind"] for case in golden.read(SYSTEM, "cases.json")["cases"]]
    assert (kinds.count("solver"), kinds.count("layer"), len(kinds)) == (8, 3, 11)


@cases(SYSTEM, "solver")
def test_the_published_solver(case):
    expected, chosen = golden.arrays(SYSTEM, case), case["options"]
    cost = torch.from_numpy(expected.pop("cost")).requires_grad_()
    weights = golden.inputs(case)["w"]
    found = published_solution(cost, Steps(chosen["n_grad"], chosen["n_proj"], chosen["step"]))
    arrays = {"initial": found.start, "last_projected": found.projected, "average": found.mean}
    for number in (1, 2):
        arrays[f"iterate{number}"] = found.iterates[min(number, len(found.iterates) - 1)]
    if found.mean.requires_grad:
        arrays["grad_average"] = torch.autograd.grad((weights * found.mean).sum(), cost, retain_graph=True)[0]
        arrays["grad_last"] = torch.autograd.grad((weights * found.projected).sum(), cost)[0]
    else:
        arrays["grad_average"] = torch.zeros_like(cost)
    assert set(arrays) == set(expected)
    for name, values in expected.items():
        golden.check(case, name, arrays[name], values)
    if "note" not in case:
        assert len(found.iterates) == chosen["recorded_iterates"]
