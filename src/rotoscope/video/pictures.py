"""A folder of pictures, or one picture, as a video."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from rotoscope.errors import VideoError
from rotoscope.names import fault_of
from rotoscope.types import Frame, VideoInfo
from rotoscope.video.source import Count, Video, check_bounds

_ORIENTATION = 0x0112  # EXIF's tag
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sort key under which `frame2` stands before `frame10`, upper and lower case together."""
    # Splitting at digits alternates text and number, so that like is compared with like.
    parts = re.split(r"([0-9]+)", name.casefold())
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def list_pictures(folder: Path) -> list[Path]:
    """List the pictures right inside a folder in natural order, hidden files left out.

    Raises:
        VideoError: the folder cannot be listed.
    """
    return [path for path in list_folder(folder) if path.suffix.lower() in PICTURE_SUFFIXES and not path.is_dir()]


def list_folder(folder: Path) -> list[Path]:
    """List what lies right inside a folder in natural order, hidden entries left out.

    Raises:
        VideoError: the folder cannot be listed.
    """
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise VideoError(f"the folder {folder} cannot be listed: {error.strerror or error}") from error
    return sorted(entries, key=lambda path: natural_key(path.name))


class PictureVideo(Video):
    """Pictures in the order given, one a frame."""

    def __init__(self, source: Path, pictures: list[Path], name: str, frame_rate: float) -> None:
        """Read the first picture for its size.

        Args:
            source: the folder or the picture, for messages.
            pictures: files in order, at least one, no two of one stem.
            name: short name of the video.
            frame_rate: frames per second that timestamps are made from.

        Raises:
            VideoError: the first picture cannot be read, two share a stem and would be taken for one another, or one
                has a name that no result can have.
        """
        super().__init__()
        self.source = str(source)
        _refuse_names(pictures)
        self._pictures = pictures
        self._rate = frame_rate
        _refuse_twins(pictures)
        height, width = read_picture(pictures[0]).shape[:2]
        self.info = VideoInfo(name, width, height, len(pictures), frame_rate)
        if len(pictures) == 1 and (pages := _page_count(pictures[0])) > 1:
            self._tell_once("pages", f"{pictures[0]} holds {pages} pictures; only the first is used")

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """See `Video.frames`.

        Raises:
            VideoError: a picture cannot be read or is of another size than the first, by name.
        """
        check_bounds(self.source, start, stop)
        for index in range(len(self._pictures))[start:stop]:
            path = self._pictures[index]
            image = read_picture(path)
            if image.shape[:2] != self.info.size:
                raise VideoError(
                    f"{path} is {image.shape[1]}x{image.shape[0]} pixels (upright), but {self._pictures[0].name} is "
                    f"{self.info.width}x{self.info.height}; the pictures of a video must be of one size"
                )
            yield Frame(index, index / self._rate, image, path.stem)

    def details(self) -> Mapping[str, str]:
        """See `Video.details`."""
        suffixes = sorted({path.suffix.lower().lstrip(".") for path in self._pictures})
        with Image.open(self._pictures[0]) as image:
            mode, turn = image.mode, image.getexif().get(_ORIENTATION, 1)
        return {
            "kind": "picture folder" if len(self._pictures) > 1 else "picture",
            "codec": ", ".join(suffixes),
            "pixel format": mode,
            "rotation": "none" if turn == 1 else f"EXIF orientation {turn}, applied",
            "duration": f"{len(self._pictures) / self._rate:.3f} s at the assumed rate",
            "variable rate": "no",
        }

    def count(self) -> Count:
        """See `Video.count`; pictures are counted by name, not read."""
        return Count(len(self._pictures), len(self._pictures) / self._rate, variable_rate=False)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read one picture, turned upright as its EXIF orientation says.

    Grey is repeated to three channels; a palette is looked up; transparent pixels are laid over black; CMYK is
    converted; 16-bit values are scaled by 1/257, float values by 255 when all lie in [0, 1].

    Args:
        path: a file that Pillow reads.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous.

    Raises:
        VideoError: the file is missing, damaged, too large or of a value range that has no clear meaning.
    """
    try:
        with Image.open(path) as image:
            upright = image.getexif().get(_ORIENTATION, 1) == 1
            return _to_rgb(image if upright else ImageOps.exif_transpose(image))
    except Exception as error:  # a decoder of foreign bytes may raise anything; each must name the file
        raise VideoError(f"the picture {path} cannot be read: {_reason(error)}") from error


def over_black(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay a straight-alpha (H, W, 4) uint8 RGBA image over black: (H, W, 3) uint8 RGB."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)


def grey_to_rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat a (H, W) uint8 image to (H, W, 3)."""
    return np.repeat(grey[:, :, None], 3, axis=2)


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        return grey_to_rgb(_deep_to_bytes(np.asarray(image)))
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        return over_black(np.asarray(image.convert("RGBA")))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _deep_to_bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    exact = values.astype(np.float64)
    low, high = float(exact.min()), float(exact.max())
    if not (math.isfinite(low) and math.isfinite(high) and low >= 0 and high <= 65535):
        raise ValueError(
            f"its values run from {low:g} to {high:g}; expected 0 to 65535 (16 bits) or 0 to 1 (float): "
            "save it with 8 bits a channel"
        )
    unit = np.issubdtype(values.dtype, np.floating) and high <= 1
    return np.rint(exact * 255 if unit else exact / 257).astype(np.uint8)


def _page_count(path: Path) -> int:
    with Image.open(path) as image:
        return int(getattr(image, "n_frames", 1))


def _refuse_names(pictures: list[Path]) -> None:
    for path in pictures:
        fault = fault_of(path.stem)
        if fault is not None:
            raise VideoError(f"results of {path} would be named {path.stem!r}: {fault}; rename the picture")


def _refuse_twins(pictures: list[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in pictures:
        other = seen.setdefault(path.stem, path)
        if other is not path:
            raise VideoError(
                f"{path.parent} holds both {other.name} and {path.name}, whose results would have one name; "
                "keep one kind of picture in the folder"
            )


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture, or is damaged; replace or remove it"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"it has too many pixels ({error}); make it smaller"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{' '.join(str(error).split()) or type(error).__name__}; replace or remove it"
