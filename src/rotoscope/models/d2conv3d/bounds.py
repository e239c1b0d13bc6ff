"""Which share of the kernel points reads outside the volume (supplement, Figure 1; spec section 6)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rotoscope.errors import OptionError, VideoError
from rotoscope.figures import Bars, Figure
from rotoscope.models.clip_fit import ClipFit
from rotoscope.models.clip_reading import Clip, clips
from rotoscope.models.contract import Findings, Subject
from rotoscope.models.d2conv3d.analysis import deformable_layers, looked
from rotoscope.models.d2conv3d.options import GapOptions

_SHARES = ("outside", "without_contribution", "plain_outside", "plain_without_contribution")


@dataclass(frozen=True)
class BoundsOptions:
    """Of the shares of samples out of bounds.

    Attributes:
        every: only every so many-th clip of the video.
    """

    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise OptionError(f"every {self.every}: expected 1 or more clips from one that is looked at to the next")


def bounds(subject: Subject[GapOptions], options: BoundsOptions) -> Findings:
    """Which share of the kernel points reads outside the volume, layer by layer (supplement, Figure 1).

    The supplement does not say what counts as outside; both readings of the spec are given, and beside them what a
    plain convolution of the same padding has.

    Raises:
        OptionError: the network has no deformable layer.
    """
    require_layers(subject)
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0] * 4)
    count = 0
    for number, clip in enumerate(clips_of(subject, ClipFit.of(subject.info.size, subject.options))):
        if number % options.every:
            continue
        count += 1
        for name, seen in looked(subject.network, clip.pixels.to(subject.device))[0].items():
            row = (seen.percent_outside, seen.percent_without_contribution, *seen.plain_percent)
            totals[name] = [total + value for total, value in zip(totals[name], row, strict=True)]
    if not count:
        raise VideoError(f"{subject.info.name} has no frame")
    return _bounds({name: [value / count for value in row] for name, row in totals.items()}, count, subject.info.name)


def joined_bounds(findings: Sequence[Findings]) -> Findings:
    """The shares over several videos, each video counting by its clips."""
    count = sum(found.numbers["clips"] for found in findings)
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0] * 4)
    for found in findings:
        for name, shares in found.numbers["layers"].items():
            parts = [shares[key] * found.numbers["clips"] / count for key in _SHARES]
            totals[name] = [total + part for total, part in zip(totals[name], parts, strict=True)]
    return _bounds(dict(totals), count, f"{len(findings)} videos")


def _bounds(shares: Mapping[str, Sequence[float]], count: int, name: str) -> Findings:
    """Shares in per cent, in the order of `_SHARES`, by layer."""
    labels = [short_name(layer) for layer in shares]
    numbers = {
        layer: dict(zip(_SHARES, (round(share, 4) for share in row), strict=True)) for layer, row in shares.items()
    }
    titles = {
        "outside": "a coordinate below 0 or above size - 1",
        "without_contribution": "a coordinate at most -1 or at least size",
    }
    figures: dict[str, Figure] = {}
    for key, words in titles.items():
        bars = {
            "kernel points": [layer[key] for layer in numbers.values()],
            "plain convolution": [layer[f"plain_{key}"] for layer in numbers.values()],
        }
        means = {name: float(np.mean(row)) for name, row in bars.items()}
        figures[key] = Bars(f"{name}: samples with {words}, %", labels, bars, means, None)
    return Findings({"video": name, "clips": count, "unit": "per cent", "layers": numbers}, figures)


def require_layers(subject: Subject[GapOptions], words: Sequence[str] = ()) -> None:
    """Refuse a network without deformable layers, or without one whose name holds one of the words.

    Raises:
        OptionError: there is none.
    """
    names = deformable_layers(subject.network)
    if not names:
        raise OptionError("this network has no deformable layer; choose one that has, such as d2conv3d/xyz")
    if words and not any(word in name for name in names for word in words):
        raise OptionError(f"no layer's name holds {' or '.join(words)}; there are {', '.join(names)}")


def clips_of(subject: Subject[GapOptions], fit: ClipFit) -> Iterator[Clip]:
    """The clips that a session would run."""
    return clips(subject.frames(), fit, subject.options, "last")


def short_name(name: str) -> str:
    """A layer's name in a figure: without the decoder's, and without its place in a block."""
    return re.sub(r"\.[0-9]+$", "", name.removeprefix("decoder."))
