"""The supplement's figures on clips whose answers are known: numbers, pictures, and what cannot be looked at."""

import dataclasses
import json

import numpy as np
import pytest

from rotoscope.errors import OptionError
from rotoscope.figures import Maps, Picture
from rotoscope.inference import loading
from rotoscope.inference.looking import keep, look
from rotoscope.models.dmn_aoa.looking import ANALYSES, AlignmentFigureOptions, RefinementOptions
from rotoscope.models.dmn_aoa.options import AlignmentOptions
from rotoscope.models.memory.looking import RelevanceOptions
from tests.models.dmn_aoa.colours import ColourDetector, model
from tests.models.stm.colours import BLUE, GREEN, RED, mask_of, picture, prompt
from tests.video.clips import encode

SIZE = (64, 96)


def images(count=8):
    return [picture((RED, 4, 4 + 6 * i, 20), (GREEN, 40, 60 - 6 * i, 18), size=SIZE) for i in range(count)]


def chosen(**options):
    return model(ColourDetector(), proposals="built-in", **options)


def looked(what, options=None, given=None, **more):
    pictures = images()
    prompts = [prompt(0, pictures[0], _1=RED, _2=GREEN)] if given is None else given
    return look(more.pop("model", chosen()), pictures, what, options, prompts=prompts, **more)


def test_what_there_is():
    assert set(ANALYSES) == {"refinement", "relevance", "alignment"}


def test_no_option_of_an_analysis_hides_one_of_the_system():
    own = {field.name for field in dataclasses.fields(AlignmentOptions)}
    for name, analysis in ANALYSES.items():
        assert not own & {field.name for field in dataclasses.fields(analysis.options)}, name


def test_refinement_compares_with_the_truth():
    truth = {i: mask_of(image, RED) * 1 + mask_of(image, GREEN) * 2 for i, image in enumerate(images())}
    found = looked("refinement", RefinementOptions(pictures=3, apart=1), truth=truth)
    assert [row["frame"] for row in found.numbers["frames"]] == list(range(1, 8))
    means = found.numbers["means"]
    compared = {"coarse and refined", "coarse and true", "refined and true"}
    proposed = {"best proposal", "proposed at IoU 0.5", "proposed at IoU 0.7"}
    assert set(means) == compared | proposed | {"assignment right"}
    assert [means[name] for name in ("assignment right", "proposed at IoU 0.5", "proposed at IoU 0.7")] == [1.0] * 3
    small, large = found.numbers["by area"]
    assert (small["object"], large["object"]) == (2, 1)
    assert small["area"] < large["area"]
    assert small["area"] == pytest.approx(np.mean([(truth[i] == 2).mean() for i in range(1, 8)]))
    assert small["refined and true"] == 1.0
    assert means["refined and true"] == 1.0
    assert means["coarse and true"] > 0.9
    figure = found.figures["masks"]
    assert isinstance(figure, Picture)
    assert figure.image.shape == (3 * 280 + 2 * 4, 4 * 420 + 3 * 4, 3)
    without = looked("refinement", RefinementOptions(pictures=1))
    assert set(without.numbers["means"]) == {"coarse and refined"}
    assert without.figures["masks"].image.shape == (280, 3 * 420 + 2 * 4, 3)


def test_a_wrong_assignment_and_a_missing_proposal_are_counted():
    truth = {i: mask_of(image, RED) * 2 + mask_of(image, GREEN) * 1 for i, image in enumerate(images())}
    means = looked("refinement", truth=truth).numbers["means"]  # ids exchanged, so every choice is wrong
    assert means["assignment right"] == 0.0
    assert means["proposed at IoU 0.7"] == 1.0
    alone = looked("refinement", truth=truth, model=model()).numbers["means"]
    assert (alone["best proposal"], alone["proposed at IoU 0.5"]) == (0.0, 0.0)
    assert "assignment right" not in alone


def test_pictures_of_refinement_are_apart():
    figure = looked("refinement", RefinementOptions(pictures=4, apart=3)).figures["masks"]
    rows = (figure.image.shape[0] + 4) // 284
    assert 1 <= rows <= 3  # of seven frames at most three are that far apart


def test_relevance_is_largest_on_the_object():
    own = chosen(memory_every=1)
    found = looked("relevance", RelevanceOptions(frame=6, object=2, shown=3), model=own)
    assert [row["frame"] for row in found.numbers["memory"]] == [0, 1, 2, 3, 4, 5]
    assert sum(row["share"] for row in found.numbers["memory"]) == pytest.approx(1)
    figure = found.figures["maps"]
    assert isinstance(figure, Maps)
    assert [block.title for block in figure.blocks] == ["frame 0", "frame 2", "frame 5"]
    for block in figure.blocks:
        index = int(block.title.split()[1])
        assert np.array_equal(block.picture, images()[index])
        inside = mask_of(block.picture, GREEN)
        assert block.maps[0, 0][inside].mean() > 3 * block.maps[0, 0][~inside].mean()
    assert figure.low == pytest.approx(min(float(block.maps.min()) for block in figure.blocks))
    assert figure.high == pytest.approx(max(float(block.maps.max()) for block in figure.blocks))


def test_alignment_shows_where_cells_find_themselves(tmp_path):
    found = looked("alignment", AlignmentFigureOptions(frame=5, object=1, alike=2, points=3))
    numbers = found.numbers
    assert (numbers["frame"], numbers["object"]) == (5, 1)
    assert numbers["scores"] == sorted(numbers["scores"], reverse=True)
    assert len(numbers["points"]) == 6
    assert all(0 < row["weight"] <= 1 for row in numbers["points"])
    assert len({row["point"] for row in numbers["points"]}) == 3
    assert numbers["points"][0]["proposal"] == numbers["chosen"]
    image = found.figures["arrows"].image
    assert image.shape == (2 * 280 + 4, 2 * 420 + 4, 3)
    places = keep(found, tmp_path, "clip.alignment")
    assert [path.name for path in places] == ["clip.alignment.json", "clip.alignment.arrows.png"]
    assert json.loads(places[0].read_text())["object"] == 1


def test_what_cannot_be_looked_at():
    late = [prompt(3, images()[3], _1=RED)]
    for options, words in (
        ({"frame": 99}, "frames 0 to 7"),
        ({"object": 9}, "object 9 is not followed on frame 7; followed are: 1, 2"),
        ({"frame": 0}, "nothing is remembered"),
    ):
        for what, kind in (("relevance", RelevanceOptions), ("alignment", AlignmentFigureOptions)):
            with pytest.raises(OptionError, match=words):
                looked(what, kind(**options))
    with pytest.raises(OptionError, match="followed are: none"):
        looked("relevance", RelevanceOptions(frame=1), late)
    with pytest.raises(OptionError, match="no proposals"):
        looked("alignment", AlignmentFigureOptions(frame=5), model=model())
    with pytest.raises(OptionError, match="no object is followed"):
        looked("refinement", RefinementOptions(), [prompt(7, images()[7], _1=RED)])
    with pytest.raises(OptionError, match="--masks"):
        look(chosen(), images(), "relevance")
    gone = [picture((RED, 4, 4, 20), size=SIZE), *[picture((BLUE, 4, 4, 20), size=SIZE)] * 3]
    with pytest.raises(OptionError, match="nowhere on frame 3"):
        look(chosen(), gone, "relevance", prompts=[prompt(0, gone[0], _1=RED)])


def test_the_command_line_draws_them(monkeypatch, tmp_path, capsys):
    from rotoscope.cli.app import main
    from rotoscope.masks.label_map import write_label_png

    monkeypatch.setattr(loading, "load", lambda *_, **__: chosen())
    encode(tmp_path / "a.mkv", images(), codec="ffv1", pixels="bgr0")
    write_label_png(tmp_path / "first.png", mask_of(images()[0], RED).astype(np.uint8))
    for what, name in (("refinement", "masks"), ("relevance", "maps"), ("alignment", "arrows")):
        arguments = ["look", tmp_path / "a.mkv", "-m", "any", "--what", what, "--masks", tmp_path / "first.png"]
        arguments += ["-o", tmp_path / "out", "--set", "refine=true"]
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        assert stopped.value.code == 0, capsys.readouterr().err
        assert (tmp_path / "out" / f"a.{what}.{name}.png").stat().st_size > 1000
        assert (tmp_path / "out" / f"a.{what}.json").is_file()
