"""The matching layer: the published code's numbers, and what the clean solver promises."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from rotoscope.ops.matching import Steps, assign, exact_assignment, greedy_assignment, published_solution
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


def similarities(generator, correlated=False):
    objects, proposals = int(generator.integers(1, 6)), int(generator.integers(0, 9))
    values = generator.uniform(-0.1, 0.9, (1 if correlated else objects, proposals))
    noise = 0.05 * generator.standard_normal((objects, proposals)) if correlated else 0
    return torch.from_numpy(values + noise).float()


@pytest.mark.parametrize("correlated", [False, True])
def test_the_clean_solver_always_reaches_the_best_assignment(correlated):
    generator = np.random.default_rng(0)
    for _ in range(150):
        similarity = similarities(generator, correlated)
        count, proposals = similarity.shape
        found = assign(similarity, floor=0.2)
        assert found.shape == (count, proposals + count)
        torch.testing.assert_close(found.sum(dim=1), torch.ones(count), atol=1e-4, rtol=0)
        assert float(found.min()) > -0.1
        assert float(found.max()) < 1.1
        alone = np.full((count, count), -1.0)
        np.fill_diagonal(alone, 0.2)
        whole = np.concatenate([similarity.numpy(), alone], axis=1)
        rows, columns = linear_sum_assignment(-whole)
        chosen = found.argmax(dim=1).numpy()
        assert whole[rows, chosen].sum() == pytest.approx(whole[rows, columns].sum(), abs=1e-6)
        assert len(set(chosen[chosen < proposals])) == (chosen < proposals).sum()


def test_batches_are_solved_alike():
    similarity = torch.rand(4, 3, 6, generator=torch.Generator().manual_seed(0))
    together = assign(similarity)
    for one, alone in zip(together, similarity, strict=True):
        torch.testing.assert_close(one, assign(alone))


def test_nothing_to_choose_from():
    assert torch.equal(assign(torch.zeros(2, 0), steps=Steps(gradient=0)), torch.eye(2))
    assert exact_assignment(torch.zeros(0, 3)).shape == (0, 3)


def test_the_greedy_start_gives_a_row_that_wins_nothing_the_first_column():
    cost = -torch.tensor([[0.9, 0.8, 0.7], [0.1, 0.2, 0.3]])
    assert greedy_assignment(cost).tolist() == [[1, 0, 0], [1, 0, 0]]


def test_gradients_of_the_clean_solver_are_those_of_small_changes():
    generator = torch.Generator().manual_seed(1)
    similarity = torch.rand(3, 5, generator=generator, dtype=torch.float64).requires_grad_()
    weights = torch.rand(3, 8, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((weights * assign(similarity)).sum(), similarity)
    step = 1e-6
    for place in ((0, 0), (1, 3), (2, 4)):
        moved = [similarity.detach().clone() for _ in range(2)]
        moved[0][place] += step
        moved[1][place] -= step
        up, down = ((weights * assign(one)).sum() for one in moved)
        assert float((up - down) / (2 * step)) == pytest.approx(float(gradient[place]), abs=1e-5)
