"""A training that is stopped and resumed ends with the same bits."""

import pytest
import torch

from rotoscope.training import sources
from rotoscope.training.group import Group
from rotoscope.training.log import read_log
from rotoscope.training.recipe import ClipShape, OptimiserRecipe, Recipe, RenderedData, RunRecipe, ScheduleRecipe
from rotoscope.training.runs import build
from rotoscope.training.trainer import Hooks

RECIPE = Recipe(
    "3dc-seg",
    "mobile",
    (RenderedData("rendered", 3),),
    clips=ClipShape(3, (32, 48)),
    model={"form": "two_class"},
    optimiser=OptimiserRecipe("adamw", 1e-3, clip_norm=1.0),
    schedule=ScheduleRecipe("cosine", 2),
    run=RunRecipe(steps=5, batch=2, workers=0, average=0.9, log_every=1, save_every=2),
)


def trained(folder, stop_at=None, resume=False):
    folder.mkdir(exist_ok=True)
    seen = []
    hooks = Hooks(progress=seen.append, stopping=lambda: bool(seen) and seen[-1].step == stop_at)
    group = Group(0, 1, torch.device("cpu"))
    trainer = build(RECIPE, sources.mixture(RECIPE), folder, group, hooks, resume)
    return trainer.run(), trainer


def test_a_stopped_and_resumed_training_ends_bit_equal(tmp_path):
    whole, straight = trained(tmp_path / "straight")
    assert whole
    stopped, _ = trained(tmp_path / "resumed", stop_at=3)
    assert not stopped
    whole, resumed = trained(tmp_path / "resumed", resume=True)
    assert whole
    assert resumed.step == straight.step == 5
    for key, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[key]), key
    assert (tmp_path / "resumed" / "last.safetensors").is_file()


def test_a_killed_training_goes_on_from_its_last_checkpoint(tmp_path):
    _, straight = trained(tmp_path / "straight")

    def die(progress):
        if progress.step == 3:  # the last checkpoint is of step 2, the log has a line of step 3
            raise ZeroDivisionError

    folder = tmp_path / "killed"
    group = Group(0, 1, torch.device("cpu"))
    with pytest.raises(ZeroDivisionError):
        build(RECIPE, sources.mixture(RECIPE), folder, group, Hooks(progress=die)).run()
    _, resumed = trained(folder, resume=True)
    for key, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[key]), key
    assert [line["step"] for line in read_log(folder)] == [1, 2, 3, 4, 5]
    assert [line["loss"] for line in read_log(folder)] == [line["loss"] for line in read_log(tmp_path / "straight")]
