"""How Propose-Reduce is run on a video; frozen, from defaults, a weights file's card, the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rotoscope.models.option_checks import check_kinds, check_shares, check_whole
from rotoscope.ops.resize import SizeRule, fitted

Protocol = Literal["auto", "youtube-vis", "davis"]
Reduce = Literal["auto", "hard", "soft", "category", "none"]
Labels = Literal["best", "every"]
Overlapping = Literal["auto", "yes", "no"]
Names = Literal["auto", "ytvis2019", "ytvis2021", "kinds"]
_YOUTUBE_LIMIT, _DAVIS_LIMIT = (360, 640), (480, 854)  # short and long side that a frame is fitted into
_DAVIS_MEMORIES = 10  # of a video, in the released code


@dataclass(frozen=True)
class WholeVideoOptions:
    """Inference options; where one says "auto" or 0, the protocol decides.

    Attributes:
        protocol: whose rules hold: YouTube-VIS (categories, hard reduction) or DAVIS (one class, soft reduction, at
            most 20 sequences that do not overlap); "auto" goes by the network's classes.
        size: what frames are resized to before the network: "360x640" height x width, "480" short edge, "unchanged";
            "auto" fits them into 640x360 (YouTube-VIS) or 854x480 (DAVIS), enlarging small ones.
        categories: whose names categories have; "auto" is YouTube-VIS 2019 for 40 of them, person, vehicle, animal and
            thing for four.
        key_frames: frames that objects are looked for in, spread evenly; 0: 5 (YouTube-VIS) or 8 (DAVIS).
        memory_every: every so many-th frame from a key frame is remembered, as in the paper; 0 is as the released code
            has it: every frame (YouTube-VIS), ten a video (DAVIS).
        memory_limit: frames that are remembered at most; when it is full the oldest but the key frame is let go. The
            default lasts for 320 frames on either side of a key frame; the published code has no limit.
        score: of a detection, above which it is followed.
        detections: of a key frame, that are followed at most.
        double: share of a joint area (IoU) from which a mask of a key frame counts as a double of a better one.
        reduce: how sequences that show the same object become one: "hard" drops them, "soft" lowers their scores,
            "category" lowers each category's score on its own, "none" leaves all.
        overlap: IoU of two sequences from which they are one object; for "hard" alone.
        least_score: of a sequence that is given; 0: 0.05 (hard, none) or 0.001.
        most: sequences that are given at most.
        labels: "best" gives a sequence once, under its best category; "every" once for each category of a sufficient
            score, as YouTube-VIS counts it.
        overlapping: whether objects may share pixels; "no" gives them to the better sequence. "auto": they may but
            under DAVIS's protocol.
        memory_budget: MiB of memory for a video: a quarter at most for its pictures, then what is remembered of the
            objects of one key frame, the sequences that are found, and what these leave for features, so that they are
            computed once and not once for every key frame; a frame's take 42 at 640x360.
        disk_budget: MiB of a temporary file for features that have no place in memory; what has none there either is
            computed again.
        work_folder: a folder where finished key frames are kept, so that a run that was stopped goes on from them;
            empty: none. The same folder serves many videos.
    """

    protocol: Protocol = "auto"
    size: str = "auto"
    categories: Names = "auto"
    key_frames: int = 0
    memory_every: int = 5
    memory_limit: int = 64
    score: float = 0.2
    detections: int = 10
    double: float = 0.2
    reduce: Reduce = "auto"
    overlap: float = 0.5
    least_score: float = 0.0
    most: int = 100
    labels: Labels = "best"
    overlapping: Overlapping = "auto"
    memory_budget: int = 640
    disk_budget: int = 0
    work_folder: str = ""

    def __post_init__(self) -> None:
        check_kinds(self)
        least = {"key_frames": 0, "memory_every": 0, "memory_limit": 2, "detections": 1, "most": 1}
        check_whole(self, least | {"memory_budget": 0, "disk_budget": 0})
        check_shares(self, ("score", "double", "overlap", "least_score"))
        if self.size != "auto":
            SizeRule.parse(self.size)


@dataclass(frozen=True)
class Rules:
    """The options of one video, with everything decided.

    Attributes: as of `WholeVideoOptions`; `size` is the network's (height, width).
    """

    size: tuple[int, int]
    key_frames: int
    reduce: Literal["hard", "soft", "category", "none"]
    least_score: float
    most: int
    overlapping: bool
    davis: bool

    def memory_every(self, options: WholeVideoOptions, frames: int) -> int:
        """How many frames lie between two that are remembered, in a video of `frames`."""
        if options.memory_every:
            return options.memory_every
        return max(frames // _DAVIS_MEMORIES, 1) if self.davis else 1


def rules_of(options: WholeVideoOptions, classes: int, size: tuple[int, int]) -> Rules:
    """Decide what the options leave open.

    Args:
        options: see `WholeVideoOptions`.
        classes: of the network.
        size: (height, width) of the video's frames.
    """
    davis = options.protocol == "davis" or (options.protocol == "auto" and classes == 1)
    reduce = ("soft" if davis else "hard") if options.reduce == "auto" else options.reduce
    least = options.least_score or (0.05 if reduce in ("hard", "none") else 0.001)
    return Rules(
        size=_network_size(options.size, size, davis),
        key_frames=options.key_frames or (8 if davis else 5),
        reduce=reduce,
        least_score=least,
        most=min(options.most, 20) if davis else options.most,
        overlapping=not davis if options.overlapping == "auto" else options.overlapping == "yes",
        davis=davis,
    )


def _network_size(rule: str, size: tuple[int, int], davis: bool) -> tuple[int, int]:
    if rule != "auto":
        return SizeRule.parse(rule).of(size)
    short, long = _DAVIS_LIMIT if davis else _YOUTUBE_LIMIT
    return fitted(size, short, long)
