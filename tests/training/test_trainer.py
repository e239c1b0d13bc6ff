"""A training that is stopped and resumed ends with the same bits."""

from dataclasses import replace

import pytest
import torch

from rotoscope.errors import TrainingError
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


def test_options_that_change_while_training_are_those_of_the_step(tmp_path):
    group, seen = Group(0, 1, torch.device("cpu")), []
    trainer = build(RECIPE, sources.mixture(RECIPE), tmp_path, group, Hooks(), False)
    own = trainer._trainable

    def step(network, batch, options, amp):
        seen.append(options.overlap)
        return own.step(network, batch, replace(options, overlap=0.0), amp)

    trainer._trainable = replace(own, step=step, at=lambda options, number: replace(options, overlap=float(number)))
    assert trainer.run()
    assert seen == [0.0, 1.0, 2.0, 3.0, 4.0]


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


def test_a_loss_that_is_no_number_ends_with_one_line_and_keeps_what_was_saved(tmp_path):
    _, trainer = trained(tmp_path / "run", stop_at=2)
    saved = (tmp_path / "run" / "last.safetensors").read_bytes()
    with torch.no_grad():
        trainer.network.decoder.predict.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"the loss of step 2 is nan; lower optimiser\.rate"):
        trainer.run()
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == saved


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), MemoryError(), RuntimeError("can't allocate memory")]
)
def test_memory_that_runs_out_is_told(tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    _, trainer = trained(tmp_path / "run", stop_at=2)
    monkeypatch.setattr(trainer, "_backward", fail)
    with pytest.raises(TrainingError, match=r"out of memory in step 2; lower run\.batch"):
        trainer.run()


def test_workers_draw_the_same_clips(tmp_path):
    def weights(workers):
        recipe = replace(RECIPE, run=replace(RECIPE.run, workers=workers))
        folder = tmp_path / str(workers)
        folder.mkdir()
        trainer = build(recipe, sources.mixture(recipe), folder, Group(0, 1, torch.device("cpu")), Hooks())
        trainer.run()
        return trainer.network.state_dict()

    alone, helped = weights(0), weights(2)
    assert all(torch.equal(value, helped[key]) for key, value in alone.items())


def test_accumulated_batches_are_one_step(tmp_path):
    """Two batches of one clip and one of two: the same mean of the loss over both."""

    def weights(batch, accumulate):
        run = replace(RECIPE.run, steps=2, batch=batch, accumulate=accumulate)
        recipe = replace(RECIPE, run=run, optimiser=OptimiserRecipe("sgd", 1e-2), model={"form": "two_class"})
        folder = tmp_path / str(batch)
        folder.mkdir()
        trainer = build(recipe, sources.mixture(recipe), folder, Group(0, 1, torch.device("cpu")), Hooks())
        trainer.run()
        return trainer.network.state_dict()

    whole, parts = weights(2, 1), weights(1, 2)
    for key, value in whole.items():
        torch.testing.assert_close(value, parts[key], rtol=1e-4, atol=1e-6)
