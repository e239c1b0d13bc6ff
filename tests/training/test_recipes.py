"""Every recipe in the repository can be run: told without its data, tried on stand-ins."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rotoscope.cli.app import main
from rotoscope.models import system
from rotoscope.training.dry_run import dry_run
from rotoscope.training.recipe_file import read_recipe
from tests.processor import REASON

RECIPES = Path(__file__).parents[2] / "recipes"
PATHS = sorted(path for path in RECIPES.rglob("*.toml") if path.stem != "base")
NAMES = [str(path.relative_to(RECIPES).with_suffix("")) for path in PATHS]
# One recipe of each network, with each way to make clips and each schedule among them; `-m slow` tries all.
TRIED = ("3dc-seg/paper-2", "3dc-seg/r2plus1d-coco", "3dc-seg/c3d-coco-ytvos", "3dc-seg/nl3d-coco-ytvos-davis")
TRIED += (
    "3dc-seg/aspp-coco-ytvos-davis",
    "3dc-seg/upsampling-coco",
    "3dc-seg/clip4-davis",
    "3dc-seg-mobile/video",
    "d2conv3d/xyz",
    "d2conv3d/aspp",
    "d2conv3d-mobile/polish",
    "d2conv3d-mobile/dconv",
    "d2conv3d-mobile/mdconv",
    "stm/videos",
    "stm-mobile/polish",
    "visolo/coco",
    "visolo/youtube-vis-2019",
    "visolo/mobile",
    "dmn-aoa/videos",
    "dmn-aoa/mobile",
    "propose-reduce/youtube-vis-2019",
    "propose-reduce/davis",
    "propose-reduce/mobile",
)
# STEm-Seg has a network for each task, encoder and kind of kernel; each of these is tried once.
TRIED += ("stem-seg/davis-2", "stem-seg/youtube-vis-d2conv3d", "stem-seg/kitti-mots-dcnv2", "stem-seg/ovis-dcnv1")
TRIED += ("stem-seg/mobile", "stem-seg-mobile/second", "visolo/ovis")
TRIED += ("visolo-mobile/fifth", "propose-reduce-mobile/second")
# Where bfloat16 does not run, recipes that ask for it are tried in float32.
RUNNABLE = [] if REASON is None else ["run.precision=fp32"]


def test_the_tried_ones_cover_every_network():
    assert set(TRIED) <= set(NAMES)
    tried = {part for name in TRIED for part in parts(read_recipe(RECIPES / f"{name}.toml"))}
    assert tried == {part for path in PATHS for part in parts(read_recipe(path))}


def parts(recipe):
    """What a network is made of, as its name says."""
    if recipe.system == "d2conv3d" and not recipe.network.startswith("mobile"):
        return {("d2conv3d", "pyramids" if recipe.network == "aspp" else "kernels")}
    if recipe.system != "stem-seg":
        return {recipe.network}
    task, _, rest = recipe.network.partition("_r")
    return {("stem-seg", task), *(("stem-seg", part) for part in rest.split("_"))}


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_dry_run_without_the_data(path, tmp_path):
    found = dry_run(replace(read_recipe(path, RUNNABLE), root=str(tmp_path)), device="cpu")
    assert found.steps > 0
    assert found.parameters[1] >= found.parameters[0] > 1e6
    assert found.fixed_bytes > 0
    assert found.batch_bytes > 0
    assert all(count > 0 and not there for words, count, there in found.data if not words.startswith("rendered"))


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_its_inference_options_are_known(path):
    recipe = read_recipe(path)
    options = system(recipe.system).options(**recipe.inference)
    assert {name: getattr(options, name) for name in recipe.inference} == dict(recipe.inference)


def one_step(name, folder):
    recipe = read_recipe(RECIPES / f"{name}.toml")
    changes = ["run.steps=1", "run.epochs=0", "run.workers=0", "clips.size=[32, 48]", 'inference.size="unchanged"']
    changes += RUNNABLE
    if recipe.clips.length > 8:
        changes.append("clips.length=8")
    arguments = ["train", str(RECIPES / f"{name}.toml"), "--stand-in", "-o", str(folder), "--device", "cpu"]
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, *(word for change in changes for word in ("--set", change))])
    assert stopped.value.code == 0
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["train", "validation"][: 2 if recipe.validation else 1]
    assert (folder / "last.safetensors").stat().st_size > 1e6
    return True


@pytest.mark.parametrize("name", TRIED)
def test_one_step_on_stand_ins(name, tmp_path):
    assert one_step(name, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NAMES) - set(TRIED)))
def test_one_step_of_the_others(name, tmp_path):
    assert one_step(name, tmp_path / "run")
