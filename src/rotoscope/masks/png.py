"""Single-channel PNG files in and out: what is stored is what comes back, nothing is scaled or guessed."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rotoscope.errors import MaskError
from rotoscope.files import write_whole
from rotoscope.masks.scanlines import PlainPng, read_plain

ANNOTATION_FORMATS = ("PNG", "PPM", "BMP")  # what data sets store masks in; pillow's PPM is PGM as well

_RUN_LENGTHS = 3  # zlib's Z_RLE: on masks as small as full deflate, at a fraction of the time
_GREYS_16 = ("I;16", "I;16B", "I;16L", "I")
_STORED_BITS = {"L;2": 85, "L;4": 17}  # pillow stretches these to 0..255; the divisor gives back what was stored
_ABSENT = -1


@dataclass(frozen=True, slots=True, eq=False)
class StoredMap:
    """What a PNG file of one channel says.

    Attributes:
        values: (H, W) uint8 or uint16, as stored.
        kind: "labels" where the numbers are names (palette, 16 bit), "grey" where they can be levels as well.
    """

    values: NDArray[np.uint8] | NDArray[np.uint16]
    kind: Literal["labels", "grey"]


@cache
def _palette() -> NDArray[np.uint8]:
    index = np.arange(256)
    shifts = np.arange(8)
    channels = []
    for channel in range(3):
        bits = (index[:, None] >> (3 * shifts + channel)) & 1  # every third bit of the id, lowest first
        channels.append((bits << (7 - shifts)).sum(axis=1))
    colours = np.stack(channels, axis=1).astype(np.uint8)
    colours.flags.writeable = False
    return colours


def voc_palette(count: int = 256) -> NDArray[np.uint8]:
    """Compute the colours that PASCAL VOC and DAVIS give to ids.

    Args:
        count: number of ids from 0 on, 1 to 256.

    Returns:
        (count, 3) uint8, RGB; id 0 is black.

    Raises:
        MaskError: `count` outside 1..256.
    """
    if not 1 <= count <= 256:
        raise MaskError(f"the palette has 256 colours, {count} were asked for")
    return _palette()[:count].copy()


def write_palette_png(path: Path, values: NDArray[np.uint8]) -> None:
    """Write (H, W) uint8 ids as an 8-bit PNG with the VOC palette.

    Raises:
        OutputError: the file cannot be written.
    """
    write_whole(path, palette_png(values))


def palette_png(values: NDArray[np.uint8]) -> bytes:
    """Encode (H, W) uint8 ids as an 8-bit PNG with the VOC palette."""
    image = Image.fromarray(np.ascontiguousarray(values))
    image.putpalette(_palette().tobytes())
    return _encoded(image)


def write_grey_png(path: Path, values: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write (H, W) uint8 or uint16 levels as a grey PNG of 8 or 16 bits.

    Raises:
        OutputError: the file cannot be written.
    """
    write_whole(path, _encoded(Image.fromarray(np.ascontiguousarray(values))))


def read_png(path: Path, formats: Collection[str] = ("PNG",)) -> StoredMap:
    """Read a mask file.

    Palette files give their indices, grey files of 1 to 16 bits the numbers stored. RGB files are mapped back: through
    the VOC palette if every colour is one of its own, to levels if every pixel is grey.

    Args:
        path: the file.
        formats: pillow's names of those that are taken; some data sets have annotations in PPM or BMP.

    Raises:
        MaskError: no such file, no PNG (a JPEG has lost its ids), damaged, transparent, or colours without meaning.
    """
    try:
        data = path.read_bytes()
        plain = _read_plain(path, data)
        if plain is not None:
            is_grey = plain.palette is None or _is_ramp(plain.palette)
            return StoredMap(plain.values, "grey" if is_grey else "labels")
        with Image.open(io.BytesIO(data)) as image:
            _check_format(path, image, formats)
            return _stored(path, image)
    except FileNotFoundError as error:
        raise MaskError(f"there is no mask file {path}") from error
    except UnidentifiedImageError as error:
        raise MaskError(f"{path} is no picture; expected a PNG of ids") from error
    except MaskError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # pillow's words for damage
        raise MaskError(f"cannot read {path}: {error}; write the file again") from error


def _read_plain(path: Path, data: bytes) -> PlainPng | None:
    try:
        return read_plain(data)
    except MaskError as error:
        raise MaskError(f"{path} is damaged: {error}; write the file again") from error


def _encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1, compress_type=_RUN_LENGTHS)
    return stream.getvalue()


def _check_format(path: Path, image: Image.Image, formats: Collection[str]) -> None:
    if image.format in formats:
        return
    if image.format in ("JPEG", "MPO"):
        raise MaskError(f"{path} is a JPEG, whose compression changes ids near edges; save masks as PNG")
    raise MaskError(f"{path} is a {image.format} picture; expected a PNG of ids")


def _stored(path: Path, image: Image.Image) -> StoredMap:
    mode = image.mode
    if mode == "1":
        # Not `np.asarray(image)`: pillow gives bool over bytes of 255, which numpy miscounts.
        return StoredMap((np.asarray(image.convert("L")) != 0).astype(np.uint8), "grey")
    if mode == "L":
        divisor = _STORED_BITS.get(_raw_mode(image))
        values = np.asarray(image)
        return StoredMap(values // np.uint8(divisor) if divisor else values, "grey")
    if mode == "P":
        colours = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
        return StoredMap(np.asarray(image), "grey" if _is_ramp(colours) else "labels")
    if mode in _GREYS_16:
        return StoredMap(np.asarray(image).astype(np.uint16), "labels")
    if mode in ("LA", "RGB", "RGBA"):
        return _from_colours(path, np.asarray(image), has_alpha=mode.endswith("A"))
    raise MaskError(f"{path} has the colour mode {mode}; expected a palette or grey PNG")


def _raw_mode(image: Image.Image) -> str:
    """Name the packing of the file, such as "L;4"; pillow knows it until the pixels are loaded."""
    tiles: list[Any] = list(getattr(image, "tile", []))
    arguments = tiles[0][3] if tiles else ""
    return arguments if isinstance(arguments, str) else str(arguments[0])


def _is_ramp(palette: NDArray[np.uint8]) -> bool:
    """Whether a (P, 3) palette only says that level n is grey n."""
    return len(palette) > 1 and bool((palette == np.arange(len(palette))[:, None]).all())


def _from_colours(path: Path, pixels: NDArray[np.uint8], has_alpha: bool) -> StoredMap:
    if has_alpha:
        if not (pixels[..., -1] == 255).all():
            raise MaskError(f"{path} has transparent pixels, which no mask file has; save it without an alpha channel")
        pixels = pixels[..., :-1]
    if pixels.shape[-1] == 1:
        return StoredMap(np.ascontiguousarray(pixels[..., 0]), "grey")
    ids = _ids_of_colours(pixels)
    if (ids != _ABSENT).all():
        return StoredMap(ids.astype(np.uint8), "labels")
    if (pixels == pixels[..., :1]).all():
        return StoredMap(np.ascontiguousarray(pixels[..., 0]), "grey")
    y, x = np.argwhere(ids == _ABSENT)[0]
    raise MaskError(
        f"{path} is a colour picture, and its colour {tuple(pixels[y, x].tolist())} at x={x}, y={y} is none of the "
        "DAVIS palette; save masks as palette PNG"
    )


def _ids_of_colours(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Look every (H, W, 3) colour up in the palette; _ABSENT where it has none."""
    weights = np.array([65536, 256, 1], np.int64)
    keys = _palette().astype(np.int64) @ weights
    order = np.argsort(keys)
    packed = pixels.astype(np.int64) @ weights
    place = np.minimum(np.searchsorted(keys[order], packed), 255)
    found: NDArray[np.int64] = np.where(keys[order][place] == packed, order[place], _ABSENT)
    return found
