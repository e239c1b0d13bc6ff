"""Segmenting and scoring whole sequences while training, to choose weights by what will be asked of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rotoscope.data.reading import labels_of
from rotoscope.data.sources import AnySequence
from rotoscope.data.synthetic import SyntheticClip
from rotoscope.errors import DataError
from rotoscope.inference.checkpoint import Card
from rotoscope.inference.loading import options_of
from rotoscope.inference.model import Model
from rotoscope.inference.prepare import prepare
from rotoscope.masks import run_length
from rotoscope.masks.label_map import to_masks
from rotoscope.metrics.davis16 import score_masks
from rotoscope.models import system
from rotoscope.training.group import Group
from rotoscope.training.recipe import Recipe
from rotoscope.training.sources import sequences
from rotoscope.types import Prompt
from rotoscope.video.pictures import read_picture

Labels = list[NDArray[np.uint8]]


@dataclass(frozen=True)
class Scores:
    """What a validation found.

    Attributes:
        region: J of each sequence, by name.
        boundary: F of each sequence, by name.
    """

    region: dict[str, float]
    boundary: dict[str, float]

    @property
    def means(self) -> tuple[float, float, float]:
        """J, F and J&F, means over the sequences."""
        region, boundary = np.mean(list(self.region.values())), np.mean(list(self.boundary.values()))
        return float(region), float(boundary), float(region + boundary) / 2


class Validation:
    """The sequences of a recipe's [validation].

    Each is segmented whole by the recipe's inference options, and scored as DAVIS 2016 does, on its annotated frames,
    all objects as one; first and last frame are left out where there are more than two.

    Args:
        recipe: has a validation table.

    Raises:
        RotoscopeError: a set that is not there.
    """

    def __init__(self, recipe: Recipe) -> None:
        assert recipe.validation is not None
        root = Path(recipe.root)
        self._system = system(recipe.system)
        self._card = Card("in training", recipe.system, recipe.network, options=recipe.inference)
        self._options = options_of(self._system.options, self._card)
        self._sequences: list[AnySequence | SyntheticClip] = [
            found for item in recipe.validation.sets for found in sequences(item, root)
        ]
        length, size = max(3, recipe.clips.length), recipe.clips.size
        self._sequences += [
            SyntheticClip(length, size, recipe.seed + number, things=1) for number in range(recipe.validation.rendered)
        ]

    def __len__(self) -> int:
        return len(self._sequences)

    def run(self, network: nn.Module, group: Group, dtype: torch.dtype) -> Scores:
        """Score a network; the processes share the sequences.

        Args:
            network: is copied and left as it is.
            group: every process must call this.
            dtype: that the network is run in.
        """
        ready = prepare(copy.deepcopy(network), group.device, dtype)
        model = Model(self._card, self._system, ready, self._options, group.device, dtype)
        mine = self._sequences[group.rank :: group.size]
        found = [scored for part in group.gathered([_score(model, item) for item in mine]) for scored in part]
        found.sort()
        return Scores({name: region for name, region, _ in found}, {name: boundary for name, _, boundary in found})


def _score(model: Model, item: AnySequence | SyntheticClip) -> tuple[str, float, float]:
    frames, annotated, labels = _read(item)
    truths = [one > 0 for one in labels]
    prompts = []
    if model.system.task == "propagate":
        first = next((place for place, truth in enumerate(truths) if truth.any()), None)
        if first is None:
            raise DataError(f"{_name(item)} has no object to follow; leave it out of the validation")
        prompts = [Prompt(annotated[first], to_masks(labels[first]))]
    result = model.segment(frames, prompts)
    empty = np.zeros(frames[0].shape[:2], np.bool_)
    predictions = []
    for index in annotated:
        masks = [run_length.decode(track.masks[index]) for track in result.tracks if index in track.masks]
        predictions.append(np.logical_or.reduce([empty, *masks]))
    name = _name(item)
    scores = score_masks(name, truths, predictions, keep_ends=len(annotated) < 3)
    return name, scores.region_statistics.mean, scores.boundary_statistics.mean


def _name(item: AnySequence | SyntheticClip) -> str:
    return item.info.name if isinstance(item, SyntheticClip) else item.name


def _read(item: AnySequence | SyntheticClip) -> tuple[list[NDArray[np.uint8]], Sequence[int], Labels]:
    """All frames, which of them are annotated, and the labels of those."""
    if isinstance(item, SyntheticClip):
        pairs = list(item)
        return [frame.image for frame, _ in pairs], range(len(pairs)), [labels for _, labels in pairs]
    frames = [read_picture(path) for path in item.frames]
    size = (frames[0].shape[0], frames[0].shape[1])
    return frames, item.annotated, [labels_of(item, index, size) for index in item.annotated]
