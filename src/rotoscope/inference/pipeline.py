"""Decode -> system -> write, as one stream whose memory does not grow with the video."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from rotoscope.errors import VideoError
from rotoscope.types import Declaration, Frame, FrameResult, Prompt, Session, WholeVideo
from rotoscope.video import Video, read_ahead


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done: frames answered.
        total: frames in all, as far as the source says; None when unknown.
        seconds: since the run began, or this part of it.
        what: what is going on, in words, where a system works on the whole video before it answers; `done` and `total`
            are then pieces of that work.
        found: pieces of those done that an earlier run had done; they took no time.
    """

    done: int
    total: int | None
    seconds: float
    what: str = ""
    found: int = 0

    @property
    def rate(self) -> float:
        """Frames a second so far."""
        return (self.done - self.found) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None while the total is unknown."""
        if self.total is None or self.rate == 0:
            return None
        return max(0, self.total - self.done) / self.rate


Report = Callable[[Progress], None]


def answered(
    session: Session,
    video: Video,
    declaration: Declaration,
    prompts: Sequence[Prompt] = (),
    report: Report | None = None,
) -> Iterator[tuple[Frame, FrameResult]]:
    """Every frame of a video with its result, in order.

    Frames wait for their result in memory, at most as many as the system looks ahead; for a system that needs the whole
    video the source is read a second time instead.

    Args:
        session: entered already.
        video: read from its start.
        declaration: what the system says of itself.
        prompts: each is handed over with its frame.
        report: called as a system works on the whole video, before the first answer.

    Raises:
        VideoError: the video has no frame, or a prompt lies behind its end.
    """
    if declaration.look_ahead is None:
        yield from _paired_again(session, video, prompts, report)
        return
    waiting: deque[Frame] = deque()
    with_prompts = Prompts(prompts)
    count = 0
    for frame in read_ahead(video):
        count += 1
        waiting.append(frame)
        yield from ((waiting.popleft(), result) for result in session.step(frame, with_prompts.take(frame.index)))
    _check_end(video, count, with_prompts)
    yield from ((waiting.popleft(), result) for result in session.finish())
    if waiting:
        raise AssertionError(f"{len(waiting)} frames were not answered")


def _paired_again(
    session: Session, video: Video, prompts: Sequence[Prompt], report: Report | None
) -> Iterator[tuple[Frame, FrameResult]]:
    with_prompts = Prompts(prompts)
    early: list[FrameResult] = []
    count = 0
    for frame in read_ahead(video):
        count += 1
        early += session.step(frame, with_prompts.take(frame.index))
    _check_end(video, count, with_prompts)
    if report is not None and isinstance(session, WholeVideo):
        start = time.monotonic()
        for work in session.work():
            report(Progress(work.done, work.total, time.monotonic() - start, work.what, work.found))
    yield from zip(read_ahead(video), chain(early, session.finish()), strict=True)


class Prompts:
    """Prompts by frame; knows which were not handed over."""

    def __init__(self, prompts: Iterable[Prompt]) -> None:
        self.left: dict[int, Prompt] = {}
        for prompt in prompts:
            before = self.left.get(prompt.frame_index)
            self.left[prompt.frame_index] = prompt if before is None else _merged(before, prompt)

    def take(self, index: int, more: Prompt | None = None) -> Prompt | None:
        """The prompt of a frame, joined with one that came with the frame itself."""
        known = self.left.pop(index, None)
        return _merged(known, more) if known and more else known or more


def _merged(first: Prompt, second: Prompt) -> Prompt:
    """Two prompts of one frame as one; the later mask of an object counts."""
    return Prompt(first.frame_index, {**first.masks, **second.masks}, first.remove + second.remove)


def _check_end(video: Video, count: int, prompts: Prompts) -> None:
    if count == 0:
        raise VideoError(f"{video.source} has no frame; nothing was segmented")
    if prompts.left:
        raise VideoError(
            f"a prompt is given for frame {min(prompts.left)}, but {video.source} has {count} frames (0 to {count - 1})"
        )


def reported(
    pairs: Iterable[tuple[Frame, FrameResult]], total: int | None, report: Report | None, prepared: bool = False
) -> Iterator[tuple[Frame, FrameResult]]:
    """The same pairs, with a report after each.

    Args:
        pairs: frames with their results.
        total: see `Progress`.
        report: takes the reports.
        prepared: whether the whole video is worked on before the first pair; that does not count in the rate.
    """
    start = time.monotonic()
    for done, pair in enumerate(pairs, start=1):
        if prepared and done == 1:
            start = time.monotonic()
        yield pair
        if report is not None:
            report(Progress(done, total, time.monotonic() - start))
