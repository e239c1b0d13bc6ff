"""Looking at a memory at work: which parts of past frames an object is read from (DMN-AOA's supplement, Figure 2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rotoscope.backbones.space_time_memory import STRIDE
from rotoscope.errors import OptionError
from rotoscope.figures import Block, Maps
from rotoscope.models.contract import Analysis, Findings, Subject
from rotoscope.models.memory.session import MemorySession
from rotoscope.ops.memory_read import memory_recall
from rotoscope.types import Frame, FrameResult, Prompt

Opener = Callable[[Subject[Any]], MemorySession]


@dataclass(frozen=True)
class SceneOptions:
    """Of analyses of one frame.

    Attributes:
        frame: which one, from 0; None for the last.
        object: id of the object; 0 for the one with the smallest id.
    """

    frame: int | None = None
    object: int = 0


@dataclass(frozen=True)
class RelevanceOptions(SceneOptions):
    """See `relevance`.

    Attributes:
        shown: at most so many frames of the memory, evenly spread; the first and the latest are among them.
    """

    shown: int = 4


@dataclass(frozen=True, eq=False)
class Scene:
    """One frame in a session that has just taken it.

    Attributes:
        session: still open.
        frame: the frame.
        result: its answer.
        track_id: the object that is looked at.
        place: of that object among those that are followed.
        numbers: of the frames in its memory, in the order of `ObjectMemory.parts`.
        images: (H, W, 3) uint8 of these frames, by number, and of the object's first frame.
        first: number of that.
    """

    session: MemorySession
    frame: Frame
    result: FrameResult
    track_id: int
    place: int
    numbers: list[int]
    images: dict[int, NDArray[np.uint8]]
    first: int


def steps(session: MemorySession, subject: Subject[Any]) -> Iterator[tuple[Frame, FrameResult]]:
    """Take every frame of a video with its prompts."""
    prompts: dict[int, Prompt] = {}
    for prompt in subject.prompts:
        known = prompts.get(prompt.frame_index)
        if known is not None:
            prompt = Prompt(prompt.frame_index, {**known.masks, **prompt.masks}, known.remove + prompt.remove)
        prompts[prompt.frame_index] = prompt
    for frame in subject.frames():
        (result,) = session.step(frame, prompts.get(frame.index))
        yield frame, result


def scene(session: MemorySession, subject: Subject[Any], options: SceneOptions) -> Scene:
    """Run a session up to the frame that is to be looked at; only pictures of frames in memory are kept.

    Args:
        session: open, at its start.
        subject: what is looked at.
        options: which frame and object.

    Raises:
        OptionError: there is no such frame or object, or nothing is remembered of it yet.
    """
    begun: dict[int, int] = {}  # id to the number of its first frame
    images: dict[int, NDArray[np.uint8]] = {}
    found: tuple[Frame, FrameResult] | None = None
    for frame, result in steps(session, subject):
        found = frame, result
        ids = session.tracker.ids
        begun = {track_id: begun.get(track_id, frame.index) for track_id in ids}
        images[frame.index] = frame.image
        kept = {frame.index, *begun.values()}
        for track_id in ids:
            kept |= {begun[track_id] + number for number in session.tracker.memory_of(track_id).numbers}
        images = {number: image for number, image in images.items() if number in kept}
        if frame.index == options.frame:
            break
    if found is None or (options.frame is not None and found[0].index != options.frame):
        last = "no frame" if found is None else f"frames 0 to {found[0].index}"
        raise OptionError(f"frame {options.frame} asked for, but the video has {last}")
    ids = session.tracker.ids
    if not ids or (options.object and options.object not in ids):
        known = ", ".join(map(str, ids)) or "none"
        raise OptionError(f"object {options.object} is not followed on frame {found[0].index}; followed are: {known}")
    chosen = options.object or ids[0]
    memory = session.tracker.memory_of(chosen)
    if not len(memory):
        raise OptionError(f"nothing is remembered of object {chosen} on frame {found[0].index}; choose a later frame")
    numbers = [begun[chosen] + number for number in memory.numbers]
    return Scene(session, *found, chosen, ids.index(chosen), numbers, images, begun[chosen])


@torch.inference_mode()
def relevance_maps(at: Scene, network: Any) -> Tensor:
    """How much each position of each remembered frame counts for where the object now is; 1 on average.

    Returns:
        (T, h, w) float32 in pixels of the network's frame, without padding.

    Raises:
        OptionError: the object is nowhere in the frame.
    """
    tracker = at.session.tracker
    last, memory = tracker.last_frame, tracker.memory_of(at.track_id)
    if last is None:
        raise AssertionError("nothing is followed")
    mask = last.masks[last.ids.index(at.track_id)]
    if not bool((mask > 0.5).any()):
        raise OptionError(f"object {at.track_id} is nowhere on frame {at.frame.index}; choose another frame")
    where = functional.avg_pool2d(functional.pad(mask, tracker.padding)[None].float(), STRIDE)[0]
    keys, values = memory.read()
    query = network.query(last.pixels)
    recall = memory_recall(query.key, keys, values[:, :1], keys.new_zeros(len(keys)), where=where.flatten())
    maps = recall.relevance.view(len(memory), 1, *where.shape)
    maps = functional.interpolate(maps, scale_factor=float(STRIDE), mode="bilinear", align_corners=False)[:, 0]
    left, _, top, _ = tracker.padding
    return maps[:, top : top + tracker.size[0], left : left + tracker.size[1]]


def relevance(open_session: Opener) -> Analysis:
    """The analysis of a system whose sessions `open_session` opens."""

    def run(subject: Subject[Any], options: RelevanceOptions) -> Findings:
        with open_session(subject) as session:
            at = scene(session, subject, options)
            maps = relevance_maps(at, subject.network).cpu().numpy()
        order = np.argsort(at.numbers)
        total = float(maps.sum())
        numbers = {
            "frame": at.frame.index,
            "object": at.track_id,
            "memory": [
                {
                    "frame": at.numbers[place],
                    "share": float(maps[place].sum()) / total,
                    "largest": float(maps[place].max()),
                }
                for place in order
            ],
        }
        count = min(max(1, options.shown), len(order))
        shown = order[np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))]
        low, high = float(maps[shown].min()), float(maps[shown].max())
        blocks = [
            Block(f"frame {at.numbers[place]}", maps[place][None, None], picture=at.images[at.numbers[place]])
            for place in shown
        ]
        figure = Maps(
            f"Object {at.track_id} on frame {at.frame.index}: where memory is read from",
            blocks,
            low,
            max(high, low + 1e-6),
            unit="relevance",
            opacity=0.5,
            smooth=True,
            mark=(1.0, "mean"),
        )
        return Findings(numbers, {"maps": figure})

    return Analysis("which parts of past frames an object is read from (DMN-AOA, Fig. 2)", run, RelevanceOptions)
