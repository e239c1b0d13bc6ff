"""Which frames make a clip (BMVC 2020, section 3.4), as a stream: nothing needs to know the length of the video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

LastClip = Literal["published", "shifted"]
Fill = Literal["first", "last"]


class ClipWindows:
    """Clips of `length` frames, one every `length - overlap` frames.

    The end of a video: "published" is the released rule, in which every start inside the video makes a clip and missing
    places are filled with copies, which count in the mean: of the clip's first frame in front (3DC-Seg), or of the
    video's last frame behind (D2Conv3D); "shifted" moves the last clip back so that it ends with the last frame, and
    fills only videos shorter than a clip.

    Args:
        length: frames of a clip, T_c.
        overlap: frames that two clips share, T_o.
        last_clip: see above.
        fill: which frame is copied, "first" or "last".
    """

    def __init__(self, length: int, overlap: int, last_clip: LastClip = "published", fill: Fill = "first") -> None:
        self.fill = fill
        self.length = length
        self.stride = length - overlap
        self.last_clip = last_clip
        self._start = 0  # of the next clip
        self._count = 0

    def push(self) -> list[int] | None:
        """Count one more frame; the indices of the clip that it completes, if any."""
        self._count += 1
        if self._start + self.length > self._count:
            return None
        clip = list(range(self._start, self._start + self.length))
        self._start += self.stride
        return clip

    def finish(self) -> Iterator[list[int]]:
        """The clips that the end of the video still needs, in order."""
        count, length = self._count, self.length
        if self.last_clip == "shifted":
            # Frames up to start - stride + length - 1 are covered by the clips so far.
            if count and (self._start == 0 or self._start - self.stride + length < count):
                first = max(0, count - length)
                yield self._filled(first)
            return
        for start in range(self._start, count, self.stride):
            yield self._filled(start)

    def _filled(self, start: int) -> list[int]:
        """The clip at `start`, with copies where the video is over."""
        missing = max(0, start + self.length - self._count)
        frames = list(range(start, start + self.length - missing))
        return [start] * missing + frames if self.fill == "first" else frames + [self._count - 1] * missing

    @property
    def final_before(self) -> int:
        """Frames below this index appear in no clip to come, however the video goes on."""
        if self.last_clip == "published":
            return self._start
        # The last clip may reach back into frames that earlier clips have left behind.
        covered = self._start > 0 and self._start - self.stride + self.length >= self._count
        return min(self._start, max(0, self._count - self.length + covered))

    @property
    def look_ahead(self) -> int:
        """How many frames must follow a frame, at most, before its result is final."""
        return self.length if self.last_clip == "shifted" and self.stride > 1 else self.length - 1


def clip_indices(
    count: int, length: int, overlap: int, last_clip: LastClip = "published", fill: Fill = "first"
) -> list[list[int]]:
    """All clips of a video of `count` frames, as lists of frame indices."""
    windows = ClipWindows(length, overlap, last_clip, fill)
    clips = [clip for clip in (windows.push() for _ in range(count)) if clip is not None]
    return [*clips, *windows.finish()]
