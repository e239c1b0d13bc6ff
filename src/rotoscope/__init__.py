"""Rotoscope finds, follows and cuts out objects in ordinary video.

model = rotoscope.load("3dc-seg-mobile")
result = model.segment("clip.mp4")
result.save("out/", format="davis")
result.overlay("clip.mp4", "overlay.mp4")

Importing this package imports nothing else, not even numpy; the names below are fetched when they are first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as `typing` has it, without the time that its import takes

if TYPE_CHECKING:
    from typing import Any

    from rotoscope.errors import RotoscopeError
    from rotoscope.inference.loading import from_published, load
    from rotoscope.inference.model import Model
    from rotoscope.inference.segmentation import Segmentation
    from rotoscope.types import (
        Declaration,
        Frame,
        FrameResult,
        ObjectMask,
        Prompt,
        RunLength,
        Session,
        Track,
        VideoInfo,
    )
    from rotoscope.video import VideoWriter, open_video

__version__ = "0.1.0"

__all__ = [
    "Declaration",
    "Frame",
    "FrameResult",
    "Model",
    "ObjectMask",
    "Prompt",
    "RotoscopeError",
    "RunLength",
    "Segmentation",
    "Session",
    "Track",
    "VideoInfo",
    "VideoWriter",
    "__version__",
    "from_published",
    "load",
    "open_video",
]

_ROOMS = {
    "Declaration": "rotoscope.types",
    "Frame": "rotoscope.types",
    "FrameResult": "rotoscope.types",
    "Model": "rotoscope.inference.model",
    "ObjectMask": "rotoscope.types",
    "Prompt": "rotoscope.types",
    "RotoscopeError": "rotoscope.errors",
    "RunLength": "rotoscope.types",
    "Segmentation": "rotoscope.inference.segmentation",
    "Session": "rotoscope.types",
    "Track": "rotoscope.types",
    "VideoInfo": "rotoscope.types",
    "VideoWriter": "rotoscope.video",
    "from_published": "rotoscope.inference.loading",
    "load": "rotoscope.inference.loading",
    "open_video": "rotoscope.video",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'rotoscope' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return __all__
