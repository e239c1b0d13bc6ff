"""Learning rates over the steps."""

from pathlib import Path

import pytest
from torch import nn

from rotoscope.errors import OptionError
from rotoscope.training.optimiser import build_optimiser, set_rates
from rotoscope.training.recipe import OptimiserRecipe, ScheduleRecipe
from rotoscope.training.recipe_file import read_recipe
from rotoscope.training.schedule import factor
from tests import golden

RECIPES = Path(__file__).parents[2] / "recipes"


def rates(schedule, steps=10, steps_per_epoch=2.0):
    return [round(factor(schedule, step, steps, steps_per_epoch), 6) for step in range(steps)]


def test_constant_with_a_warm_up():
    assert rates(ScheduleRecipe("constant", warm_up=4), 6) == [0.25, 0.5, 0.75, 1, 1, 1]


def test_steps_change_at_the_first_step_of_an_epoch():
    schedule = ScheduleRecipe("steps", drops=(1, 3), factor=0.1)
    assert rates(schedule) == [1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01]


def test_steps_may_be_counted_themselves():
    assert rates(ScheduleRecipe("steps", drop_steps=(2, 3), factor=0.5), 4) == [1, 1, 0.5, 0.25]


def test_an_epoch_that_is_no_whole_number_of_steps():
    assert rates(ScheduleRecipe("steps", drops=(1,)), 4, steps_per_epoch=1.5) == [1, 1, 0.1, 0.1]


def test_as_released():
    """5e-5 for epochs 0 to 10, then a tenth."""
    schedule = ScheduleRecipe("steps", drops=(11,), factor=0.1)
    assert rates(schedule, 13, 1.0) == [1] * 11 + [0.1] * 2


def test_exponential():
    halves = rates(ScheduleRecipe("exponential", factor=0.5))
    assert halves == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625]


def test_cosine_goes_to_its_floor_and_polynomial_to_its_own():
    cosine = [factor(ScheduleRecipe("cosine", 2, floor=0.1), step, 102, 1.0) for step in (2, 52, 102)]
    assert cosine == pytest.approx([1.0, 0.55, 0.1])
    polynomial = [factor(ScheduleRecipe("polynomial", power=0.5, floor=0.0), step, 100, 1.0) for step in (0, 75, 100)]
    assert polynomial == pytest.approx([1.0, 0.5, 0.0])


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleDict({"block": nn.ModuleDict({"wide": nn.Linear(2, 2), "thin": nn.Linear(2, 2)})})
        self.decoder = nn.Linear(2, 2)


def test_the_longest_fitting_name_gives_a_part_its_rate():
    network = Small()
    recipe = OptimiserRecipe("adamw", 1.0, {"encoder": 0.5, "encoder.*.thin": 0.25})
    optimiser = build_optimiser(network, recipe)
    assert set_rates(optimiser, ScheduleRecipe("constant", warm_up=2), 0, 10, 1.0) == 0.5
    found = {id(parameter): group["lr"] for group in optimiser.param_groups for parameter in group["params"]}
    assert {name: found[id(parameter)] for name, parameter in network.named_parameters() if "bias" not in name} == {
        "encoder.block.wide.weight": 0.25,
        "encoder.block.thin.weight": 0.125,
        "decoder.weight": 0.5,
    }


def test_a_rate_for_nothing_is_told():
    with pytest.raises(OptionError, match="names bridge; the network has parameters of decoder, encoder"):
        build_optimiser(Small(), OptimiserRecipe(rates={"bridge": 0.1}))


def test_what_is_frozen_is_in_no_group():
    network = Small()
    network.encoder.requires_grad_(False)
    optimiser = build_optimiser(network, OptimiserRecipe("sgd"))
    assert sum(len(group["params"]) for group in optimiser.param_groups) == 2


@pytest.mark.parametrize("row", golden.cases("stem-seg", "lr_schedule")[0]["inline"], ids=lambda row: row["config"])
def test_the_recipes_of_stem_seg_have_the_published_rates(row):
    recipe = read_recipe(RECIPES / "stem-seg" / f"{row['config'].replace('_', '-')}.toml")
    assert recipe.run.steps == row["max_iterations"]
    for step, rate in row["lr_used_by_step_index"].items():
        found = recipe.optimiser.rate * factor(recipe.schedule, int(step), recipe.run.steps, 1.0)
        assert found == pytest.approx(rate, rel=1e-6)


def test_sgd_may_look_ahead():
    recipe = OptimiserRecipe("sgd", nesterov=True)
    assert build_optimiser(nn.Linear(2, 2), recipe).param_groups[0]["nesterov"]
