"""Looking at Propose-Reduce: how masks fade with the distance from a key frame, what key frames and reductions give.

The first is the supplement's Figure 2. Where the text is silent: the initial mask is the output at the key frame; its
object is the true one of highest IoU there; frames that do not show that object are left out; both directions count
together; before any reduction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import OptionError
from rotoscope.figures import Bars, Panel, Panels
from rotoscope.masks.overlap import ious, of_track
from rotoscope.masks.run_length import encode, iou
from rotoscope.models.contract import Analysis, Findings, Subject
from rotoscope.models.propose_reduce.network import MULTIPLE, SeqMaskRCNN
from rotoscope.models.propose_reduce.options import Reduce, WholeVideoOptions, rules_of
from rotoscope.models.propose_reduce.result import reduced
from rotoscope.models.propose_reduce.sequences import MaskSequence, choose_key_frames
from rotoscope.models.propose_reduce.session import WholeVideoSession
from rotoscope.ops.resize import resize_labels
from rotoscope.types import RunLength

_GROUPS = 5  # of initial IoU, 20 points each
_REDUCTIONS: tuple[Reduce, ...] = ("none", "hard", "soft", "category")
_VOID = 255
Truth = dict[int, dict[int, RunLength]]


@dataclass(frozen=True)
class ReductionOptions:
    """Of the analysis of reductions.

    Attributes:
        key_frames: numbers of key frames to try.
        first: so many best sequences of a video count, as for AR10.
    """

    key_frames: tuple[int, ...] = (1, 2, 3, 5, 8, 10)
    first: int = 10

    def __post_init__(self) -> None:
        if not self.key_frames or min(self.key_frames) < 1:
            raise OptionError(f"key_frames {list(self.key_frames)}: expected numbers of 1 or more")
        if self.first < 1:
            raise OptionError(f"first {self.first}: expected 1 or more")


def distances(subject: Subject[WholeVideoOptions], options: object) -> Findings:
    """IoU by distance from the key frame, for groups of initial IoU (supplement, Figure 2).

    Raises:
        OptionError: the network is another system's, or nothing is true of the video.
    """
    session, count = _proposed(subject, subject.options)
    truth = _truth(subject, session)
    sums, frames = np.zeros((_GROUPS, count)), np.zeros((_GROUPS, count), np.int64)
    sequences = [0] * _GROUPS
    for one in session.sequences:
        start = _best_object(one, truth)
        if start is None:
            continue
        true, first = start
        group = min(_GROUPS - 1, int(first * _GROUPS))
        sequences[group] += 1
        for frame, mask in true.items():
            away = abs(frame - one.key_frame)
            sums[group, away] += iou(one.masks[frame], mask) if frame in one.masks else 0.0
            frames[group, away] += 1
    return _distance_findings(sums, frames, sequences)


def _distance_findings(sums: NDArray[np.float64], frames: NDArray[np.int64], sequences: Sequence[int]) -> Findings:
    names = [f"{100 * low // _GROUPS} to {100 * (low + 1) // _GROUPS} %" for low in range(_GROUPS)]
    curves = {}
    for name, total, count, own in zip(names, sums, frames, sequences, strict=True):
        there = np.flatnonzero(count)
        if own:
            curves[f"{name} ({own})"] = (there, total[there] / count[there])
    panel = Panel("by IoU at the key frame (sequences)", curves, "frames from the key frame", "mean IoU", unit=False)
    numbers = {
        name: {"sequences": own, "sums": total.tolist(), "frames": count.tolist()}
        for name, total, count, own in zip(names, sums, frames, sequences, strict=True)
    }
    return Findings(numbers, {"distances": Panels("How masks fade with the distance from their key frame", [panel])})


def joined_distances(findings: Sequence[Findings]) -> Findings:
    """The findings on several videos as one: every frame counts alike."""
    groups = list(findings[0].numbers)
    longest = max(len(one.numbers[group]["frames"]) for one in findings for group in groups)

    def total(name: str, kind: type) -> NDArray[Any]:
        found: NDArray[Any] = np.zeros((len(groups), longest), kind)
        for one in findings:
            for row, group in enumerate(groups):
                own = one.numbers[group][name]
                found[row, : len(own)] += np.asarray(own, kind)
        return found

    sequences = [sum(one.numbers[group]["sequences"] for one in findings) for group in groups]
    return _distance_findings(total("sums", np.float64), total("frames", np.int64), sequences)


def reductions(subject: Subject[WholeVideoOptions], options: ReductionOptions) -> Findings:
    """How well the best sequences cover the true objects, by number of key frames and way of reduction.

    All key frames that any number asks for are propagated once.

    Raises:
        OptionError: the network is another system's, or nothing is true of the video.
    """
    count = sum(1 for _ in subject.frames())
    wanted = {number: choose_key_frames(count, number) for number in options.key_frames}
    every = sorted({key for keys in wanted.values() for key in keys})
    session, _ = _proposed(subject, subject.options, every)
    truth = list(_truth(subject, session).values())
    table: dict[str, list[float]] = {name: [] for name in _REDUCTIONS}
    left: dict[str, list[int]] = {name: [] for name in _REDUCTIONS}
    for number in options.key_frames:
        own = [one for one in session.sequences if one.key_frame in wanted[number]]
        for name in _REDUCTIONS:
            chosen = replace(subject.options, reduce=name)
            rules = rules_of(chosen, session.network.classes, subject.info.size)
            kept = [one for one, _ in reduced(own, count, rules, chosen)]
            table[name].append(_covered([one.masks for one in kept[: options.first]], truth))
            left[name].append(len(kept))
    return _reduction_findings(list(options.key_frames), options.first, len(truth), table, left)


def _reduction_findings(
    numbers: list[int], first: int, objects: int, table: Mapping[str, list[float]], left: Mapping[str, list[int]]
) -> Findings:
    title = f"IoU of true objects with the best of {first} sequences, by key frames"
    bars = Bars(title, [str(number) for number in numbers], table, {})
    content = {
        "key_frames": numbers,
        "first": first,
        "objects": objects,
        "covered": {name: [round(value, 6) for value in own] for name, own in table.items()},
        "sequences": {name: list(own) for name, own in left.items()},
    }
    return Findings(content, {"reductions": bars})


def joined_reductions(findings: Sequence[Findings]) -> Findings:
    """The findings on several videos as one: every object counts alike."""
    objects = sum(one.numbers["objects"] for one in findings)
    first = findings[0].numbers
    places = range(len(first["key_frames"]))
    table: dict[str, list[float]] = {
        name: [
            sum(one.numbers["objects"] * one.numbers["covered"][name][p] for one in findings) / objects for p in places
        ]
        for name in _REDUCTIONS
    }
    left: dict[str, list[int]] = {
        name: [sum(one.numbers["sequences"][name][p] for one in findings) for p in places] for name in _REDUCTIONS
    }
    return _reduction_findings(first["key_frames"], first["first"], objects, table, left)


def _proposed(
    subject: Subject[WholeVideoOptions], options: WholeVideoOptions, keys: list[int] | None = None
) -> tuple[WholeVideoSession, int]:
    """A session that has proposed, and the video's frames."""
    if not isinstance(subject.network, SeqMaskRCNN):
        raise OptionError(f"sequences are proposed by a Seq Mask R-CNN, not by a {type(subject.network).__name__}")
    count = 0
    with WholeVideoSession(subject.network, subject.info, options, subject.device) as session:
        for frame in subject.frames():
            session.step(frame)
            count += 1
        for _ in session.work(keys):
            pass
    return session, count


def _truth(subject: Subject[WholeVideoOptions], session: WholeVideoSession) -> Truth:
    """Object to masks by frame, at the network's padded size."""
    height, width = session.rules.size
    padding = ((0, -height % MULTIPLE), (0, -width % MULTIPLE))
    found: Truth = {}
    for frame, labels in sorted(subject.truth.items()):
        small = np.pad(resize_labels(labels.astype(np.uint8), (height, width)), padding)
        for label in np.unique(small):
            if label not in (0, _VOID):
                found.setdefault(int(label), {})[frame] = encode(small == label)
    if not found:
        raise OptionError("no true mask of the video holds an object; nothing can be compared")
    return found


def _best_object(one: MaskSequence, truth: Truth) -> tuple[dict[int, RunLength], float] | None:
    """The true object that a sequence begins as, and their IoU at its key frame; None where nothing is seen there."""
    initial = one.masks.get(one.key_frame)
    seen = [own for own in truth.values() if one.key_frame in own]
    if initial is None or not seen:
        return None
    found = [iou(initial, own[one.key_frame]) for own in seen]
    best = int(np.argmax(found))
    return seen[best], found[best]


def _covered(sequences: Sequence[Mapping[int, RunLength]], truth: Sequence[Mapping[int, RunLength]]) -> float:
    """Mean over true objects of the IoU with the best sequence, in the frames that have true masks."""
    frames = {frame for own in truth for frame in own}
    size = next(iter(truth[0].values())).size
    pixels = size[0] * size[1]
    lines = [of_track({k: v for k, v in one.items() if k in frames}, pixels) for one in sequences]
    if not lines:
        return 0.0
    return float(ious([of_track(own, pixels) for own in truth], lines).max(axis=1).mean())


ANALYSES = {
    "distances": Analysis(
        "how masks fade with the distance from their key frame",
        distances,
        needs_truth=True,
        plotted=True,
        joined=joined_distances,
    ),
    "reductions": Analysis(
        "what numbers of key frames and ways of reduction give",
        reductions,
        ReductionOptions,
        needs_truth=True,
        plotted=True,
        joined=joined_reductions,
    ),
}
