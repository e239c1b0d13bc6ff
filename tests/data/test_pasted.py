"""Clips of many instances: what a picture has stays an instance, what is put before it becomes one."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from rotoscope.data.clips import CategorisedDraft
from rotoscope.data.pasted import PastedStills
from rotoscope.data.stills.cutouts import whole_objects
from rotoscope.data.stills.motion import Range
from rotoscope.data.stills.scenes import SceneOptions
from rotoscope.errors import DataError, OptionError
from rotoscope.training.recipe import ClipShape, PictureSet, StillData, VideoSet
from rotoscope.training.sources import source
from tests.data.made import Squares

CALM = SceneOptions(view=Range(), own=Range(shift=0.3), bend=0.0, tone=0.0, blur=0.0, area=(0.05, 0.1))
SIZE = (64, 96)


class Named(Squares):
    """Squares, all of one category."""

    def __init__(self, category, **options):
        super().__init__(**options)
        self.category = category

    def categories(self, index):
        return dict.fromkeys(range(1, self.objects + 1), self.category)


class Empty(Squares):
    """Pictures of the same size without objects."""

    def __init__(self):
        super().__init__(objects=0)


def drawn(source, seed=0):
    draft = source.draw(0, np.random.default_rng(seed))
    clip, labels = draft.render()
    return draft, clip, labels


def test_own_and_pasted_objects_are_instances():
    source = PastedStills([Squares()], [Squares(side=24, objects=1)], (2, 2), 5, SIZE, CALM)
    seen = set()
    for seed in range(6):
        _, clip, labels = drawn(source, seed)
        assert clip.shape == (3, 5, *SIZE)
        assert labels.shape == (5, *SIZE)
        seen |= set(labels.unique().tolist())
    assert seen == {0, 1, 2, 3, 4}  # two of the picture, two put before it


def test_categories_of_both():
    source = PastedStills([Named(3)], [Named(7, side=24, objects=1)], (1, 3), 3, SIZE, CALM)
    for seed in range(8):
        draft = drawn(source, seed)[0]
        assert isinstance(draft, CategorisedDraft)
        own = {label: category for label, category in draft.categories.items() if label < 3}
        pasted = {label: category for label, category in draft.categories.items() if label >= 3}
        assert own == {1: 3, 2: 3}
        assert set(pasted.values()) == {7}
        assert list(pasted) == list(range(3, 3 + len(pasted)))


def test_nothing_is_known_of_things_without_categories():
    source = PastedStills([Named(3)], [Squares(side=24)], (1, 1), 3, SIZE, CALM)
    assert drawn(source)[0].categories == {1: 3, 2: 3}
    assert not isinstance(drawn(PastedStills([Squares()], [], (0, 0), 3, SIZE, CALM))[0], CategorisedDraft)


def test_the_same_chance_gives_the_same_clip():
    source = PastedStills([Squares()], [Squares(side=24)], (0, 3), 4, SIZE, SceneOptions())
    first, again, other = (drawn(source, seed)[1:] for seed in (5, 5, 6))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not (first[0] == other[0]).all()


def test_only_whole_objects_are_cut_out():
    labels = np.zeros((20, 30), np.uint8)
    labels[0:8, 5:12] = 1  # touches the edge
    labels[10:18, 5:12] = 2
    labels[10:12, 20:22] = 3  # too small
    labels[5:15, 14:18] = 255  # does not count
    assert whole_objects(labels, 20).tolist() == [2]


@pytest.mark.parametrize("count", [(-1, 2), (3, 2), (0, 101)])
def test_numbers_that_cannot_be(count):
    with pytest.raises(OptionError, match="expected 0 to 100"):
        PastedStills([Squares()], [], count, 3, SIZE, CALM)


def test_pictures_without_things_to_cut_out():
    with pytest.raises(DataError, match="without a whole object"):
        drawn(PastedStills([Squares()], [Empty()], (1, 1), 3, SIZE, CALM))
    with pytest.raises(DataError, match="need pictures"):
        PastedStills([], [Squares()], (1, 1), 3, SIZE, CALM)


@pytest.fixture
def folder(tmp_path):
    """Two pictures with two squares each, as a folder."""
    for name in ("images", "masks"):
        (tmp_path / "set" / name).mkdir(parents=True)
    squares = Squares(count=2, side=24)
    for number in range(2):
        picture, labels = squares.read(number)
        Image.fromarray(picture).save(tmp_path / "set" / "images" / f"{number}.png")
        Image.fromarray(labels).save(tmp_path / "set" / "masks" / f"{number}.png")
    return tmp_path


def test_as_a_recipe_has_it(folder):
    persons = PictureSet("pictures", "set", category=1)
    table = StillData("stills", (persons,), engine="pasted", things=(persons,), pasted=(1, 1), scene=CALM)
    clips = ClipShape(length=3, size=SIZE)
    draft, _, labels = drawn(source(table, clips, folder))
    assert draft.categories == {1: 1, 2: 1, 3: 1}
    assert labels.shape == (3, *SIZE)
    with pytest.raises(OptionError, match="no backgrounds"):
        source(replace(table, backgrounds=(persons,)), clips, folder)
    with pytest.raises(OptionError, match="nothing moving"):
        source(replace(table, moving=(VideoSet("folder", "set"),)), clips, folder)
