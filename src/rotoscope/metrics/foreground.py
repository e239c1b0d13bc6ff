"""Which pixels of a mask file are foreground: one answer for a whole sequence, so that no frame is read otherwise.

The files at large hold 0/255, 0/1, ids of objects with or without 255 for void, and soft maps in 256 levels of grey.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import DataError, MaskError
from rotoscope.masks.label_map import present
from rotoscope.masks.png import StoredMap, read_png

Mask = NDArray[np.bool_]
Rule = Literal["not 0", "above 128"]

VOID = 255
LEVEL = 128
LARGEST_LABEL = 20  # grey files with no number above it hold ids: DAVIS allows 20 proposals; a soft map goes higher


def read(path: Path, formats: Collection[str] = ("PNG",)) -> StoredMap:
    """Read a mask file of an evaluation; arguments as in `read_png`.

    Raises:
        DataError: what `read_png` found wrong with it.
    """
    try:
        return read_png(path, formats)
    except MaskError as error:
        raise DataError(str(error)) from error


def void_is_marked(paths: Iterable[Path]) -> bool:
    """Tell whether 255 means void in the annotations of one sequence, or foreground.

    The first annotation that holds anything decides: 255 is void beside ids of objects (the annotations of 2019), and
    foreground where it stands alone (those of 2016).

    Raises:
        DataError: a file that cannot be read.
    """
    for path in paths:
        stored = read(path)
        values = present(stored.values)
        ids = values[values != VOID]
        if ids.size:
            return stored.kind == "labels" or int(ids[-1]) <= LARGEST_LABEL
        if values.size:
            return False
    return False


def annotated(stored: StoredMap, void_marked: bool) -> Mask:
    """Give the foreground of an annotation: every object; void is background in this protocol.

    Returns:
        (H, W) bool.
    """
    filled: Mask = stored.values != 0
    return filled & (stored.values != VOID) if void_marked else filled


class PredictionRule:
    """Finds out, frame by frame, how the predictions of one sequence are to be read.

    Palette and 16-bit files hold ids: not 0. So do grey files with a single number besides 0 (0/1, 0/255) and grey
    files with numbers up to 20. Any other grey files are soft maps: above 128.
    """

    def __init__(self) -> None:
        self._numbers = np.zeros(256, np.bool_)  # the numbers besides 0 that grey files held so far

    @property
    def rule(self) -> Rule:
        """The rule for all frames seen; only ever turns from "not 0" to "above 128"."""
        numbers = np.flatnonzero(self._numbers)
        return "above 128" if numbers.size > 1 and int(numbers[-1]) > LARGEST_LABEL else "not 0"

    def readings(self, stored: StoredMap) -> dict[Rule, Mask]:
        """Give the foreground under each rule that may still turn out to hold; equal ones are one object.

        Returns:
            rule to (H, W) bool; "above 128" is always there.
        """
        filled: Mask = stored.values != 0
        if stored.kind == "labels":
            return {"not 0": filled, "above 128": filled}
        if np.array_equal(filled, stored.values == 255):  # black and white, the common case
            self._numbers[255] |= bool(filled.any())
            return {"not 0": filled, "above 128": filled}
        self._numbers[present(stored.values)] = True
        light: Mask = stored.values > LEVEL
        return {"above 128": light} if self.rule == "above 128" else {"not 0": filled, "above 128": light}
