"""What every session refuses of a video and its frames."""

from __future__ import annotations

import numpy as np

from rotoscope.errors import OptionError
from rotoscope.types import Frame, VideoInfo


def check_video(info: VideoInfo) -> None:
    """Refuse a video without pixels.

    Raises:
        OptionError: a side is 0 or less.
    """
    if min(info.size) < 1:
        raise OptionError(f"a video of {info.width}x{info.height} pixels cannot be segmented; give its true size")


def check_frame(frame: Frame, size: tuple[int, int], finished: bool) -> None:
    """Refuse a frame that a session cannot take.

    Args:
        frame: the next one.
        size: (height, width) that the session was opened for.
        finished: whether the session is over.

    Raises:
        OptionError: it is over, or the frame is of another type or size.
    """
    if finished:
        raise OptionError("the session is finished; open a new one for another video")
    if not isinstance(frame, Frame):
        raise OptionError(f"a {type(frame).__name__} was given; expected a Frame(index, timestamp, image)")
    if not isinstance(frame.image, np.ndarray):
        raise OptionError(
            f"frame {frame.index} is a {type(frame.image).__name__}; expected a numpy array, (H, W, 3) uint8 RGB"
        )
    if frame.image.dtype != np.uint8 or frame.image.shape[2:] != (3,):
        raise OptionError(
            f"frame {frame.index} is {frame.image.dtype} of shape {frame.image.shape}; expected (H, W, 3) uint8 RGB"
        )
    if frame.size != size:
        raise OptionError(
            f"frame {frame.index} is {frame.size[1]}x{frame.size[0]}, the session was opened for "
            f"{size[1]}x{size[0]}; resize the frames or open a session with their size"
        )
