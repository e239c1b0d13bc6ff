"""How STEm-Seg is run on a video; frozen, from defaults, a weights file's card, the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from rotoscope.errors import OptionError
from rotoscope.models.option_checks import check_kinds, check_shares, check_whole
from rotoscope.models.stem_seg.clustering import Leftovers, Response, Rules
from rotoscope.models.stem_seg.decoders import LENGTHS
from rotoscope.models.stem_seg.embedding import FREE_DIM_STDS, checked_stds
from rotoscope.ops.resize import SizeRule

Votes = Literal["mean", "places"]
Tracks = Literal["stream", "davis", "youtube-vis", "kitti-mots"]


@dataclass(frozen=True)
class EmbeddingOptions:
    """Inference options; thresholds are the published ones, sizes and clips those of `PUBLISHED` for each task.

    Attributes:
        size: what frames are resized to before the network: "736/1248" short edge and bound of the long one, "480"
            short edge, "480x854" height x width, "unchanged".
        antialias: smooth frames that are made smaller; published networks were trained without.
        clip: frames of a clip, T: 2, 4, 8, 16, 24 or 32.
        overlap: frames that neighbouring clips share.
        patient: find a clip's instances when no later clip can share a frame with it, as published; otherwise as soon
            as it has been through the network, by half as many frames.
        full_size: cluster at the size of the network's frames, not at a quarter of it.
        foreground: probability above which a place is of some instance, for networks that have such a channel.
        foreground_seediness: seediness that is asked for instead where they have none.
        least_seediness: of an instance's centre.
        primary: response above which a place joins an instance.
        secondary: the same for places left over.
        most_in_clip: instances of a clip.
        free_dim_stds: standard deviations of the embedding's free dimensions, one for all or one for each, as the
            network was trained with them.
        response: "published" or "gaussian", see `clustering.Rules`.
        leftovers: "farthest", "nearest" or "none", see there.
        least_overlap: IoU that labels of two clips need to be one instance; 0, as published, takes any.
        votes: how an instance gets its category: by the "mean" of the logits over its places, or by the number of
            "places" that a category has.
        tracks: "stream" gives every instance in order of frames; the others wait for the end of the video, then give
            those that the published code writes for a data set, numbered and scored as there.
        least_score: of an instance that is given: its places against those of the largest one, in all frames so far, or
            of the video where instances are chosen at its end.
        most: instances of a video, where they are chosen at its end.
        clean: with "kitti-mots", leave out what its published filter does.
        empty_masks: with "kitti-mots" and without `clean`, also give the masks of an instance that has places on a
            frame but no pixel at the frame's size, as the published lines do.
    """

    size: str = "480"
    antialias: bool = False
    clip: int = 8
    overlap: int = 4
    patient: bool = True
    full_size: bool = False
    foreground: float = 0.5
    foreground_seediness: float = 0.25
    least_seediness: float = 0.8
    primary: float = 0.5
    secondary: float = 0.3
    most_in_clip: int = 20
    free_dim_stds: tuple[float, ...] = FREE_DIM_STDS
    response: Response = "published"
    leftovers: Leftovers = "farthest"
    least_overlap: float = 0.0
    votes: Votes = "mean"
    tracks: Tracks = "stream"
    least_score: float = 0.0
    most: int = 20
    clean: bool = True
    empty_masks: bool = False

    def __post_init__(self) -> None:
        check_kinds(self)
        check_whole(self, {"clip": min(LENGTHS), "overlap": 0, "most_in_clip": 1, "most": 1})
        if self.clip not in LENGTHS:
            raise OptionError(f"a clip of {self.clip} frames is not known; choose {', '.join(map(str, LENGTHS))}")
        if not 0 <= self.overlap < self.clip:
            raise OptionError(f"overlap {self.overlap} must lie in 0..{self.clip - 1} for clips of {self.clip} frames")
        bounded = ("foreground", "foreground_seediness", "least_seediness", "primary", "secondary")
        check_shares(self, (*bounded, "least_overlap", "least_score"))
        object.__setattr__(self, "free_dim_stds", checked_stds(self.free_dim_stds))
        SizeRule.parse(self.size)

    @property
    def rules(self) -> Rules:
        """Of the clusters."""
        return Rules(
            self.primary, self.secondary, self.least_seediness, self.most_in_clip, self.response, self.leftovers
        )


PUBLISHED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "davis": {"size": "736/1248", "clip": 16, "overlap": 6},
        "youtube_vis": {"size": "640/1196", "full_size": True, "most": 10},
        "kitti_mots": {
            "size": "800/1948",
            "least_seediness": 0.95,
            "votes": "places",
            "most": 1000,
            "empty_masks": True,
        },
        "ovis": {"size": "640/1196", "full_size": True, "most": 10},
    }
)
"""What the tasks' published results were made with, where it differs from the defaults."""
