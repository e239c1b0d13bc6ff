"""Detectors beside a model: opening one, giving it to a system that matches proposals, and caches of what it finds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rotoscope.errors import OptionError, VideoError
from rotoscope.inference.pipeline import Progress, Report
from rotoscope.masks.proposal_cache import Detections, write_proposals
from rotoscope.video import Video, read_ahead

if TYPE_CHECKING:
    import torch

    from rotoscope.inference.model import Model


class Detector(Protocol):
    """Finds objects in single pictures."""

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """(H, W, 3) uint8 RGB -> what is in it."""
        ...


def open_detector(path: Path, device: torch.device) -> Detector:
    """Open the detector whose weights are in a file.

    Args:
        path: torchvision's Mask R-CNN R50-FPN of COCO.
        device: where it is to run.

    Raises:
        WeightsError: the file is not there, unsafe, or of something else.
    """
    from rotoscope.inference.checkpoint import naming, read_checkpoint
    from rotoscope.models.picture_detector import PictureDetector
    from rotoscope.models.published import flat_state

    with naming(path):
        return PictureDetector.from_published(flat_state(read_checkpoint(path)), device)


def with_detector(model: Model, detector: Detector) -> Model:
    """Give a model a detector for proposals "built-in", which it then has.

    Raises:
        OptionError: its system matches no proposals.
    """
    if not hasattr(model.network, "detector"):
        raise OptionError(f"{model.name} is of {model.system.name}, which matches no proposals; leave out --detector")
    model.network.detector = detector  # type: ignore[assignment]
    return model.with_options(proposals="built-in")


def propose(video: Video, detector: Detector, path: Path, about: str, progress: Report | None = None) -> int:
    """Write the proposals of every frame of a video.

    Args:
        video: read from its start.
        detector: see `Detector`.
        path: of the npz.
        about: words on the detector, kept in the cache.
        progress: called after every frame with a `Progress`.

    Returns:
        How many frames it has.

    Raises:
        VideoError: the video cannot be read or has no frame.
        OutputError: the cache cannot be written.
    """
    start = time.monotonic()

    def found() -> Iterator[tuple[NDArray[np.uint8], Detections]]:
        count = 0
        for count, frame in enumerate(read_ahead(video), start=1):
            yield frame.image, detector.detect(frame.image)
            if progress is not None:
                progress(Progress(count, video.info.frame_count, time.monotonic() - start))
        if count == 0:
            raise VideoError(f"{video.source} has no frame; nothing was proposed")

    return write_proposals(path, video.info.size, found(), about)
