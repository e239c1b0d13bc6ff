"""Write frames to a video file."""

from __future__ import annotations

import math
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from rotoscope.errors import OutputError
from rotoscope.files import explained, writing

# Ticks a second at least: the clock of MPEG, fine enough for any camera's times.
_CLOCK = 90_000
# A later start than this is the clock of a recorder, not an offset within the video.
_KEPT_OFFSET = 1.0
# From this height on players take unmarked video for BT.709, below for BT.601; we mark what they would assume.
_HD_HEIGHT = 720
_LIMITED = 1
_BT709 = (Colorspace.ITU709, 1, 1, 1)  # swscale's name; matrix, primaries and transfer as H.273 numbers them
_BT601 = (Colorspace.ITU601, 6, 6, 6)


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How one kind of file is encoded.

    Attributes:
        codec: FFmpeg's encoder.
        pixels: its pixel format.
        options: of the encoder; `crf` is put in where True.
        crf: whether the encoder takes a constant rate factor.
        halved: whether colour is stored at half size, so that the picture must have even sides.
        container: options of the file format.
    """

    codec: str
    pixels: str
    options: dict[str, str]
    crf: bool = True
    halved: bool = True
    container: dict[str, str] = field(default_factory=dict)


# Without B-frames times of decoding and showing agree, and so does the length that players show.
_H264 = _Recipe("libx264", "yuv420p", {"preset": "superfast", "bf": "0"}, container={"movflags": "+faststart"})
_H264_PLAIN = _Recipe("libx264", "yuv420p", {"preset": "superfast", "bf": "0"})
_VP9_OPTIONS = {"deadline": "good", "cpu-used": "5", "row-mt": "1", "b": "0", "auto-alt-ref": "0"}
_OPAQUE = {
    ".mp4": _H264,
    ".m4v": _H264,
    ".mov": _H264,
    ".mkv": _H264_PLAIN,
    ".webm": _Recipe("libvpx-vp9", "yuv420p", _VP9_OPTIONS),
}
_ALPHA = {
    ".webm": _Recipe("libvpx-vp9", "yuva420p", _VP9_OPTIONS),
    ".mov": _Recipe(
        "prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16", "vendor": "apl0"}, crf=False, halved=False
    ),
}


class VideoWriter:
    """A video file being written; it appears under its name only when the `with` block ends well.

    Without alpha: `.mp4`, `.m4v`, `.mov` (H.264, 4:2:0, index in front: browsers play it), `.mkv` (H.264), `.webm`
    (VP9). With alpha: `.webm` (VP9) or `.mov` (ProRes 4444), colours not multiplied by alpha. Where colour is stored at
    half size an odd side is made even by repeating the last row or column. Colours are BT.709 from 720 rows on, BT.601
    below, limited range, and marked so.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int],
        frame_rate: float | None,
        *,
        alpha: bool = False,
        crf: int = 20,
    ) -> None:
        """Check what is asked for; the file is opened by `with`.

        Args:
            path: the file; its suffix chooses the format.
            size: (height, width) of every image.
            frame_rate: frames per second for frames without a time; 24 when None.
            alpha: whether to keep transparency.
            crf: constant rate factor, 0 (best) to 51 (smallest); ProRes takes none.

        Raises:
            OutputError: the suffix, size, rate or crf cannot be written.
        """
        self._path = Path(path)
        self._size = _checked_size(size)
        self._alpha = alpha
        self._recipe = _recipe(self._path, alpha)
        self._rate = _checked_rate(24.0 if frame_rate is None else frame_rate)
        if not 0 <= crf <= 51:
            raise OutputError(f"crf {crf}: expected 0 (best) to 51 (smallest file)")
        self._crf = crf
        # A whole number of ticks a frame, and fine enough for times that vary.
        self._base = Fraction(1, self._rate.numerator * math.ceil(_CLOCK / self._rate.numerator))
        self._step = round(1 / (self._rate * self._base))
        self._reformatter = VideoReformatter()
        self._opened = ExitStack()
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._held: tuple[av.VideoFrame, int] | None = None
        self._offset = 0.0

    def __enter__(self) -> Self:
        """Open the temporary file.

        Raises:
            OutputError: the folder cannot be written to or the encoder does not take this size.
        """
        if self._path.is_dir():
            raise OutputError(f"cannot write {self._path}: a folder of this name is there; choose another name")
        with ExitStack() as opened:
            temporary = opened.enter_context(writing(self._path))
            try:
                self._open(temporary)
            except (av.FFmpegError, ValueError) as error:
                self._abandon()
                raise self._explained(error) from error
            self._opened = opened.pop_all()
        return self

    def write(self, image: NDArray[np.uint8], timestamp: float | None = None) -> None:
        """Add a frame.

        Args:
            image: (H, W, 3) uint8 RGB, or with alpha also (H, W, 4) uint8 RGBA, straight; (H, W) as announced.
            timestamp: seconds, not before the frame before; one frame after it when None. A first timestamp from 0 up
                to 1 second is kept; one outside is taken off all, so that the file begins at 0.

        Raises:
            OutputError: the image or timestamp is not as announced, the writer is not open, or writing fails.
        """
        if self._stream is None:
            raise OutputError(f"{self._path} is not open for writing; use `with VideoWriter(...) as writer`")
        self._check(image)
        ticks = self._next_ticks(timestamp)
        try:
            self._send_held(ticks)
            self._held = self._picture(image), ticks
        except (av.FFmpegError, OSError) as error:
            raise self._explained(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._finish()
            except BaseException as failure:
                self._abandon()
                self._opened.__exit__(type(failure), failure, failure.__traceback__)
                raise
        else:
            self._abandon()
        self._opened.__exit__(kind, error, trace)

    def _open(self, temporary: Path) -> None:
        recipe, (height, width) = self._recipe, self._size
        options = dict(recipe.options) | ({"crf": str(self._crf)} if recipe.crf else {})
        container = av.open(f"file:{temporary}", mode="w", options=dict(recipe.container))
        self._container = container
        stream = container.add_stream(recipe.codec, rate=self._rate, options=options)
        if not isinstance(stream, VideoStream):
            raise OutputError(f"cannot write {self._path}: {recipe.codec} is no video encoder in this build of FFmpeg")
        stream.height, stream.width = height + height % 2 * recipe.halved, width + width % 2 * recipe.halved
        stream.pix_fmt = recipe.pixels
        context = stream.codec_context
        context.time_base = stream.time_base = self._base
        self._matrix, context.colorspace, context.color_primaries, context.color_trc = (
            _BT709 if height >= _HD_HEIGHT else _BT601
        )
        context.color_range = _LIMITED
        container.start_encoding()
        self._stream = stream

    def _finish(self) -> None:
        if self._held is None:
            raise OutputError(f"cannot write {self._path}: no frame was given")
        assert self._stream is not None
        assert self._container is not None
        try:
            self._send_held(self._held[1] + self._step)
            self._container.mux(self._stream.encode(None))
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            raise self._explained(error) from error
        self._container = self._stream = self._held = None

    def _abandon(self) -> None:
        """Close the file, of which nothing is kept."""
        if self._container is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()
        self._container = self._stream = self._held = None

    def _send_held(self, until: int) -> None:
        """Encode the frame that waited for its successor to know how long it is shown."""
        if self._held is None:
            return
        assert self._stream is not None
        assert self._container is not None
        picture, ticks = self._held
        picture.pts, picture.time_base, picture.duration = ticks, self._base, until - ticks
        self._container.mux(self._stream.encode(picture))

    def _picture(self, image: NDArray[np.uint8]) -> av.VideoFrame:
        if self._alpha and image.shape[2] == 3:
            image = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
        if self._recipe.halved and (image.shape[0] % 2 or image.shape[1] % 2):
            image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgba" if self._alpha else "rgb24")
        return self._reformatter.reformat(
            picture, format=self._recipe.pixels, dst_colorspace=self._matrix, dst_color_range="MPEG", threads=1
        )

    def _check(self, image: NDArray[np.uint8]) -> None:
        height, width = self._size
        channels = (3, 4) if self._alpha else (3,)
        shapes = [(height, width, count) for count in channels]
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape not in shapes:
            found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            hint = "; give alpha=True to keep transparency" if found.endswith(f"{width}, 4)") else ""
            expected = " or ".join(str(shape) for shape in shapes)
            raise OutputError(f"{self._path}: an image is {found}, expected uint8 {expected}{hint}")

    def _next_ticks(self, timestamp: float | None) -> int:
        if timestamp is None:
            return 0 if self._held is None else self._held[1] + self._step
        if not math.isfinite(timestamp):
            raise OutputError(f"{self._path}: timestamp {timestamp}; expected seconds")
        if self._held is None:
            self._offset = 0.0 if 0 <= timestamp < _KEPT_OFFSET else timestamp
            return round((timestamp - self._offset) / self._base)
        ticks, last = round((timestamp - self._offset) / self._base), self._held[1]
        if ticks < last - 1:
            before = float(last * self._base) + self._offset
            raise OutputError(f"{self._path}: timestamp {timestamp:.6f} s, but the frame before has {before:.6f} s")
        return max(ticks, last + 1)

    def _explained(self, error: Exception) -> OutputError:
        if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
            return explained(error, self._path)
        height, width = self._size
        return OutputError(
            f"cannot write {self._path}: {self._recipe.codec} does not take {width}x{height} pixels at "
            f"{float(self._rate):g} frames a second ({getattr(error, 'strerror', None) or error}); leave this video out"
        )


def _recipe(path: Path, alpha: bool) -> _Recipe:
    table = {suffix: recipe for suffix, recipe in (_ALPHA if alpha else _OPAQUE).items() if _can_encode(recipe.codec)}
    recipe = table.get(path.suffix.lower())
    if recipe is None:
        kind = "video with transparency" if alpha else "video"
        possible = ", ".join(table) or "nothing, for this build of FFmpeg lacks the encoders"
        raise OutputError(f"cannot write {path} as {kind}: suffix {path.suffix or 'missing'}, possible: {possible}")
    return recipe


def _can_encode(codec: str) -> bool:
    try:
        return av.Codec(codec, "w").is_encoder
    except (av.FFmpegError, ValueError):
        return False


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    height, width = (int(side) for side in size)
    if height < 1 or width < 1:
        raise OutputError(f"size {height}x{width} (height x width): expected 1 or more pixels each")
    return height, width


def _checked_rate(rate: float) -> Fraction:
    if not (math.isfinite(rate) and rate >= 0.001):
        raise OutputError(f"frame rate {rate}: expected a number of frames per second, 0.001 or more")
    # Fine enough to find 30000/1001 again from its float.
    return Fraction(rate).limit_denominator(1001)
