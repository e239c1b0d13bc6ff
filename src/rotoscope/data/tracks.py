"""Annotated sequences whose masks are run lengths of tracks with categories, as instance data sets store them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import DataError
from rotoscope.masks import run_length
from rotoscope.types import RunLength

VOID = 255  # the label of what is neither an object nor known to be none
MOST = VOID - 1  # objects of a sequence


@dataclass(frozen=True, slots=True, eq=False)
class TrackSequence:
    """One sequence and its tracks; to training the same as a `sequences.VideoSequence`.

    Attributes:
        name: of the sequence.
        frames: pictures in order.
        size: (height, width) of all of them.
        masks: for each frame the masks of labels; `VOID` is a region that does not count.
        categories: label to category number, 1 or more.
        void_background: whether pixels of no object do not count, because not every object is annotated.
    """

    name: str
    frames: list[Path]
    size: tuple[int, int]
    masks: list[dict[int, RunLength]]
    categories: Mapping[int, int] = field(default_factory=dict)
    void_background: bool = False

    @property
    def annotated(self) -> list[int]:
        """The frames that show an object."""
        return [index for index, masks in enumerate(self.masks) if masks.keys() - {VOID}]

    def labels(self, index: int) -> NDArray[np.uint8]:
        """Draw the labels of a frame (H, W) uint8; where masks overlap the later track lies on top, void below all."""
        masks = self.masks[index]
        drawn = np.zeros(self.size, np.uint8)
        for label in sorted(masks, key=lambda label: -1 if label == VOID else label):
            drawn[run_length.decode(masks[label])] = label
        return drawn

    def objects(self, index: int) -> dict[int, NDArray[np.bool_]]:
        """The masks (H, W) of a frame's objects by label; they may overlap."""
        return {label: run_length.decode(mask) for label, mask in self.masks[index].items() if label != VOID}


def of_tracks(
    name: str,
    frames: list[Path],
    size: tuple[int, int],
    tracks: Iterable[tuple[int, Mapping[int, RunLength]]],
    classes: Mapping[int, int] | None = None,
    void: Collection[int] = (),
) -> TrackSequence:
    """Number the tracks of a sequence from 1 on.

    Args:
        name: of the sequence.
        frames: pictures in order.
        size: (height, width) of the masks.
        tracks: category and masks by frame index, of each track.
        classes: category of the file to that wanted; tracks of others are left out, those of `VOID` do not count.
            Without it they stay as they are.
        void: categories of the file whose regions do not count.

    Raises:
        DataError: more tracks than labels can number, or masks of another size or beyond the last frame.
    """
    masks: list[dict[int, RunLength]] = [{} for _ in frames]
    categories: dict[int, int] = {}
    for category, own in tracks:
        wanted = classes.get(category) if classes is not None else category
        if category in void or wanted == VOID:
            label = VOID
        elif wanted is None:
            continue
        else:
            label = len(categories) + 1
            categories[label] = wanted
            if label > MOST:
                raise DataError(f"{name} has more than {MOST} tracks; split the sequence")
        for index, mask in own.items():
            if not 0 <= index < len(frames) or mask.size != size:
                raise DataError(
                    f"{name}: a mask of frame {index} is {mask.size[1]}x{mask.size[0]}; the sequence has "
                    f"{len(frames)} frames of {size[1]}x{size[0]} (width x height)"
                )
            if mask.area:
                masks[index][label] = run_length.union(masks[index][label], mask) if label in masks[index] else mask
    return TrackSequence(name, frames, size, masks, categories)
