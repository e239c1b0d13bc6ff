"""One pass over the video stream of a container, frame by frame, with a tally of what went wrong."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from rotoscope.errors import VideoError

# FFmpeg takes text files for character art; nobody means that as a video.
_TEXT_ART = frozenset({"tty", "bin", "xbin", "adf", "idf"})
# Elsewhere a packet marked corrupt is one cut off by the end of the file; a transport stream marks any loss.
_MARKS_LOSS = "mpegts"
_MOV = "mov,mp4"
# Their time stamps are those of the frames, so that a frame found again by its time is that frame.
_TRUE_TIMES = (_MOV, "matroska")
# Their headers tell the length; others have it guessed by FFmpeg from the size of the file.
_TELLS_LENGTH = ("matroska", "avi")
_ASSUMED_RATE = 24.0
# A jump lands this many frames early: pictures right after a key frame may lean on some before it.
_RUN_UP = 32
# So many frames before the one jumped to must be those of the first pass.
_PROOF = 8


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A frame as the codec left it.

    Attributes:
        index: 0-based position among the frames delivered.
        timestamp: seconds, strictly increasing.
        ticks: the container's own time, None when it gives none.
        picture: pixels, not yet converted.
    """

    index: int
    timestamp: float
    ticks: int | None
    picture: av.VideoFrame


class Decoder:
    """An open container, read from its start or from a frame jumped to.

    Attributes:
        stream: the video stream chosen.
        position: index of the frame that comes next.
        skipped: packets that could not be decoded and gave no frame.
        mended: frames that the codec patched where data were damaged.
        begin: timestamp of the first frame read, seconds; None before.
        end: time at which the last frame read ends, seconds.
    """

    def __init__(self, path: Path) -> None:
        """Open a file for one pass.

        Raises:
            VideoError: it is no video, holds no video stream, or its codec is unknown.
        """
        self._path = path
        self._container = _open(path)
        try:
            self.stream = _choose_stream(self._container, path)
        except BaseException:
            self._container.close()
            raise
        self.stream.thread_type = "AUTO"
        self.position = 0
        self.skipped = 0
        self.mended = 0
        self.begin: float | None = None
        self.end = 0.0
        self._last = 0.0
        self._packets = 0
        self._cut = False
        self._from_start = True
        self._pictures = self._decode()

    @property
    def format_name(self) -> str:
        """FFmpeg's name of the container format."""
        return self._container.format.name

    @property
    def rate(self) -> float | None:
        """Mean frames per second, None when the container does not say."""
        rate = self.stream.average_rate or self.stream.guessed_rate
        return float(rate) if rate else None

    @property
    def times_are_true(self) -> bool:
        """Whether a frame can be found again by its time."""
        return self.format_name.startswith(_TRUE_TIMES)

    @property
    def duration(self) -> float | None:
        """What the container says of the stream's length in seconds, None when it says nothing."""
        stream = self.stream
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        tagged = _clock_seconds(stream.metadata.get("DURATION", ""))
        if tagged is None and self._container.duration is not None:
            return self._container.duration / int(av.time_base)
        return tagged

    def __iter__(self) -> Iterator[Decoded]:
        return self

    def __next__(self) -> Decoded:
        """Decode the next frame.

        Raises:
            VideoError: reading fails for a reason other than damage (memory, a failing disk).
        """
        try:
            picture = next(self._pictures)
        except (av.FFmpegError, OSError, MemoryError) as error:
            raise VideoError(f"{self._path} cannot be read on from frame {self.position}: {_words(error)}") from error
        self.mended += bool(picture.is_corrupt)
        return self._number(picture)

    def skip_to(self, index: int) -> bool:
        """Decode up to frame `index`, so that it comes next; False when the video ends before."""
        return all(next(self, None) is not None for _ in range(self.position, index))

    def jump(self, index: int, ticks: Sequence[int]) -> bool:
        """Go near a frame by its time, then decode up to it, so that it comes next.

        Args:
            index: the frame.
            ticks: the times of all frames up to `index` as a pass from the start found them, strictly increasing.

        Returns:
            Whether the frames before it were met one by one; if not, this decoder is of no more use.
        """
        if index <= _RUN_UP:
            return self.skip_to(index)
        try:
            self._container.seek(ticks[index - _RUN_UP], stream=self.stream, backward=True)
        except (av.FFmpegError, OSError):
            return False
        self._from_start = False
        self._pictures = self._decode()
        awaited = index - _PROOF
        for picture in self._pictures:
            if picture.pts is None or picture.pts > ticks[awaited]:
                return False
            if picture.pts == ticks[awaited]:
                self.position = awaited
                self._number(picture)
                awaited += 1
            if awaited == index:
                return True
        return False

    def ends_early(self) -> str | None:
        """Say, after a whole pass, how the file is seen to be cut off; None when it is whole."""
        if not self._from_start:
            return None
        if self.format_name.startswith(_MOV):
            # The count in the header is not asked: an edit list rightly leaves pictures out.
            listed = len(self.stream.index_entries)
            missing = self._cut or self._packets < listed
            return f"its index lists {listed} pictures, the data of {self._packets} are there" if missing else None
        length, found = self._length_told(), self.end - (self.begin or 0.0)
        if length is not None and found < length - max(0.5, 0.05 * length):
            return f"it announces {length:.2f} s, its frames end after {found:.2f} s"
        return "its last picture is incomplete" if self._cut else None

    def close(self) -> None:
        """Close the file."""
        self._pictures.close()
        self._container.close()

    def _decode(self) -> Generator[av.VideoFrame]:
        """Decode packet by packet; what cannot be decoded is counted and left out."""
        packets = self._container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.InvalidDataError, av.error.EOFError):
                self._cut = True
                yield from self._flush()
                return
            if packet.is_corrupt and self.format_name != _MARKS_LOSS:
                self._cut = True  # half a picture: what the codec would show below the cut is invented
                continue
            self._packets += bool(packet.size) or packet.dts is not None
            try:
                pictures = packet.decode()
            except av.error.MemoryError:
                raise
            except av.FFmpegError:
                self.skipped += 1
                continue
            yield from pictures

    def _flush(self) -> Iterator[av.VideoFrame]:
        with suppress(av.FFmpegError):
            yield from self.stream.decode(None)

    def _number(self, picture: av.VideoFrame) -> Decoded:
        ticks, base = picture.pts, picture.time_base or self.stream.time_base
        step = 1.0 / (self.rate or _ASSUMED_RATE)
        timestamp = None if ticks is None or not base else float(ticks * base)
        if self.begin is None:
            timestamp = self.begin = timestamp if timestamp is not None else 0.0
        elif timestamp is None or timestamp <= self._last:
            timestamp = self._last + step
        self._last = timestamp
        self.end = timestamp + (float(picture.duration * base) if picture.duration and base else step)
        self.position += 1
        return Decoded(self.position - 1, timestamp, ticks, picture)

    def _length_told(self) -> float | None:
        if not self.format_name.startswith(_TELLS_LENGTH):
            return None
        if self.stream.frames and self.rate:
            return self.stream.frames / self.rate
        tagged = _clock_seconds(self.stream.metadata.get("DURATION", ""))
        if tagged is not None:
            # Written as the time of the stream's end, not its length.
            return tagged - (self.begin or 0.0)
        return self.duration if len(self._container.streams) == 1 else None


def _open(path: Path) -> InputContainer:
    try:
        # The prefix keeps a colon in a name from being read as a protocol; the list keeps playlists off the network.
        container = av.open(f"file:{path}", mode="r", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except MemoryError as error:
        raise VideoError(f"{path} cannot be opened: there is not enough memory") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{path} cannot be opened as a video: {_why_not(path, error)}") from error
    if container.format.name in _TEXT_ART:
        container.close()
        raise VideoError(f"{path} is a text file, not a video")
    return container


def _choose_stream(container: InputContainer, path: Path) -> VideoStream:
    # Cover pictures of songs come as video streams of one picture.
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        kinds = sorted({str(stream.type) for stream in container.streams} - {"video"}) or ["no stream at all"]
        raise VideoError(f"{path} holds no video stream, only {', '.join(kinds)}; give a file with pictures")
    best = container.streams.best("video")
    stream = best if isinstance(best, VideoStream) and best in streams else streams[0]
    if stream.codec_context is None:
        raise VideoError(
            f"{path}: its video codec is not known here, or its header is damaged; convert it to H.264 or get it anew"
        )
    return stream


def _why_not(path: Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return _words(error)
    with suppress(OSError), path.open("rb") as file:
        if file.read(12)[4:8] in (b"ftyp", b"mdat", b"wide", b"free"):
            return "its index (moov) is missing or damaged, as when a recording or download was cut off; get it anew"
    return "it is not a video in a format known here, or is damaged"


def _words(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _clock_seconds(clock: str) -> float | None:
    """Read `HH:MM:SS.fraction`."""
    parts = clock.split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds
