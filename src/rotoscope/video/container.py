"""A video file, read through FFmpeg."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from threading import Lock

from rotoscope.errors import VideoError
from rotoscope.types import Frame, VideoInfo
from rotoscope.video.decoder import Decoded, Decoder
from rotoscope.video.source import Count, Video, check_bounds
from rotoscope.video.upright import Converter, resized, turn_name, turn_of

# Reading on costs less than a jump up to about this many frames.
_READ_ON = 64
# Frames looked at to say whether the rate varies, short of counting all.
_GLANCE = 250


class ContainerVideo(Video):
    """A file that FFmpeg opens; every pass decodes it anew.

    What can be decoded is given; damage and a missing end are told by one `VideoWarning` each. Times come from the
    container as they are, so the first frame need not stand at 0; a missing or backward time is put one frame after
    the one before. A picture of another size than the first is scaled to it, with a warning.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Decode the first frame, for the true size.

        Raises:
            VideoError: the file cannot be opened or no frame of it decoded.
        """
        super().__init__()
        self.source = str(path)
        self._path = path
        self._ticks = _TickTable()
        self._cursor: Decoder | None = None
        self._converter = Converter()
        with closing(Decoder(path)) as decoder:
            first = next(decoder, None)
            if first is None:
                raise VideoError(f"{path} holds no frame that can be decoded; it is empty or damaged: get it anew")
            height, width = self._converter.upright(first.picture).shape[:2]
            self._turn = turn_of(first.picture)
            self.info = VideoInfo(name, width, height, decoder.stream.frames or None, decoder.rate)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """See `Video.frames`."""
        check_bounds(self.source, start, stop)
        if stop is not None and stop <= start:
            return
        decoder = self._decoder_at(start)
        if decoder is None:
            return
        with closing(decoder):
            converter = Converter()
            for decoded in self._noting(decoder):
                yield self._frame(decoded, converter)
                if decoder.position == stop:
                    return
            self._report(decoder)

    def seek(self, index: int) -> Frame:
        """See `Video.seek`; a decoder is kept open, so that frames asked for in order are read on."""
        check_bounds(self.source, index, None)
        with ExitStack() as opened:
            cursor = self._cursor_at(index)
            if cursor is None:
                raise self._no_frame(index)
            opened.callback(cursor.close)
            decoded = next(self._noting(cursor), None)
            if decoded is None:
                raise self._no_frame(index)
            frame = self._frame(decoded, self._converter)
            opened.pop_all()
        self._cursor = cursor
        return frame

    def close(self) -> None:
        """See `Video.close`."""
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None

    def details(self) -> Mapping[str, str]:
        """See `Video.details`; decodes the first frames to see whether the rate varies."""
        with closing(Decoder(self._path)) as decoder:
            stream, context = decoder.stream, decoder.stream.codec_context
            duration = decoder.duration
            found = {
                "kind": f"video file ({decoder.format_name})",
                "codec": context.name,
                "pixel format": context.pix_fmt or "unknown",
                "rotation": turn_name(self._turn) + ("" if turn_name(self._turn) == "none" else ", applied"),
                "duration": "unknown" if duration is None else f"{duration:.3f} s",
            }
            aspect = stream.sample_aspect_ratio
            if aspect and aspect != 1:
                found["pixel aspect"] = f"{aspect.numerator}:{aspect.denominator}, not applied"
            counted = _count(islice(decoder, _GLANCE), decoder)
        scope = "" if counted.frames < _GLANCE else f" in the first {_GLANCE} frames"
        found["variable rate"] = ("yes" if counted.variable_rate else "no") + scope
        return found

    def count(self) -> Count:
        """See `Video.count`; decodes, but converts no pixels."""
        with closing(Decoder(self._path)) as decoder:
            counted = _count(self._noting(decoder), decoder)
            self._report(decoder)
        return counted

    def _cursor_at(self, index: int) -> Decoder | None:
        """Take the decoder that `seek` left open if it stands shortly before `index`, else a new one."""
        cursor, self._cursor = self._cursor, None
        if cursor is None:
            return self._decoder_at(index)
        with ExitStack() as opened:
            opened.callback(cursor.close)
            if 0 <= index - cursor.position <= _READ_ON:
                if not self._read_to(cursor, index):
                    return None
                opened.pop_all()
                return cursor
        return self._decoder_at(index)

    def _decoder_at(self, index: int) -> Decoder | None:
        """Open a decoder whose next frame is `index`; None when the video ends before."""
        ticks = self._ticks.up_to(index)
        if ticks is not None:
            with ExitStack() as opened:
                decoder = opened.enter_context(closing(Decoder(self._path)))
                if decoder.times_are_true and decoder.jump(index, ticks):
                    opened.pop_all()
                    return decoder
        with ExitStack() as opened:
            decoder = opened.enter_context(closing(Decoder(self._path)))
            if self._read_to(decoder, index):
                opened.pop_all()
                return decoder
        return None

    def _read_to(self, decoder: Decoder, index: int) -> bool:
        """Decode up to frame `index`, so that it comes next; False when the video ends before."""
        gap = index - decoder.position
        return sum(1 for _ in islice(self._noting(decoder), gap)) == gap

    def _noting(self, decoder: Decoder) -> Iterator[Decoded]:
        for decoded in decoder:
            self._ticks.note(decoded.index, decoded.ticks)
            yield decoded

    def _frame(self, decoded: Decoded, converter: Converter) -> Frame:
        image = converter.upright(decoded.picture)
        if image.shape[:2] != self.info.size:
            self._tell_once(
                "size",
                f"{self.source}: from frame {decoded.index} on the picture is {image.shape[1]}x{image.shape[0]} pixels "
                f"instead of {self.info.width}x{self.info.height}; it is scaled to the size of the first frame",
            )
            image = resized(image, self.info.size)
        return Frame(decoded.index, decoded.timestamp, image)

    def _report(self, decoder: Decoder) -> None:
        """Warn, after the last frame, of what was missing or damaged."""
        shown = decoder.position
        if decoder.skipped or decoder.mended:
            self._tell_once(
                "damage",
                f"{self.source} is damaged: {decoder.skipped} frames could not be decoded and are left out, "
                f"{decoder.mended} were patched by the decoder and may look wrong; {shown} frames were delivered",
            )
        early = decoder.ends_early()
        if early is not None:
            self._tell_once("end", f"{self.source} is cut off: {early}; {shown} frames were delivered")


class _TickTable:
    """The container's time of every frame met so far, 8 bytes a frame; of no use once times repeat or are missing."""

    def __init__(self) -> None:
        self._ticks = array("q")
        self._usable = True
        self._lock = Lock()  # two passes may run at once, one of them in a read-ahead thread

    def note(self, index: int, ticks: int | None) -> None:
        """Remember the time of the frame that follows those known; others are known already."""
        with self._lock:
            if index != len(self._ticks) or not self._usable:
                return
            if ticks is None or (index and ticks <= self._ticks[-1]):
                self._usable = False
                self._ticks = array("q")
            else:
                self._ticks.append(ticks)

    def up_to(self, index: int) -> array[int] | None:
        """Give the times when frame `index` is among them."""
        return self._ticks if self._usable and index < len(self._ticks) else None


def _count(decoded: Iterator[Decoded], decoder: Decoder) -> Count:
    frames, last, shortest, longest = 0, None, float("inf"), 0.0
    for item in decoded:
        if last is not None:
            gap = item.timestamp - last
            shortest, longest = min(shortest, gap), max(longest, gap)
        last, frames = item.timestamp, frames + 1
    # Times are rounded to the container's clock, so even gaps differ by up to two of its ticks.
    tick = float(decoder.stream.time_base or 0)
    varies = frames > 2 and longest - shortest > 2 * tick + 1e-6
    return Count(frames, decoder.end - (decoder.begin or 0.0), varies)
