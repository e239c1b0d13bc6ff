"""A training's folder, and a trainer ready to run in it."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from rotoscope.data.batches import Mixture, made
from rotoscope.errors import OptionError, WeightsError
from rotoscope.files import remove_left_over, write_whole
from rotoscope.models import system
from rotoscope.render.clips import draw_clips
from rotoscope.training import state
from rotoscope.training.group import Group
from rotoscope.training.recipe import Recipe
from rotoscope.training.start import start_from
from rotoscope.training.trainer import Hooks, Trainer

RECIPE, CLIPS = "recipe.json", "clips.png"
_SHOWN = 6  # clips of the sheet


def check_folder(folder: Path, resume: bool) -> bool:
    """Make sure that a training neither replaces another nor resumes none.

    Returns:
        Whether there is something to go on from; a training that was ended before its first checkpoint begins anew.

    Raises:
        OptionError: the folder holds a training and is not resumed, or holds none and is.
    """
    there = (folder / state.NAME).exists()
    if there and not resume:
        raise OptionError(f"{folder} holds a training already; go on with --resume, or choose another folder with -o")
    if resume and not there and not (folder / RECIPE).exists():
        raise OptionError(f"{folder} has no {state.NAME} to resume from; leave --resume out")
    return there


def build(
    recipe: Recipe,
    data: Mixture,
    folder: Path,
    group: Group,
    hooks: Hooks,
    resume: bool = False,
    stand_in: bool = False,
) -> Trainer:
    """Build the network and its trainer, write the recipe and a sheet of clips to look at.

    Args:
        recipe: what to do.
        data: what clips are drawn from.
        folder: of the training.
        group: the processes.
        hooks: see `Hooks`.
        resume: go on where the folder's training stopped.
        stand_in: start from random weights where the recipe's are not at hand.

    Raises:
        RotoscopeError: a network or weights that cannot be used.
    """
    if group.first:
        remove_left_over((folder,))
    torch.manual_seed(recipe.seed)
    network = system(recipe.system).build(recipe.network)
    if recipe.start and not resume:
        try:
            said = start_from(network, recipe.system, recipe.network, recipe.start, Path(recipe.root))
        except WeightsError:
            if not stand_in:
                raise
            said = f"{recipe.start} is not at hand: random weights"
        if group.first:
            hooks.remark(said)
    trainer = Trainer(recipe, network, data, folder, group, hooks)
    if resume:
        trainer.resume()
    elif group.first:
        write_whole(folder / RECIPE, json.dumps(state.as_tables(recipe), indent=1).encode())
        batch = made([data.draw(number) for number in range(_SHOWN)])
        draw_clips(batch.clips.numpy(), batch.masks[:, 0].numpy(), folder / CLIPS)
    return trainer
