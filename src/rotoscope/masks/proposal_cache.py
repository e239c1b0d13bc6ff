"""Object proposals of a video on disk: one npz a video, read and written frame by frame.

Arrays of frame 12 are `000012/boxes` (P, 4) float32, `000012/masks` (P, M, M) uint8, `000012/scores` (P,) float32,
`000012/labels` (P,) int64, `000012/look` (8, 8, 3) uint8, a small picture of the frame; `about` is JSON. The pictures
tell whether a cache is of the video that it is used with.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.errors import DataError
from rotoscope.files import writing

_FORMAT = "rotoscope proposals 1"
_LOOK = 8  # side of the small picture
_ALIKE = 12.0  # mean difference of small pictures, in levels, up to which they are of one frame


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What a detector found in one frame.

    Attributes:
        boxes: (P, 4) float32 left, top, right, bottom in pixels of the frame.
        masks: (P, M, M) uint8, 255 times the probability, inside the box; M is usually 28.
        scores: (P,) float32 in [0, 1].
        labels: (P,) int64 category numbers.
    """

    boxes: NDArray[np.float32]
    masks: NDArray[np.uint8]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)


def cache_of(place: Path, name: str) -> Path:
    """The cache of the video called `name`: `place` itself if it is one, else a file in that folder."""
    return place if place.suffix == ".npz" else place / f"{name}.npz"


def look_of(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 -> (8, 8, 3) uint8, means of its parts."""
    return np.asarray(Image.fromarray(image).resize((_LOOK, _LOOK), Image.Resampling.BOX))


def write_proposals(
    path: Path, size: tuple[int, int], frames: Iterable[tuple[NDArray[np.uint8], Detections]], about: str = ""
) -> int:
    """Write the cache of one video, whole or not at all.

    Args:
        path: of the npz.
        size: (height, width) of the frames.
        frames: every frame (H, W, 3) uint8 with what was found in it, in order.
        about: words of whoever made it, such as the detector's name.

    Returns:
        How many frames were written.

    Raises:
        OutputError: it cannot be written.
    """
    count = 0
    with writing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for image, found in frames:
            arrays: dict[str, NDArray[Any]] = {
                "boxes": found.boxes.astype(np.float32),
                "masks": found.masks.astype(np.uint8),
                "scores": found.scores.astype(np.float32),
                "labels": found.labels.astype(np.int64),
                "look": look_of(image),
            }
            for name, values in arrays.items():
                _write(file, f"{count:06d}/{name}", values)
            count += 1
        words = {"format": _FORMAT, "height": size[0], "width": size[1], "frames": count, "about": about}
        _write(file, "about", np.frombuffer(json.dumps(words).encode(), np.uint8))
    return count


def _write(file: zipfile.ZipFile, name: str, values: NDArray[Any]) -> None:
    with file.open(f"{name}.npy", "w") as entry:
        np.lib.format.write_array(entry, np.ascontiguousarray(values), allow_pickle=False)


class ProposalCache:
    """A cache that is open for reading; use as a context, or `close` it.

    Args:
        path: of the npz.

    Attributes:
        size: (height, width) of its video's frames.
        frames: how many there are.

    Raises:
        DataError: it is not there, or no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with ExitStack() as stack:
                file = stack.enter_context(path.open("rb"))
                self._arrays = stack.enter_context(np.lib.npyio.NpzFile(file))
                words = json.loads(self._arrays["about"].tobytes())
                if words["format"] != _FORMAT:
                    raise ValueError(f"its format is {words['format']!r}")
                self.size = int(words["height"]), int(words["width"])
                self.frames = int(words["frames"])
                self._open = stack.pop_all()
        except FileNotFoundError as error:
            raise DataError(f"there are no proposals at {path}; make them with `rotoscope propose`") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} is no cache of proposals ({error}); make it with `rotoscope propose`") from error

    def read(self, index: int) -> Detections:
        """What was found in frame `index`, without asking whether it is the right video.

        Raises:
            DataError: there is no such frame, or its arrays are damaged.
        """
        if not 0 <= index < self.frames:
            raise DataError(
                f"{self.path} has proposals for {self.frames} frames, none for frame {index}: they are of another video"
            )
        try:
            boxes, masks, scores, labels = (
                self._arrays[f"{index:06d}/{name}"] for name in ("boxes", "masks", "scores", "labels")
            )
        except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.path} is damaged at frame {index} ({error}); make it anew") from error
        count = len(scores)
        shapes_fit = boxes.shape == (count, 4) and labels.shape == (count,) and masks.shape[1:2] == masks.shape[2:]
        if not shapes_fit or len(masks) != count or masks.ndim != 3 or masks.dtype != np.uint8:
            raise DataError(f"{self.path} is damaged at frame {index} (shapes do not agree); make it anew")
        if not np.isfinite(boxes).all():
            raise DataError(f"{self.path} is damaged at frame {index} (a box is no number); make it anew")
        return Detections(boxes, masks, scores, labels)

    def read_for(self, index: int, image: NDArray[np.uint8]) -> Detections:
        """What was found in a frame.

        Args:
            index: of the frame.
            image: (H, W, 3) uint8, the frame itself.

        Raises:
            DataError: the cache is of another video, or damaged.
        """
        if image.shape[:2] != self.size:
            raise DataError(
                f"{self.path} is of a video of {self.size[1]}x{self.size[0]}, the frames are "
                f"{image.shape[1]}x{image.shape[0]}: it is of another video; make proposals of this one"
            )
        found = self.read(index)
        stored = self._arrays[f"{index:06d}/look"].astype(np.float64)
        apart = float(np.abs(stored - look_of(image)).mean())
        if apart > _ALIKE:
            raise DataError(
                f"{self.path} is of another video: its frame {index} looks different (by {apart:.0f} of 255 levels); "
                f"make proposals of this one"
            )
        return found

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
