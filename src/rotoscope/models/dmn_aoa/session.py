"""DMN-AOA on a video, frame by frame: every frame is answered at once, memory has a bound.

What is kept besides a space-time memory's: each object as seen in its box in the frames of its memory, and its last
mask that was not empty.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rotoscope.backbones.space_time_memory import SpaceTimeMemory
from rotoscope.models.dmn_aoa.network import DMNAOA, Proposals
from rotoscope.models.dmn_aoa.options import AlignmentOptions
from rotoscope.models.dmn_aoa.proposals import Provider, in_frame
from rotoscope.models.dmn_aoa.tracker import MatchingTracker
from rotoscope.models.memory.session import MemorySession
from rotoscope.types import Declaration, Frame, FrameResult, VideoInfo


def declare(options: AlignmentOptions) -> Declaration:
    """What DMN-AOA says of itself under these options."""
    return Declaration(
        task="propagate",
        look_ahead=0,
        prompts="masks",
        memory="the frame before, and for each object keys, values and looks of the first and of some earlier frames",
        frames_held=options.most + 1,
    )


class MatchingSession(MemorySession):
    """One video going through DMN-AOA; see `rotoscope.types.Session`.

    Args:
        network: in eval mode.
        info: of the video; its size decides the network's size.
        options: see `AlignmentOptions`.
        device: where the network is.
        provider: where the proposals of its frames come from.
    """

    tracker: MatchingTracker
    options: AlignmentOptions

    def __init__(
        self, network: DMNAOA, info: VideoInfo, options: AlignmentOptions, device: torch.device, provider: Provider
    ) -> None:
        self._provider = provider
        self._proposals: Proposals | None = None
        super().__init__(network, info, options, device)

    def _tracker(self, network: SpaceTimeMemory) -> MatchingTracker:
        if not isinstance(network, DMNAOA):
            raise AssertionError("not of this system")
        return MatchingTracker(network, self._resized, self.options)

    def _before_step(self, frame: Frame) -> None:
        """Read or detect proposals, where there is something to match: a cache may turn out to be of another video."""
        self._proposals = None
        found = self._provider.of(frame) if self.tracker.ids else None
        if found is not None:
            self._proposals = in_frame(
                found,
                self._size,
                self._resized,
                self.tracker.padding,
                self.device,
                self.options.proposal_score,
                self.options.proposal_limit,
            )

    def _track(self, pixels: Tensor, given: dict[int, Tensor]) -> Tensor:
        return self.tracker.step(pixels, given, self._proposals)

    def finish(self) -> list[FrameResult]:
        """Nothing is open: every frame was answered at once."""
        self._provider.close()
        return super().finish()

    def _let_go(self) -> None:
        self._provider.close()
        super()._let_go()
