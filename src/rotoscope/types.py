"""The words that every room shares: frames in, results out. Dataclasses over numpy, no torch, no other room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Task = Literal["foreground", "propagate", "instances"]


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a video before its frames are read.

    Attributes:
        name: short name for result folders, without suffix.
        width: pixels of the first frame, after rotation.
        height: pixels of the first frame, after rotation.
        frame_count: what the source says, as a hint for progress; None when unknown, never trusted.
        frame_rate: mean frames per second; None when unknown.
    """

    name: str
    width: int
    height: int
    frame_count: int | None = None
    frame_rate: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a video.

    Attributes:
        index: 0-based position among the frames delivered.
        timestamp: seconds from the start of the source.
        image: (H, W, 3) uint8, RGB, upright.
        name: stem of the picture file, where the source has one.
    """

    index: int
    timestamp: float
    image: NDArray[np.uint8]
    name: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class RunLength:
    """A binary mask as run lengths, COCO's order: column by column, zeros first.

    Attributes:
        size: (height, width).
        counts: (R,) uint32, alternating runs of zeros and ones; they sum to height * width.
    """

    size: tuple[int, int]
    counts: NDArray[np.uint32]

    @property
    def area(self) -> int:
        """Number of ones."""
        return int(self.counts[1::2].sum())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RunLength):
            return NotImplemented
        return self.size == other.size and np.array_equal(self.counts, other.counts)


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """Objects that a user points at on one frame; systems of the task `propagate` take them at any step.

    Attributes:
        frame_index: the frame that the masks belong to.
        masks: object id (1 or more) to (H, W) bool mask of the frame's own size.
        remove: ids to stop following from this frame on.
    """

    frame_index: int
    masks: Mapping[int, NDArray[np.bool_]] = field(default_factory=dict)
    remove: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ObjectMask:
    """One object on one frame.

    Attributes:
        track_id: 1 or more, the same object keeps it through the video.
        mask: run lengths at the frame's own size; without a pixel where a system is asked to give such masks.
        score: confidence in [0, 1].
        label: category name, None where the system names none.
    """

    track_id: int
    mask: RunLength
    score: float = 1.0
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a system says of a track as a whole.

    Attributes:
        score: confidence in [0, 1].
        label: category name, None where the system names none.
    """

    score: float
    label: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """What a system says of one frame.

    Attributes:
        index: 0-based index of the frame.
        timestamp: the frame's timestamp in seconds.
        size: (height, width) of the frame.
        objects: the objects present, in order of track id.
        name: stem of the picture file, where the source has one.
        soft: (H, W) uint8 foreground probability, 255 = certain; only when asked for.
        verdicts: track id to what is known of the track by now; a later one replaces it. A track without any has the
            mean score of its frames and the last label among them.
    """

    index: int
    timestamp: float
    size: tuple[int, int]
    objects: tuple[ObjectMask, ...]
    name: str | None = None
    soft: NDArray[np.uint8] | None = None
    verdicts: Mapping[int, Verdict] = field(default_factory=dict)


@dataclass(slots=True)
class Track:
    """One object through a video.

    Attributes:
        id: 1 or more.
        label: category name or None.
        score: confidence in [0, 1]: the system's verdict on the track, else the mean over its frames.
        masks: frame index to run lengths; frames without the object are absent.
    """

    id: int
    label: str | None = None
    score: float = 1.0
    masks: dict[int, RunLength] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a system says of itself, so that callers need no special cases.

    Attributes:
        task: what it does.
        look_ahead: frames that must follow before a frame's result is final: 0 online, n near-online, None when the
            whole video is needed (the source is then read again).
        prompts: whether it takes masks to follow.
        memory: what it keeps between frames, in words.
        frames_held: upper bound of whole frames (or their features) kept at once.
    """

    task: Task
    look_ahead: int | None
    prompts: Literal["none", "masks"]
    memory: str
    frames_held: int


class Session(Protocol):
    """One video going through one system, frame by frame.

    `step` takes the frames in order and answers with zero or more finished results, oldest first; `finish` answers
    with the rest. Every frame given is answered exactly once.
    """

    def step(self, frame: Frame, prompt: Prompt | None = None) -> Sequence[FrameResult]:
        """Take the next frame, and with it objects to add or remove."""
        ...

    def finish(self) -> Sequence[FrameResult]:
        """Answer what is still open; the session takes no frame after it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Work:
    """How far the work on a whole video is.

    Attributes:
        done: frames that were worked on; one counts as often as it is worked on.
        total: of them, in all.
        what: what is going on, in words.
        found: frames of those done that an earlier run had worked on.
    """

    done: int
    total: int
    what: str
    found: int = 0


@runtime_checkable
class WholeVideo(Session, Protocol):
    """A session that needs the whole video, where the work between the last `step` and `finish` is long.

    `step` answers with nothing. After the last one `work` may be gone through, to see how far it is and to stop in
    between; `finish` does what is left of it, and answers all frames. A session that is stopped may keep what is done
    where its options say, and another one of the same video goes on from there.
    """

    def work(self) -> Iterator[Work]:
        """Do the work, a piece between any two answers."""
        ...
