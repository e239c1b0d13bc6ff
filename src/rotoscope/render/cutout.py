"""Objects lifted off their background: RGBA pictures for editors and compositors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import MaskError, OutputError
from rotoscope.files import writing
from rotoscope.masks.davis import frame_stem
from rotoscope.render.overlay import check_image

_COMPRESSION = 3  # half the time of zlib's default for files a few percent larger


def cutout(image: NDArray[np.uint8], mask: NDArray[np.bool_] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut one frame out along a mask.

    Args:
        image: (H, W, 3) uint8, RGB.
        mask: (H, W) bool, or uint8 opacity with 255 as solid.

    Returns:
        (H, W, 4) uint8, RGBA with straight (not premultiplied) colour; black where the alpha is 0, so that files
        stay small and hold nothing of the background.

    Raises:
        MaskError: the mask is not (H, W) bool or uint8 of the image's size.
        OptionError: the image is not (H, W, 3) uint8.
    """
    check_image(image)
    if mask.shape != image.shape[:2] or mask.dtype not in (np.bool_, np.uint8):
        raise MaskError(
            f"mask is {mask.shape} {mask.dtype}; expected {image.shape[:2]} bool, or uint8 opacity 0 to 255"
        )
    alpha = mask * np.uint8(255) if mask.dtype == np.bool_ else mask
    result = np.empty((*image.shape[:2], 4), np.uint8)
    np.multiply(image, (alpha > 0)[..., None], out=result[..., :3])
    result[..., 3] = alpha
    return result


class CutoutFolder:
    """A folder of RGBA PNG files, one a frame, written as the frames come.

    Args:
        path: the folder, made with the first picture.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def write(
        self,
        image: NDArray[np.uint8],
        mask: NDArray[np.bool_] | NDArray[np.uint8],
        index: int,
        name: str | None = None,
    ) -> Path:
        """Write the cutout of one frame and give its path.

        Args:
            image: (H, W, 3) uint8, RGB.
            mask: (H, W) bool or uint8 opacity.
            index: 0-based frame index, the file's name ("00012.png") when there is no other.
            name: stem to use in place of the index.

        Raises:
            MaskError: see `cutout`.
            OptionError: see `cutout`.
            OutputError: the file cannot be written, or the name is not a plain file stem.
        """
        stem = frame_stem(index, name)
        picture = cutout(image, mask)
        if picture.size == 0:
            raise OutputError(f"frame {index} is {image.shape[0]}x{image.shape[1]}; a picture needs at least one pixel")
        path = self.path / f"{stem}.png"
        with writing(path) as temporary:
            Image.fromarray(picture).save(temporary, format="PNG", compress_level=_COMPRESSION)
        return path
