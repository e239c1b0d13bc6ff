"""What the network says of a video's places: embeddings as colours, seediness, and the instances that come of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from rotoscope.errors import OptionError
from rotoscope.figures import Picture
from rotoscope.masks.png import voc_palette
from rotoscope.models.contract import Analysis, Findings, Subject
from rotoscope.models.stem_seg.fit import FrameFit
from rotoscope.models.stem_seg.labelling import Labelled, Labeller
from rotoscope.models.stem_seg.maps import STRIDE
from rotoscope.models.stem_seg.network import StemSeg
from rotoscope.models.stem_seg.options import EmbeddingOptions

Rgb = NDArray[np.uint8]

_WIDTH, _GAP, _HEADER = 360, 4, 24
_GROUND, _BRIGHT = (24, 26, 30), (232, 232, 232)
_COLUMNS = ("frame", "embeddings", "seediness", "instances")
_DIM = 0.25  # of the colours of what is background
_ENDS = (0.02, 0.98)  # shares of the places between which colours spread
_SAMPLE = 20_000  # places that decide the colours
_OUTLIER = (255, 255, 255)


@dataclass(frozen=True)
class PlacesOptions:
    """Of the analysis of embeddings.

    Attributes:
        frames: so many are shown, spread evenly over the video.
        at: indices of the frames that are shown instead, from 0.
    """

    frames: int = 5
    at: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= 24:
            raise OptionError(f"frames {self.frames}: expected 1 to 24")
        if len(self.at) > 24 or any(index < 0 for index in self.at):
            raise OptionError(f"at {list(self.at)}: expected at most 24 indices of frames, counted from 0")


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """One frame that is shown, all without padding.

    Attributes:
        image: (H, W, 3) of the video.
        labels: (h, w) int32, of labels.
        embeddings: (E, h', w').
        seediness: (h', w').
        foreground: (h', w') bool.
    """

    image: Rgb
    labels: NDArray[np.int32]
    embeddings: Tensor
    seediness: Tensor
    foreground: Tensor


def places(subject: Subject[EmbeddingOptions], options: PlacesOptions) -> Findings:
    """Look at embeddings, seediness and instances of some frames.

    Embeddings become colours by their three main directions over the foreground of all frames shown, so that a colour
    is the same place of the embedding in each of them.

    Raises:
        OptionError: the video has no such frame; the network is another system's.
    """
    if not isinstance(subject.network, StemSeg):
        raise OptionError(f"embeddings of clips are STEm-Seg's, not those of a {type(subject.network).__name__}")
    wanted = _wanted(subject, options)
    shown = _run(subject.network, subject, wanted)
    pictures = _coloured(list(shown.values()))
    rows = [
        [one.image, picture, _grey(one.seediness), _over(one.image, one.labels)]
        for one, picture in zip(shown.values(), pictures, strict=True)
    ]
    numbers: dict[str, Any] = {"frames": [{"frame": index, **_numbers(one)} for index, one in shown.items()]}
    return Findings(numbers, {"places": Picture(_sheet(rows, list(shown)))})


def _wanted(subject: Subject[EmbeddingOptions], options: PlacesOptions) -> list[int]:
    count = sum(1 for _ in subject.frames())  # what a container says of its length is not trusted
    beyond = [index for index in options.at if index >= count]
    if beyond:
        raise OptionError(f"the video has no frame {beyond[0]}; it has {count}")
    if options.at:
        return sorted(set(options.at))
    return sorted({round(index) for index in np.linspace(0, count - 1, options.frames)})


def _run(network: StemSeg, subject: Subject[EmbeddingOptions], wanted: Sequence[int]) -> dict[int, _Shown]:
    options = subject.options
    fit = FrameFit.of(subject.info.size, options.size, options.full_size)
    labeller, images, shown = Labeller(network, options), dict[int, Rgb](), dict[int, _Shown]()

    def take(frames: Sequence[Labelled]) -> None:
        shown.update({one.index: _cut(one, images.pop(one.index), fit) for one in frames if one.index in images})

    for place, frame in enumerate(subject.frames()):
        if place in wanted:
            images[place] = frame.image
        take(labeller.push(fit.pixels(frame.image, options.antialias).to(subject.device)))
    take(labeller.finish())
    return shown


def _cut(frame: Labelled, image: Rgb, fit: FrameFit) -> _Shown:
    """A frame's maps without the padding, and nothing that holds more of them."""
    height, width = (math.ceil(side / STRIDE) for side in fit.resized)
    high, wide = fit.resized if fit.full_size else (height, width)
    labels = frame.labels[:high, :wide]
    step = STRIDE if fit.full_size else 1
    return _Shown(
        image,
        labels.cpu().numpy().copy(),
        frame.embeddings[:, :height, :width].cpu().clone(),
        frame.seediness[:height, :width].cpu().clone(),
        (labels != 0)[::step, ::step].cpu(),
    )


def _coloured(shown: Sequence[_Shown]) -> list[Rgb]:
    """Embeddings as colours, with the background dimmed."""
    inside = torch.cat([one.embeddings[:, one.foreground] for one in shown], dim=1)
    if inside.shape[1] < 2:
        inside = torch.cat([one.embeddings.flatten(1) for one in shown], dim=1)
    inside = inside[:, :: max(1, inside.shape[1] // _SAMPLE)].double()
    middle = inside.mean(dim=1, keepdim=True)
    _, directions = torch.linalg.eigh((inside - middle) @ (inside - middle).T)  # columns, the main one last
    main = directions.flip(1)[:, :3].T  # (up to 3, E)
    line = main @ (inside - middle)
    low, high = (torch.quantile(line, share, dim=1)[:, None] for share in _ENDS)
    pictures = []
    for one in shown:
        values = (main @ (one.embeddings.flatten(1).double() - middle) - low) / (high - low).clamp(min=1e-6)
        colours = torch.full((3, values.shape[1]), 0.5, dtype=torch.float64)
        colours[: len(values)] = values.clamp(0, 1)
        colours *= torch.where(one.foreground.flatten(), 1.0, _DIM)
        image = (255 * colours).round().to(torch.uint8).view(3, *one.seediness.shape)
        pictures.append(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    return pictures


def _grey(values: Tensor) -> Rgb:
    """(h, w) in [0, 1] -> (h, w, 3)."""
    grey = (255 * values.clamp(0, 1)).round().to(torch.uint8).numpy()
    return np.ascontiguousarray(np.broadcast_to(grey[..., None], (*grey.shape, 3)))


def _over(image: Rgb, labels: NDArray[np.int32]) -> Rgb:
    """Instances in colours over the frame, what belongs to none in white."""
    rows, columns = (
        (np.arange(side) * count // side) for side, count in zip(image.shape[:2], labels.shape, strict=True)
    )
    large = labels[rows[:, None], columns]  # (H, W)
    # 0 of the palette is the background's.
    colours = voc_palette()[np.where(large > 0, (large - 1) % 255 + 1, 0)]
    colours = np.where((large < 0)[..., None], np.array(_OUTLIER, np.uint8), colours)
    mixed = (image.astype(np.uint16) + 2 * colours.astype(np.uint16)) // 3
    return np.where((large != 0)[..., None], mixed, image).astype(np.uint8)


def _numbers(one: _Shown) -> dict[str, Any]:
    labels, counts = np.unique(one.labels, return_counts=True)
    found = dict(zip(labels.tolist(), counts.tolist(), strict=True))
    return {
        "instances": {str(label): count for label, count in found.items() if label > 0},
        "foreground": round(float((one.labels != 0).mean()), 6),
        "outliers": found.get(-1, 0),
        "highest seediness": round(float(one.seediness.max()), 6),
    }


def _sheet(rows: Sequence[Sequence[Rgb]], indices: Sequence[int]) -> Rgb:
    """Rows of pictures, a frame each, under the names of the columns."""
    height, width = rows[0][0].shape[:2]
    cell = _WIDTH, max(8, min(2 * _WIDTH, round(_WIDTH * height / width)))
    size = (len(_COLUMNS) * (cell[0] + _GAP) + _GAP, _HEADER + len(rows) * (cell[1] + _GAP) + _GAP)
    sheet = Image.new("RGB", size, _GROUND)
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(_COLUMNS):
        draw.text((_GAP + column * (cell[0] + _GAP), _HEADER // 2), name, fill=_BRIGHT, anchor="lm")
    for row, (pictures, index) in enumerate(zip(rows, indices, strict=True)):
        for column, picture in enumerate(pictures):
            method = Image.Resampling.NEAREST if column else Image.Resampling.BILINEAR
            at = _GAP + column * (cell[0] + _GAP), _HEADER + row * (cell[1] + _GAP)
            sheet.paste(Image.fromarray(picture).resize(cell, method), at)
            if not column:
                draw.text((at[0] + 6, at[1] + 12), str(index), fill=_BRIGHT, anchor="lm", stroke_width=2, stroke_fill=0)
    return np.asarray(sheet)


ANALYSES = {
    "embeddings": Analysis("embeddings as colours, seediness and instances of some frames", places, PlacesOptions),
}
