"""`rotoscope train`: run a recipe, stop it, resume it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from rotoscope.interrupts import PassOn, handled

if TYPE_CHECKING:
    from rotoscope.data.batches import Mixture
    from rotoscope.training.dry_run import DryRun
    from rotoscope.training.group import Group
    from rotoscope.training.recipe import Recipe
    from rotoscope.training.trainer import Hooks


def train(
    recipe: tyro.conf.Positional[Path],
    *,
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None,
    data: Path | None = None,
    set: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="NAME=VALUE")] = (),
    resume: tyro.conf.FlagCreatePairsOff[bool] = False,
    dry_run: tyro.conf.FlagCreatePairsOff[bool] = False,
    stand_in: tyro.conf.FlagCreatePairsOff[bool] = False,
    device: str = "auto",
) -> None:
    """Train a network as a recipe says; docs/training.md tells what a recipe may say.

    Several GPUs or processes: torchrun --nproc-per-node N -m rotoscope train RECIPE ...

    Ctrl-C ends after the step at work, with everything saved; --resume goes on as if it had not been stopped.

    Args:
        recipe: A TOML file, for example of recipes/.
        out: Folder for weights, checkpoint, log and curves; runs/<the recipe's name> without it.
        data: Folder that the recipe's data lies in, in place of its own root.
        set: A change to the recipe, as in run.steps=100 or data.0.weight=0.5; may be given several times.
        resume: Go on with the training of the folder.
        dry_run: Build everything and tell what the training would be; trains nothing and writes nothing.
        stand_in: Rendered clips in place of the recipe's data, and random weights where its start is not at hand.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        RotoscopeError: a recipe, data or folder that cannot be used.
    """
    from rotoscope.names import safe_name
    from rotoscope.training.group import joined
    from rotoscope.training.recipe_file import read_recipe

    read = read_recipe(recipe, set)
    if data is not None:
        read = replace(read, root=str(data))
    if dry_run:
        from rotoscope.training.dry_run import dry_run as count

        _show(recipe, read, count(read, device=device))
        return
    with joined(device) as group:
        _train(read, out or Path("runs", safe_name(recipe.stem, "recipe")), group, resume, stand_in)


def _train(recipe: Recipe, folder: Path, group: Group, resume: bool, stand_in: bool) -> None:
    from rotoscope.cli.progress import complain, tell
    from rotoscope.training import sources
    from rotoscope.training.precision import autocast_type
    from rotoscope.training.runs import check_folder

    begun = check_folder(folder, resume)
    autocast_type(recipe, group.device)  # what cannot be run is refused before the data are read
    if group.first and resume and not begun:
        complain(f"{folder} has no checkpoint yet: the training begins anew")
    recipe = sources.with_stand_ins(recipe) if stand_in else recipe
    mixture = sources.mixture(recipe)
    with _asked_to_stop() as asked, _hooks(folder, group, lambda: asked[0] != 0) as hooks:
        whole, step = _run(recipe, mixture, folder, group, hooks, begun, stand_in)
    if group.first:
        _finish(folder, tell, whole, step)
    if not whole:
        raise KeyboardInterrupt(asked[0])


def _run(
    recipe: Recipe, mixture: Mixture, folder: Path, group: Group, hooks: Hooks, resume: bool, stand_in: bool
) -> tuple[bool, int]:
    """Train; whether to the end, and the last step. Nothing of the training outlives this: it would keep the group."""
    from rotoscope.training.runs import build

    trainer = build(recipe, mixture, folder, group, hooks, resume, stand_in)
    if group.first:
        left = f", resumed at {trainer.step}" if trainer.step else ""
        hooks.remark(f"{trainer.steps} steps of {trainer.batch} clips{left}; in {folder}")
    return trainer.run(), trainer.step


def _finish(folder: Path, tell: Callable[[str], None], whole: bool, step: int) -> None:
    from rotoscope.training.log import draw_curves

    curves = draw_curves(folder)
    tell(f"{'finished' if whole else 'stopped'} at step {step}; weights, checkpoint and log are in {folder}")
    tell(f"curves: {curves}" if curves else "curves need matplotlib; install it with: pip install 'rotoscope[plot]'")


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """Note the first Ctrl-C or SIGTERM, so that the step at work is finished and saved; the second one interrupts."""
    asked = [0]

    def note(number: int, pass_on: PassOn) -> None:
        if asked[0]:
            pass_on(number)
        asked[0] = number

    with handled(note):
        yield asked


@contextmanager
def _hooks(folder: Path, group: Group, stopping: Callable[[], bool]) -> Iterator[Hooks]:
    """Give what shows a training: a bar on a terminal, a line at every log elsewhere, nothing in other processes."""
    from rotoscope.cli.progress import complain, stepping
    from rotoscope.training.log import draw_curves
    from rotoscope.training.trainer import Hooks, Progress
    from rotoscope.training.validation import Scores

    if not group.first:
        yield Hooks(stopping=stopping)
        return
    with stepping(folder.name) as show:

        def progress(now: Progress) -> None:
            words = f"loss {now.loss:.4f}, IoU {now.score:.3f}, {now.clips_per_second:.2f} clips/s"
            show(now.step, now.steps, words, now.seconds_left, now.logged)

        def validated(step: int, scores: Scores, best: bool) -> None:
            region, boundary, both = scores.means
            mark = ", the best so far" if best else ""
            complain(f"step {step}: J {region:.3f}, F {boundary:.3f}, J&F {both:.3f} of {len(scores.region)}{mark}")
            draw_curves(folder)

        yield Hooks(progress, validated, complain, stopping)


def _show(path: Path, recipe: Recipe, found: DryRun) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{path}: {recipe.system}/{recipe.network}, {found.parameters[1] / 1e6:.2f} M parameters, ", end="")
    console.print(f"{found.parameters[0] / 1e6:.2f} M of them trained")
    for words, count, there in found.data:
        console.print(f"data        {words}: {_clips(count, there)}", markup=False)
    clips = recipe.clips
    console.print(f"batch       {found.batch} clips of {clips.length}x{clips.size[0]}x{clips.size[1]}")
    each = found.steps_per_epoch
    epochs = f", {found.steps / each:.1f} epochs of {each:.0f}" if each else ""
    console.print(f"steps       {found.steps or 'unknown'}{epochs}")
    fixed, batch = found.fixed_bytes / 2**30, found.batch_bytes / 2**30
    words = f"{fixed:.2f} weights, {batch:.2f} maps, beside the program"
    console.print(f"memory      {fixed + batch:.2f} GiB a process and more: {words}")
    for name in found.missing:
        console.print(f"not here    {name}, which the training starts from", markup=False)


def _clips(count: int, there: bool) -> str:
    if there:
        return f"{count} clips an epoch"
    return f"not here; {f'about {count} clips an epoch as published' if count else 'its size is unknown'}"
