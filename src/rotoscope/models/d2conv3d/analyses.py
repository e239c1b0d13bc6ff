"""The supplement's two figures, and the sizes beside them, on any video (spec section 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rotoscope.errors import OptionError
from rotoscope.figures import Block, Figure, Maps
from rotoscope.models.clip_fit import ClipFit
from rotoscope.models.clip_reading import Clip
from rotoscope.models.contract import Analysis, Findings, Subject
from rotoscope.models.d2conv3d.analysis import LayerLook, looked
from rotoscope.models.d2conv3d.bounds import BoundsOptions, bounds, clips_of, joined_bounds, require_layers, short_name
from rotoscope.models.d2conv3d.options import GapOptions

TIMES = ("previous", "current", "next")  # the kernel's three steps in time
REGIONS = ("object", "boundary", "background")
_AXES = ("time", "rows", "columns")


@dataclass(frozen=True)
class MapOptions:
    """Of the analyses that draw maps of one frame.

    Attributes:
        frame: which one, from 0; None for the middle one.
        layers: those whose names hold one of these words; () for all.
        low, high: ends of the scale; None for the least and the greatest value of a layer.
    """

    frame: int | None = None
    layers: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, eq=False)
class _Scene:
    """One frame, the clip around it, and what the layers did there.

    Attributes:
        frame: its index in the video.
        place: its place in the clip.
        clip: the clip.
        fit: how frames went into the network.
        looks: by the layer's name.
        logits: (T, >= h, >= w) of the clip.
    """

    frame: int
    place: int
    clip: Clip
    fit: ClipFit
    looks: dict[str, LayerLook]
    logits: Tensor

    def step(self, maps: Tensor) -> tuple[int, int]:
        """Of (N, K, t, h, w) maps: which step in time is the frame's, and how many frames a step is."""
        frames, steps = len(self.clip.indices), maps.shape[2]
        return min(steps - 1, self.place * steps // frames), max(1, frames // steps)

    def shown(self, maps: Tensor) -> NDArray[np.float32]:
        """(K, h, w) at a layer's resolution -> (K, H, W) of the picture, cells as they are."""
        full = functional.interpolate(maps[None].float(), size=self.fit.padded, mode="nearest-exact")[0]
        return self.fit.without_padding(full).cpu().numpy()

    def picture(self, place: int) -> NDArray[np.uint8]:
        """(H, W, 3) of a frame of the clip; black where the clip has none, as the network sees it."""
        if not 0 <= place < len(self.clip.indices):
            return np.zeros((*self.fit.size, 3), np.uint8)
        return self.fit.without_padding(self.clip.pixels[0, :, place]).permute(1, 2, 0).numpy()

    def name(self, place: int) -> str:
        """Of a frame of the clip, in words."""
        inside = 0 <= place < len(self.clip.indices)
        return f"frame {self.clip.indices[place]}" if inside else "outside the clip"


def modulation(subject: Subject[GapOptions], options: MapOptions) -> Findings:
    """How much every kernel point counts at every place of a frame (supplement, Figure 2).

    Raises:
        OptionError: the network has no such layer, or the video no such frame.
    """
    scene = _scene(subject, options)
    found = {name: seen.modulation for name, seen in scene.looks.items()}
    layers = {name: maps for name, maps in found.items() if maps is not None and maps.shape[1] == 27}
    if not layers:
        raise OptionError("the layers of this network have no modulation for each of 27 kernel points")
    numbers: dict[str, Any] = {}
    figures: dict[str, Figure] = {}
    for name, maps in layers.items():
        step, stride = scene.step(maps)
        here = maps[0, :, step].float()  # (27, h, w)
        numbers[name] = {
            "mean_of_points": [_rounded(value) for value in here.mean(dim=(1, 2))],
            "mean_in": _by_region(here, _regions(scene, here.shape[1:])),
        }
        values = scene.shown(here)
        values = values.reshape(3, 3, 3, *values.shape[1:])  # (time, rows, columns, H, W)
        places = [scene.place + shift * stride for shift in (-1, 0, 1)]
        blocks = [
            Block(f"{time.capitalize()}: {scene.name(place)}", block, (), scene.picture(place))
            for time, block, place in zip(TIMES, values, places, strict=True)
        ]
        low, high = _scale(values, options, (0.0, 1.0))
        figures[short_name(name)] = Maps(
            f"Modulation of the 27 kernel points of {short_name(name)}",
            blocks,
            low,
            high,
            mark=(0.5, "start"),
            note=f"{subject.info.name}, frame {scene.frame}. Blocks: the kernel in time; in a block: its rows and "
            "columns. A map: how much that point counts, by output place.",
        )
    return Findings({**_where(subject, scene), "layers": numbers}, figures)


def dilation(subject: Subject[GapOptions], options: MapOptions) -> Findings:
    """How far the kernel is stretched along time, rows and columns at every place of a frame.

    Raises:
        OptionError: the network has no such layer, or the video no such frame.
    """
    scene = _scene(subject, options)
    layers = {name: seen.sizes for name, seen in scene.looks.items() if seen.sizes is not None}
    if not layers:
        raise OptionError("the layers of this network move their points freely; they have no sizes")
    numbers: dict[str, Any] = {}
    figures: dict[str, Figure] = {}
    for name, maps in layers.items():
        step, _ = scene.step(maps)
        here = maps[0, :, step].float()  # (3, h, w)
        regions = _regions(scene, here.shape[1:])
        numbers[name] = {
            axis: {"mean": _rounded(values.mean()), "least": _rounded(values.min()), "most": _rounded(values.max())}
            | {"mean_in": {region: _mean(values, inside) for region, inside in regions.items()}}
            for axis, values in zip(_AXES, here, strict=True)
        }
        values = scene.shown(here)
        low, high = _scale(values, options, (0.0, 2.0))
        figures[short_name(name)] = Maps(
            f"Dilation of the kernel of {short_name(name)}",
            [
                Block(f"Along {axis}", one[None, None], (), scene.picture(scene.place))
                for axis, one in zip(_AXES, values, strict=True)
            ],
            low,
            high,
            mark=(1.0, "plain"),
            note=f"{subject.info.name}, frame {scene.frame}. 1 is the plain convolution, 0 a kernel on one point.",
        )
    return Findings({**_where(subject, scene), "layers": numbers}, figures)


def _scene(subject: Subject[GapOptions], options: MapOptions) -> _Scene:
    """Run the clip that has the frame nearest to its middle."""
    require_layers(subject, options.layers)
    frame = options.frame
    if frame is None:
        frame = max(0, sum(1 for _ in subject.frames()) - 1) // 2
    if frame < 0:
        raise OptionError(f"frame {frame} asked for; frames are counted from 0")
    fit = ClipFit.of(subject.info.size, subject.options)
    best: Clip | None = None
    for clip in clips_of(subject, fit):
        if best is not None and clip.nearest(frame) >= best.nearest(frame):
            break
        best = clip if clip.nearest(frame) < float("inf") else best
    if best is None:
        raise OptionError(f"frame {frame} asked for, but {subject.info.name} ends before it; frames are counted from 0")
    looks, logits = looked(subject.network, best.pixels.to(subject.device))
    kept = {
        name: seen for name, seen in looks.items() if not options.layers or any(word in name for word in options.layers)
    }
    return _Scene(frame, best.indices.index(frame), best, fit, kept, logits[0, 0])


def _regions(scene: _Scene, size: Sequence[int]) -> dict[str, Tensor]:
    """Which (h, w) cells of a layer lie in the found object, on its boundary (a cell to each side), or outside."""
    height, width = scene.fit.padded
    found = (scene.logits[scene.place, :height, :width] > 0).float()[None, None]
    coarse = (functional.adaptive_avg_pool2d(found, (size[0], size[1])) >= 0.5).float()
    most = functional.max_pool2d(coarse, 3, 1, 1)[0, 0] > 0
    least = functional.max_pool2d(1 - coarse, 3, 1, 1)[0, 0] > 0
    boundary, inside = most & least, coarse[0, 0] > 0
    return dict(zip(REGIONS, (inside & ~boundary, boundary, ~inside & ~boundary), strict=True))


def _by_region(maps: Tensor, regions: Mapping[str, Tensor]) -> dict[str, dict[str, float | None]]:
    """(27, h, w) -> the mean of each time's nine points in each region, None where it is empty."""
    times = maps.reshape(3, 9, *maps.shape[1:]).mean(dim=1)  # (3, h, w)
    return {
        time: {region: _mean(values, inside) for region, inside in regions.items()}
        for time, values in zip(TIMES, times, strict=True)
    }


def _mean(values: Tensor, where: Tensor) -> float | None:
    return _rounded(values[where].mean()) if bool(where.any()) else None


def _rounded(value: Tensor) -> float:
    return round(float(value), 5)


def _scale(values: NDArray[np.float32], options: MapOptions, usual: tuple[float, float]) -> tuple[float, float]:
    """The ends of the scale; the usual ones where all values are the same."""
    least, most = float(values.min()), float(values.max())
    if most - least < 1e-3:
        least, most = usual
    low = least if options.low is None else options.low
    high = most if options.high is None else options.high
    if not high > low:
        raise OptionError(f"the scale goes from {low:g} to {high:g}; let high lie above low")
    return low, high


def _where(subject: Subject[GapOptions], scene: _Scene) -> dict[str, Any]:
    return {"video": subject.info.name, "frame": scene.frame, "clip": scene.clip.indices}


ANALYSES: Mapping[str, Analysis] = {
    "modulation": Analysis(
        "how much every kernel point counts on a frame (supplement, Figure 2)", modulation, MapOptions
    ),
    "dilation": Analysis("how far kernels are stretched on a frame", dilation, MapOptions),
    "bounds": Analysis(
        "share of samples outside the volume, by layer (supplement, Figure 1)",
        bounds,
        BoundsOptions,
        plotted=True,
        joined=joined_bounds,
    ),
}
