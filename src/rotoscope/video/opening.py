"""From what a user names to a video."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import OptionError, VideoError
from rotoscope.names import name_of
from rotoscope.video.arrays import ArrayVideo
from rotoscope.video.container import ContainerVideo
from rotoscope.video.pictures import PICTURE_SUFFIXES, PictureVideo, list_folder, list_pictures
from rotoscope.video.source import Video

Source = str | os.PathLike[str] | Video | Sequence[NDArray[np.uint8]] | NDArray[np.uint8]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a single slash is what paths make of two

VIDEO_SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        *("mp4", "m4v", "mov", "qt", "avi", "mkv", "webm", "gif", "mpg", "mpeg", "m2v", "ts", "m2ts", "mts", "wmv"),
        *("asf", "flv", "f4v", "3gp", "3g2", "ogv", "mxf", "vob", "y4m", "ivf", "h264", "264", "hevc", "h265", "265"),
        *("mjpg", "mjpeg", "dv", "divx", "nut"),
    )
)


def open_video(source: Source, *, name: str | None = None, frame_rate: float = 24.0) -> Video:
    """Open anything that is a video.

    Args:
        source: a file that FFmpeg reads (mp4, mov, avi, mkv, webm, animated gif and more); a folder of pictures, read
            in natural order, such as one sequence of DAVIS (`JPEGImages/480p/<sequence>`) or YouTube-VIS
            (`JPEGImages/<video>`); one picture, a video of one frame; a sequence of (H, W, 3) RGB, (H, W) grey or
            (H, W, 4) RGBA uint8 arrays, or one (T, H, W, 3 or 4) array; a `Video`, which is returned as it is.
        name: short name for results; when None that of the file without suffix, or of the folder, made safe.
        frame_rate: frames per second assumed for pictures and arrays, which carry no time.

    Returns:
        A video whose frames are upright (H, W, 3) uint8 RGB; it can be iterated again and again.

    Raises:
        VideoError: the source does not exist, is empty, is no video or cannot be decoded.
        OptionError: the frame rate is not a positive number.
    """
    if not (math.isfinite(frame_rate) and frame_rate > 0):
        raise OptionError(f"frame rate {frame_rate}: expected a number of frames per second above 0")
    if isinstance(source, Video):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _open_path(os.fspath(source), name, frame_rate)
    if isinstance(source, np.ndarray) and source.ndim != 4:
        raise VideoError(
            f"a single array of shape {source.shape} may be one frame or many grey ones; "
            "give a list of (H, W, 3) uint8 arrays, or one array of shape (T, H, W, 3)"
        )
    if isinstance(source, (Sequence, np.ndarray)) and not isinstance(source, (str, bytes, bytearray, memoryview)):
        return ArrayVideo(source, name or "frames", frame_rate)
    raise VideoError(
        f"a {type(source).__name__} is not a video; give a path, a list of (H, W, 3) uint8 arrays or an open Video"
    )


def is_video_path(path: str | os.PathLike[str]) -> bool:
    """Tell, by names alone, whether a path is a video file or a folder right inside which pictures lie.

    A single picture is not counted as a video, though `open_video` takes it as one of one frame.
    """
    place = Path(path)
    if place.is_dir():
        return bool(list_pictures(place))
    return place.suffix.lower() in VIDEO_SUFFIXES and place.is_file()


def find_videos(folder: str | os.PathLike[str]) -> list[Path]:
    """List the videos that a folder holds, in natural order, one level deep, hidden entries left out.

    A folder of pictures without video files is itself one video. Otherwise its video files and those of its
    subfolders that hold pictures are listed. A path to a video file gives that file.

    Returns:
        Paths that `open_video` takes; empty when there are none.

    Raises:
        VideoError: there is nothing at this path, or it cannot be listed.
    """
    place = Path(folder)
    if not place.exists():
        raise VideoError(f"{place} does not exist; check the path")
    if not place.is_dir():
        return [place] if is_video_path(place) else []
    entries = list_folder(place)
    files = [path for path in entries if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
    if not files and list_pictures(place):
        return [place]
    return [path for path in entries if path in set(files) or (path.is_dir() and list_pictures(path))]


def _open_path(text: str, name: str | None, frame_rate: float) -> Video:
    if _ADDRESS.match(text) and not Path(text).exists():
        raise VideoError(f"{text} is an address; download the file first and give its path")
    path = Path(text)
    try:
        if path.is_dir():
            return _open_folder(path, name, frame_rate)
        _check_file(path)
    except OSError as error:
        raise VideoError(f"{path} cannot be read: {error.strerror or error}") from error
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return PictureVideo(path, [path], name or name_of(path), frame_rate)
    return ContainerVideo(path, name or name_of(path))


def _check_file(path: Path) -> None:
    if not path.exists():
        raise VideoError(f"{path} does not exist; check the path")
    if not path.is_file():
        raise VideoError(f"{path} is neither a file nor a folder; give a video file or a folder of pictures")
    if path.stat().st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes); get the file anew")


def _open_folder(path: Path, name: str | None, frame_rate: float) -> Video:
    pictures = list_pictures(path)
    if not pictures:
        raise VideoError(_why_no_pictures(path))
    return PictureVideo(path, pictures, name or name_of(path), frame_rate)


def _why_no_pictures(path: Path) -> str:
    inside = find_videos(path)
    if inside:
        named = ", ".join(entry.name for entry in inside[:3]) + (", ..." if len(inside) > 3 else "")
        return f"the folder {path} holds no pictures, but {len(inside)} videos ({named}); give one, such as {inside[0]}"
    deeper = [entry.name for entry in list_folder(path) if entry.is_dir()]
    if deeper:
        named = ", ".join(deeper[:3])
        return f"the folder {path} holds no pictures, only folders ({named}); give a folder of pictures"
    kinds = ", ".join(sorted(suffix.lstrip(".") for suffix in PICTURE_SUFFIXES))
    return f"the folder {path} holds no pictures ({kinds}); give a folder of pictures or a video file"
