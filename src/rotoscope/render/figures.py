"""Any figure to a PNG file."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from rotoscope.figures import Bars, Figure, Maps, Panels
from rotoscope.files import writing
from rotoscope.render.maps import draw_maps
from rotoscope.render.overlay import check_image
from rotoscope.render.plots import draw


def draw_figure(figure: Figure, path: Path) -> None:
    """Draw to a PNG file, whole or not at all.

    Raises:
        OptionError: bars or curves, and matplotlib is not installed; or a picture is not (H, W, 3) uint8.
        OutputError: the file cannot be written.
    """
    if isinstance(figure, Bars | Panels):
        draw(figure, path)
        return
    if isinstance(figure, Maps):
        image = draw_maps(figure)
    else:
        check_image(figure.image)
        image = figure.image
    with writing(path) as temporary:
        Image.fromarray(image).save(temporary, optimize=True)
