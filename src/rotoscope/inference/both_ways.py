"""Following objects from a frame in the middle: backwards to the start first, then forwards to the end.

The source is read in pieces from the back, then once from the front. Of the backward pass only run lengths are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rotoscope.errors import OptionError
from rotoscope.inference.pipeline import Prompts, answered
from rotoscope.types import Declaration, Frame, FrameResult, Prompt, Session
from rotoscope.video import Video

PIECE = 16  # frames read at once on the way back


def answered_both_ways(
    open_session: Callable[[], Session], video: Video, declaration: Declaration, prompts: Sequence[Prompt]
) -> Iterator[tuple[Frame, FrameResult]]:
    """Every frame of a video with its result, in order.

    The frames before the first prompt are answered by a session of their own, which sees them last to first.

    Args:
        open_session: a new session for the video.
        video: see `pipeline.answered`.
        declaration: of an online system.
        prompts: at least one.

    Raises:
        VideoError: the video has no frame, or a prompt lies behind its end.
        OptionError: the system cannot be used so.
    """
    if declaration.look_ahead != 0 or declaration.prompts == "none" or not prompts:
        raise OptionError("only a system that follows given objects frame by frame can go both ways")
    start = min(prompt.frame_index for prompt in prompts)
    earlier = _backwards(open_session, video, start, prompts)
    with open_session() as session:
        for frame, result in answered(session, video, declaration, prompts):
            yield frame, earlier.pop(frame.index, result)


def _backwards(
    open_session: Callable[[], Session], video: Video, start: int, prompts: Sequence[Prompt]
) -> dict[int, FrameResult]:
    """Results of the frames before `start`, by index."""
    results: dict[int, FrameResult] = {}
    if start == 0:
        return results
    first = Prompts(prompts).take(start)
    with open_session() as session:
        for frame in reversed_frames(video, start + 1):
            for result in session.step(frame, first if frame.index == start else None):
                if result.soft is not None:
                    raise OptionError("soft maps cannot be had both ways; leave out --soft and --cutout")
                results[result.index] = result
        session.finish()
    results.pop(start, None)
    return results


def reversed_frames(video: Video, stop: int) -> Iterator[Frame]:
    """The frames `stop` - 1 to 0, at most `PIECE` in memory."""
    for end in range(stop, 0, -PIECE):
        yield from reversed(list(video.frames(max(0, end - PIECE), end)))
