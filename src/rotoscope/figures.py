"""What may be shown of numbers: bars, curves, maps. Dataclasses over numpy, said by any room and drawn by `render`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars side by side, a group for each label.

    Attributes:
        title: what they show.
        labels: of the groups, from above.
        values: name of a bar to its value in each group; NaN for none.
        marks: name of a bar to its value over all groups, drawn as a line through them; NaN for none.
        limit: where the axis ends, None for where the values do.
    """

    title: str
    labels: Sequence[str]
    values: Mapping[str, Sequence[float]]
    marks: Mapping[str, float]
    limit: float | None = 1.0


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves over one axis.

    Attributes:
        title: what they show.
        curves: name to values across and up.
        across: name of the axis.
        up: name of the axis.
        steps: draw a value as holding until the next.
        unit: values lie between 0 and 1, and so does the axis.
    """

    title: str
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]]
    across: str
    up: str
    steps: bool = False
    unit: bool = True


@dataclass(frozen=True, slots=True)
class Panels:
    """Several panels in a grid, one legend for all with the same curves.

    Attributes:
        title: what they show.
        panels: from left to right, row by row.
    """

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Maps that belong together.

    Attributes:
        title: above the block.
        maps: (rows, columns, h, w) float; NaN is left blank.
        names: of the maps, row by row, drawn in their corners; () for none.
        picture: (H, W, 3) uint8 RGB that the maps belong to, or None.
    """

    title: str
    maps: NDArray[np.floating]
    names: Sequence[str] = ()
    picture: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Blocks of maps side by side, with one scale of colours.

    Attributes:
        title: what they show.
        blocks: from left to right; their maps have the aspect ratio of their pictures.
        low: value of the scale's first colour.
        high: value of its last; above `low`.
        unit: what the values are, beside the scale.
        opacity: below 1 maps are drawn over their block's picture, which then does not stand above them by itself.
        smooth: enlarge maps smoothly; else their cells stay visible.
        mark: a value of the scale that is worth a line and a word, such as where a training started; None for none.
        note: a line below, in small letters.
    """

    title: str
    blocks: Sequence[Block]
    low: float
    high: float
    unit: str = ""
    opacity: float = 1.0
    smooth: bool = False
    mark: tuple[float, str] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture that is drawn already.

    Attributes:
        image: (H, W, 3) uint8 RGB.
    """

    image: NDArray[np.uint8]


Figure = Bars | Panels | Maps | Picture
