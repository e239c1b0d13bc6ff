"""Recipes are read whole or refused with the place of the fault."""

import pytest

from rotoscope.errors import OptionError
from rotoscope.training.recipe import RenderedData, StillData, VideoData
from rotoscope.training.recipe_file import read_recipe

SMALL = """
system = "3dc-seg"
network = "mobile"
[[data]]
kind = "rendered"
[run]
steps = 3
"""
WITH_MAPS = '[[data]]\nkind = "stills"\npictures = [{{ kind = "maps", path = "m", images = "p", {} }}]\n'


@pytest.fixture
def written(tmp_path):
    def write(text, name="recipe.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_defaults_and_kinds_of_data(written):
    recipe = read_recipe(
        written(
            SMALL
            + """
[[data]]
kind = "videos"
sets = [{ kind = "folder", path = "mine" }]
spans = [3, 5]
[[data]]
kind = "stills"
weight = 2
pictures = [{ kind = "pictures", path = "stills" }]
[data.scene]
moved = 1.0
"""
        )
    )
    rendered, videos, stills = recipe.data
    assert isinstance(rendered, RenderedData)
    assert isinstance(videos, VideoData)
    assert isinstance(stills, StillData)
    assert videos.spans == (3, 5)
    assert videos.sets[0].path == "mine"
    assert stills.weight == 2.0
    assert stills.scene.moved == 1.0
    assert stills.scene.blur == 0.25
    assert recipe.optimiser.kind == "adam"


def test_changes_reach_into_tables_and_lists(written):
    path = written(SMALL)
    changes = ["run.steps=7", "data.0.clips=2", "optimiser.rates={encoder=1e-4}", "start=other", "clips.size=[8, 16]"]
    recipe = read_recipe(path, changes)
    assert recipe.run.steps == 7
    assert recipe.data[0].clips == 2
    assert recipe.optimiser.rates == {"encoder": 1e-4}
    assert recipe.start == "other"
    assert recipe.clips.size == (8, 16)


def test_a_recipe_says_only_what_differs_from_its_base(written):
    written(SMALL + "[optimiser]\nrate = 0.5\nmomentum = 0.25\n", "base.toml")
    written('base = "base.toml"\n[optimiser]\nrate = 0.125\n', "middle.toml")
    recipe = read_recipe(written('base = "middle.toml"\nseed = 4\n[[data]]\nkind = "rendered"\nclips = 9\n'))
    assert (recipe.optimiser.rate, recipe.optimiser.momentum, recipe.seed) == (0.125, 0.25, 4)
    assert [table.clips for table in recipe.data] == [9]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("system = ", "is no TOML"),
        (SMALL + "[optimizer]\nrate = 1", "optimizer is not known; a recipe has"),
        (SMALL + "batch = 2.5", r"run.batch is 2.5 \(float\); expected int"),
        (SMALL + "workers = true", r"run.workers is True \(bool\); expected int"),
        (SMALL + '[schedule]\nkind = "sine"', "schedule.kind is 'sine'; choose"),
        (SMALL + "[clips]\nsize = [4]", "clips.size has 1 values; expected 2"),
        (SMALL + "[clips]\nsize = 4", "clips.size is 4 .* expected a list"),
        (SMALL.replace("rendered", "films"), "data.0.kind is 'films'; choose"),
        (SMALL.replace('system = "3dc-seg"', ""), "system is missing"),
        (SMALL.replace("steps = 3", "steps = 3\nepochs = 2"), "either run.steps or run.epochs"),
        (SMALL + "batch = 0", "run.batch 0: expected 1 or more"),
        (SMALL.replace('"rendered"', '"rendered"\nclips = 0'), "data.0.clips 0: expected 1 or more"),
        (SMALL.replace('"rendered"', '"rendered"\nclips = -3'), "data.0.clips -3: expected 1 or more"),
        (SMALL.replace('"rendered"', '"rendered"\nweight = 0'), "all data has the weight 0"),
        (SMALL.replace("steps = 3", f"steps = {'9' * 400}"), "run.steps of 400 digits: expected at most"),
        (SMALL.replace("steps = 3", f"steps = {'9' * 5000}"), "is no TOML"),
        (SMALL.replace("steps = 3", f"steps = 0x{'f' * 5000}"), "run.steps of 6021 digits: expected at most"),
        (SMALL.replace("steps = 3", f"epochs = {'9' * 400}"), "run.epochs of 400 digits: expected at most"),
        (SMALL.replace("steps = 3", "epochs = 1e400"), "run.epochs inf: expected at most"),
        (SMALL + "[optimiser]\nrate = nan", "optimiser.rate nan is not a number"),
        (SMALL + "[optimiser]\nrate = inf", "optimiser.rate inf: expected at most"),
        (SMALL + "[optimiser]\nclip_norm = nan", "optimiser.clip_norm nan is not a number"),
        (SMALL + "[optimiser]\nrates = { encoder = -inf }", "optimiser.rates.encoder -inf: expected"),
        (SMALL + "[model]\nlovasz = nan", "model.lovasz nan is not a number"),
        (SMALL + f"[inference]\nclip = {'9' * 400}", "inference.clip of 400 digits: expected at most"),
        (SMALL + f"[clips]\nsize = {'[' * 1000}{']' * 1000}", "lie more than 16 deep in each other"),
        (SMALL + f"[inference]\nsize = {'[' * 40}{']' * 40}", "lie more than 16 deep in each other"),
        (SMALL + f"[clips]\nlength = {'[' * 100_000}", "lie more than 16 deep in each other"),
        (f"{'a.' * 500}a = 1", "lie more than 16 deep in each other"),
        (SMALL + WITH_MAPS.format("least_sure = 1.5"), "data.1.pictures.0.least_sure 1.5: expected at most 1"),
        (SMALL + WITH_MAPS.format("hold_out = -2"), "data.1.pictures.0.hold_out -2: expected 0 or more"),
        (SMALL + "[clips]\nlength = 100000", "clips.length 100000: expected at most 1024"),
        (SMALL + "workers = 100000", "run.workers 100000: expected at most 256"),
        (SMALL.replace('kind = "rendered"', "kind = []"), "data.0.kind is "),
        ('base = "nowhere.toml"', "cannot read the recipe .*nowhere.toml"),
        ("base = 3", "base is 3"),
        ('base = "recipe.toml"', "is its own base"),
    ],
)
def test_a_fault_is_told_with_its_place(written, text, words):
    with pytest.raises(OptionError, match=words) as caught:
        read_recipe(written(text))
    assert "recipe.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("run.steps", "expected name=value"),
        ("data.3.clips=2", "there is no '3' there"),
        ("system.name=2", "system is no table"),
        ("run.stepps=2", "run.stepps is not known"),
        (f"data.{'9' * 5000}.clips=2", "there is no '9"),
        (f"seed={'9' * 5000}", "is no TOML"),
        (f"seed={'9' * 400}", "seed of 400 digits: expected at most"),
        (f"seed={'[' * 5000}", "lie more than 16 deep in each other"),
        (f"model{'.a' * 2000}=1", "a place of 2001 parts"),
    ],
)
def test_a_faulty_change_is_told(written, change, words):
    with pytest.raises(OptionError, match=words):
        read_recipe(written(SMALL), [change])


def test_bases_upon_each_other_come_to_an_end(written):
    for number in range(40):
        written(f'base = "{number + 1}.toml"\n' if number < 39 else SMALL, f"{number}.toml")
    with pytest.raises(OptionError, match="the base of 16 recipes"):
        read_recipe(written('base = "0.toml"'))
    assert read_recipe(written('base = "30.toml"')).run.steps == 3


def test_a_missing_file(tmp_path):
    with pytest.raises(OptionError, match="cannot read the recipe"):
        read_recipe(tmp_path / "none.toml")
