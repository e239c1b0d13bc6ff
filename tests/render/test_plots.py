import math

import numpy as np
import pytest
from PIL import Image

from rotoscope.errors import OutputError
from rotoscope.figures import Bars, Panel, Panels
from rotoscope.render.plots import draw


def inked(path):
    """Share of pixels that are not white."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    return (pixels < 250).any(axis=-1).mean()


@pytest.mark.parametrize("groups", [1, 3, 40])
def test_bars(tmp_path, groups):
    labels = [f"sequence {number}" for number in range(groups)]
    values = np.linspace(-0.2, 1, groups)
    plot = Bars("scores", labels, {"J": values, "F": [math.nan] * groups}, {"J": 0.4})
    draw(plot, tmp_path / "bars.png")
    assert inked(tmp_path / "bars.png") > 0.005
    with Image.open(tmp_path / "bars.png") as image:
        assert (image.height > 900) == (groups == 40)


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_panels(tmp_path, count):
    across = np.arange(5)
    panels = [Panel(f"clip {number}", {"J": (across, across / 5)}, "frame", "J") for number in range(count)]
    draw(Panels("over time", panels), tmp_path / "new" / "panels.png")
    assert inked(tmp_path / "new" / "panels.png") > 0.005
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["panels.png"]


def test_nothing_to_draw(tmp_path):
    draw(Bars("none", [], {"J": []}, {}), tmp_path / "a.png")
    draw(Panels("none", [Panel("x", {}, "a", "b")]), tmp_path / "b.png")
    assert inked(tmp_path / "b.png") > 0


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        draw(Bars("x", ["a"], {"J": [0.5]}, {}), tmp_path / "file" / "a.png")
