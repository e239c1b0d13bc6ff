"""Clips for training: which frames, cut how, as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from rotoscope.data.frame_changes import FrameChanges, changed
from rotoscope.data.tone import Tone
from rotoscope.ops.resize import resize_labels, resize_picture

if TYPE_CHECKING:
    from rotoscope.data.fitted import ClipObjects
    from rotoscope.data.proposals import ClipProposals


@dataclass(frozen=True)
class ClipBatch:
    """Clips and their masks.

    Attributes:
        clips: (B, 3, T, H, W) float32, RGB in [0, 1].
        masks: (B, 1, T, H, W), any number type, 0 background, else the ids of objects, 255 what does not count.
        categories: (B, 256) int64, the category number of each id, 0 where it has none; None where no clip has any.
        proposals: for each clip those of its frames, None where it has none; () where no clip has any.
        objects: for each clip of whole frames its objects, in the top left part of the clip, the rest of which is no
            part of its frames; None for other clips; () where no clip is of whole frames. See `data.fitted`.
    """

    clips: Tensor
    masks: Tensor
    categories: Tensor | None = None
    proposals: tuple[ClipProposals | None, ...] = ()
    objects: tuple[ClipObjects | None, ...] = ()


def released_indices(count: int, start: int, length: int, gap: int, generator: np.random.Generator) -> list[int]:
    """The frames of one training clip, by the released code's rule.

    Args:
        count: frames of the video.
        start: 0-based first candidate.
        length: frames of the clip.
        gap: span of the candidates.
        generator: source of chance.

    Returns:
        `length` sorted indices: as many different candidates as there are, the rest copies of `start`.
    """
    candidates = np.arange(start, min(count, start + max(gap, length)))
    chosen = generator.choice(candidates, min(length, len(candidates)), replace=False)
    return sorted([*chosen.tolist(), *[start] * (length - len(chosen))])


def paper_indices(count: int, start: int, length: int, span: int, generator: np.random.Generator) -> list[int]:
    """The frames of one training clip, as the paper says: `start`, then others within `span`, padded by the last frame.

    Args:
        count: frames of the video.
        start: 0-based first frame, always part of the clip.
        length: frames of the clip.
        span: how far after `start` the others lie.
        generator: source of chance.
    """
    candidates = np.arange(start + 1, min(count, start + span + 1))
    chosen = generator.choice(candidates, min(length - 1, len(candidates)), replace=False)
    return sorted([start, *chosen.tolist(), *[count - 1] * (length - 1 - len(chosen))])


def spaced_indices(count: int, start: int, length: int, span: int, generator: np.random.Generator) -> list[int]:
    """The frames of one training clip, evenly spaced, as STEm-Seg takes them; no chance is used.

    Args:
        count: frames of the video.
        start: 0-based first frame; earlier where the span would not fit after it.
        length: frames of the clip.
        span: from the first to the last frame; at most count - 1.
        generator: not used.
    """
    span = min(span, count - 1)
    start = min(start, count - 1 - span)
    return [int(index) for index in np.round(np.linspace(start, start + span, length))]  # half to even


def drawn_indices(count: int, start: int, length: int, reach: int, generator: np.random.Generator) -> list[int]:
    """The frames of one training clip as VISOLO draws them: any near a frame, in any order, also twice.

    Args:
        count: frames of the video.
        start: 0-based; the candidates lie from `reach` before it to `reach` - 1 after it.
        length: frames of the clip.
        reach: see above.
        generator: source of chance.
    """
    low, high = max(0, start - reach), min(count, start + reach)
    return [int(index) for index in generator.integers(low, high, length)]


def around_indices(count: int, start: int, length: int, width: int, generator: np.random.Generator) -> list[int]:
    """The frames of one training clip as D2Conv3D's code draws them: any around a frame, in their order, also twice.

    Args:
        count: frames of the video.
        start: 0-based; the candidates lie from half of `width` before it to half of `width` - 1 after it.
        length: frames of the clip.
        width: see above.
        generator: source of chance.
    """
    return sorted(drawn_indices(count, start, length, max(1, width // 2), generator))


class Draft(Protocol):
    """A clip that is drawn and read but not yet made: small to send between processes, made on the device it is for."""

    def render(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Make the clip (3, T, H, W) float32 RGB in [0, 1] and its labels (T, H, W) uint8."""
        ...


@dataclass(frozen=True, eq=False)
class CategorisedDraft:
    """A draft whose labels have categories; itself a `Draft`.

    Attributes:
        draft: of the clip.
        categories: label to category number, 1 or more.
    """

    draft: Draft
    categories: Mapping[int, int]

    def render(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """See `Draft.render`."""
        return self.draft.render(device)


@dataclass(frozen=True, eq=False)
class FramesDraft:
    """A window of some frames of a video.

    Attributes:
        frames: (T, h, w, 3) uint8 RGB, cut out already.
        labels: (T, h, w) uint8.
        size: (height, width) of the result.
        mirrored: left and right are exchanged.
        tone: change of colours.
        maps: changes of each frame by itself, see `frame_changes.changed`; None where there are none.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    size: tuple[int, int]
    mirrored: bool = False
    tone: Tone = field(default_factory=Tone)
    maps: NDArray[np.float64] | None = None

    def render(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """See `Draft.render`: antialiased bilinear for the frames, the nearest pixel for the labels."""
        clip = torch.from_numpy(self.frames).to(device).permute(3, 0, 1, 2).float().div_(255)  # (3, T, h, w)
        labels = torch.from_numpy(self.labels).to(device)
        if clip.shape[2:] != self.size:
            clip = functional.interpolate(clip, self.size, mode="bilinear", antialias=True).clamp_(0, 1)
            labels = functional.interpolate(labels[:, None].float(), self.size, mode="nearest-exact")[:, 0].byte()
        if self.mirrored:
            clip, labels = clip.flip(-1), labels.flip(-1)
        if self.maps is not None:
            clip, labels = changed(clip, labels, self.maps)
        return self.tone(clip), labels


class Cutting(Protocol):
    """How the frames of a video become a clip."""

    def draft(self, frames: NDArray[np.uint8], labels: NDArray[np.uint8], generator: np.random.Generator) -> Draft:
        """Draw how one clip is cut.

        Args:
            frames: (T, H, W, 3) uint8 RGB.
            labels: (T, H, W) uint8.
            generator: source of chance.
        """
        ...


@dataclass(frozen=True)
class Augmentation:
    """How a clip is cut out of its frames, the same for all of them.

    Attributes:
        size: (height, width) of the result.
        zoom: range of the enlargement relative to the smallest that fills the result; values below 1 count as 1.
        stretch: largest change of the aspect ratio's root, as a share.
        flip: probability of mirroring.
        reverse: probability of running backwards.
        tone: half width of the ranges that brightness, contrast and each channel's gain are drawn from.
        changes: of each frame by itself; None leaves frames as they are.
    """

    size: tuple[int, int]
    zoom: tuple[float, float] = (0.8, 1.4)
    stretch: float = 0.1
    flip: float = 0.5
    reverse: float = 0.5
    tone: float = 0.15
    changes: FrameChanges | None = None

    def draft(
        self, frames: NDArray[np.uint8], labels: NDArray[np.uint8], generator: np.random.Generator
    ) -> FramesDraft:
        """See `Cutting.draft`."""
        top, left, height, width = self._window(frames.shape[1:3], generator)
        mirrored = bool(generator.random() < self.flip)
        order = slice(None, None, -1 if generator.random() < self.reverse else 1)
        window = (order, slice(top, top + height), slice(left, left + width))
        tone = Tone.draw(self.tone, generator) if self.tone else Tone()
        maps = None if self.changes is None else self.changes.draw(len(frames), self.size, generator)
        return FramesDraft(frames[window].copy(), labels[window].copy(), self.size, mirrored, tone, maps)

    def _window(self, size: Sequence[int], generator: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height, width of a window with about the result's aspect ratio, inside the frame."""
        scale = min(size[0] / self.size[0], size[1] / self.size[1]) / max(1.0, generator.uniform(*self.zoom))
        stretch = generator.uniform(1 - self.stretch, 1 + self.stretch)
        height = min(size[0], max(1, round(self.size[0] * scale * stretch)))
        width = min(size[1], max(1, round(self.size[1] * scale / stretch)))
        top = int(generator.integers(0, size[0] - height + 1))
        left = int(generator.integers(0, size[1] - width + 1))
        return top, left, height, width


@dataclass(frozen=True)
class WholeFrames:
    """Clips that are their frames, brought to one size and otherwise as they are.

    Attributes:
        size: (height, width) of the result.
    """

    size: tuple[int, int]

    def draft(
        self, frames: NDArray[np.uint8], labels: NDArray[np.uint8], generator: np.random.Generator
    ) -> FramesDraft:
        """See `Cutting.draft`."""
        return FramesDraft(frames, labels, self.size, False, Tone(), None)


@dataclass(frozen=True)
class ReleasedCrop:
    """How the released code cuts a clip: every frame by itself, see `resize_short_edge_and_crop`; no other change.

    Frames that have the size already stay as they are.

    Attributes:
        size: (height, width) of the result.
        repair: see `released_crop_intervals`.
    """

    size: tuple[int, int]
    repair: bool = False

    def draft(
        self, frames: NDArray[np.uint8], labels: NDArray[np.uint8], generator: np.random.Generator
    ) -> FramesDraft:
        """See `Cutting.draft`."""
        cropped = [
            resize_short_edge_and_crop(frame, own, self.size, generator, self.repair)
            for frame, own in zip(frames, labels, strict=True)
        ]
        return FramesDraft(np.stack([one[0] for one in cropped]), np.stack([one[1] for one in cropped]), self.size)


def resize_short_edge_and_crop(
    picture: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    size: tuple[int, int],
    generator: np.random.Generator,
    repair: bool = False,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Bring a picture to a size as the released code does for training.

    Its short edge becomes that of `size`, then a window around the object is cut out. Where that comes out smaller it
    is stretched to the size, whatever the aspect ratio. Bilinear for the picture, the nearest pixel for the labels.

    Args:
        picture: (h, w, 3) uint8 RGB.
        labels: (h, w) uint8; everything above 0 is one object.
        size: (height, width) of the result.
        generator: source of chance.
        repair: see `released_crop_intervals`.

    Returns:
        (H, W, 3) uint8, (H, W) uint8; views of the input where nothing has to be done.
    """
    height, width = labels.shape
    scale = min(size) / min(height, width)
    whole = round(height * scale), round(width * scale)  # round() is half to even
    picture, labels = resize_picture(picture, whole), resize_labels(labels, whole)
    rows, columns = _ends(labels.any(axis=1)), _ends(labels.any(axis=0))
    intervals = released_crop_intervals(whole, rows, columns, size, repair)
    top, left = (int(low + (high - low) * generator.random()) for low, high in intervals)  # reversed or not
    window = (slice(top, top + size[0]), slice(left, left + size[1]))
    return resize_picture(picture[window], size), resize_labels(labels[window], size)


def _ends(line: ArrayLike) -> tuple[int, int]:
    """First and last place that is set, (0, 0) where none is."""
    found = np.flatnonzero(line)
    return (int(found[0]), int(found[-1])) if len(found) else (0, 0)


def released_crop_intervals(
    size: Sequence[int], rows: Sequence[int], columns: Sequence[int], crop: Sequence[int], repair: bool = False
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Where the released code draws the top and left corner of a training crop around the object.

    Args:
        size: (height, width) of the picture.
        rows: first and last row of the object.
        columns: first and last column of the object.
        crop: (height, width) of the crop.
        repair: use the object's first column for the upper bound of the left corner; the released code takes its last
            column again, by mistake.

    Returns:
        Closed intervals for top and left; the bounds may be reversed.
    """
    column = columns[0] if repair else columns[1]
    top = max(0, rows[1] - crop[0]), min(max(0, size[0] - crop[0]), rows[0])
    left = max(0, columns[1] - crop[1]), min(max(0, size[1] - crop[1]), column)
    return top, left
