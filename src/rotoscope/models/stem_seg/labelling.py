"""A video's frames into label maps: network, means over clips, clusters, chains. Works on maps, knows no file or mask.

What is kept has a bound: features of the frames that a clip to come may need, and maps of the clips that wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rotoscope.models.stem_seg.chaining import Chainer
from rotoscope.models.stem_seg.embedding import free_bandwidths
from rotoscope.models.stem_seg.features import FeatureRing
from rotoscope.models.stem_seg.fit import quadrupled
from rotoscope.models.stem_seg.network import StemSeg
from rotoscope.models.stem_seg.options import EmbeddingOptions
from rotoscope.models.stem_seg.schedule import Schedule


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One frame.

    Attributes:
        index: position among the frames given.
        labels: (h, w) int32, 0 background, -1 foreground that belongs to no instance, 1 and more the instances.
        foreground: (h, w) float, the probability (or seediness) that decided what is foreground.
        classes: (C, h', w') float logits of the categories, the background first, h' and w' a quarter of the padded
            frame; None where the network has none.
        embeddings: (E, h', w') of the clip that gave the labels.
        seediness: (h', w') of the same.
    """

    index: int
    labels: Tensor
    foreground: Tensor
    classes: Tensor | None
    embeddings: Tensor
    seediness: Tensor


@dataclass(slots=True, eq=False)
class _Sum:
    """A mean that grows."""

    total: Tensor
    count: int = 1

    def add(self, value: Tensor) -> None:
        self.total = self.total + value
        self.count += 1

    @property
    def mean(self) -> Tensor:
        return self.total / self.count


@dataclass(slots=True, eq=False)
class _Merged:
    """What the clips so far say of one frame: seediness (h, w), and logits (C + 1, h, w) with the foreground's last."""

    seediness: _Sum | None = None
    logits: _Sum | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Clip:
    """Maps of one clip, each frame once: (E, T, h, w), (E - F, T, h, w), (T, h, w)."""

    embeddings: Tensor
    bandwidths: Tensor
    seediness: Tensor


class Labeller:
    """Labels the frames of one video.

    Args:
        network: in eval mode.
        options: see there.

    Raises:
        OptionError: `free_dim_stds` are not as many as the network's free dimensions.
    """

    def __init__(self, network: StemSeg, options: EmbeddingOptions) -> None:
        self._network, self._options = network, options
        self._schedule = Schedule(options.clip, options.overlap, options.patient)
        free = free_bandwidths(options.free_dim_stds, network.free).to(next(network.parameters()).device)
        self._chainer = Chainer(free, options.rules, options.least_overlap)
        self._features = FeatureRing(options.clip)
        self._merged: dict[int, _Merged] = {}
        self._clips: deque[_Clip] = deque()

    @property
    def held(self) -> int:
        """Frames of which features or maps are kept."""
        return len({*self._features.frames, *self._merged})

    @torch.inference_mode()
    def push(self, pixels: Tensor) -> list[Labelled]:
        """Take the next frame, (3, h, w) as the network takes it; answer those that are final, in order."""
        self._features.push(self._network.features(pixels[None]))  # (1, C, h, w) each
        return self._answers(self._schedule.push())

    @torch.inference_mode()
    def finish(self) -> list[Labelled]:
        """Answer the rest."""
        answers = self._answers(self._schedule.finish())
        self._features.clear()
        return answers

    def forget(self) -> None:
        """Let go of everything."""
        self._features.clear()
        self._merged.clear()
        self._clips.clear()

    def _answers(self, clip: Sequence[int] | None) -> list[Labelled]:
        if clip is not None:
            self._look(clip)
        answers = [one for frames in self._schedule.settled() for one in self._label(frames, self._clips.popleft())]
        for index in [index for index in self._merged if index < self._schedule.needed_from]:
            del self._merged[index]
        return answers

    def _look(self, frames: Sequence[int]) -> None:
        """Send a clip through the heads; add what they say to its frames."""
        maps = self._network.heads(self._features.clip(frames))
        seediness = maps.seediness[0, 0].float()  # (T, h, w)
        logits = None
        if maps.classes is not None and maps.foreground is not None:
            logits = torch.cat([maps.classes[0], maps.foreground[0]]).float()  # (C + 1, T, h, w)
        places = {index: place for place, index in enumerate(frames)}  # of a frame that is repeated, the last place
        for index, place in places.items():
            merged = self._merged.setdefault(index, _Merged())
            merged.seediness = _added(merged.seediness, seediness[place])
        if logits is not None:
            for place, index in enumerate(frames):
                merged = self._merged[index]
                merged.logits = _added(merged.logits, logits[:, place])
        chosen = list(places.values())
        self._clips.append(
            _Clip(
                maps.embeddings[0, :, chosen].float(),
                maps.bandwidths[0, :, chosen].float(),
                seediness[chosen],
            )
        )

    def _label(self, frames: Sequence[int], clip: _Clip) -> list[Labelled]:
        """Find a clip's instances."""
        probabilities, masks = {}, {}
        for index in frames:
            probabilities[index], threshold = self._foreground(self._merged[index])
            masks[index] = probabilities[index] > threshold
        columns: list[tuple[Tensor, Tensor, Tensor]] = []
        for place, index in enumerate(frames):
            maps = (clip.embeddings[:, place], clip.bandwidths[:, place], clip.seediness[None, place])
            mask = masks[index]
            embeddings, bandwidths, seediness = (self._sized(one)[:, mask] for one in maps)
            columns.append((embeddings, bandwidths, seediness[0]))
        fresh = self._chainer.step(masks, *(torch.cat(parts, dim=-1) for parts in zip(*columns, strict=True)))
        answers = []
        for place, index in enumerate(frames):
            if index in fresh:
                logits = self._merged[index].logits
                classes = None if logits is None else logits.mean[:-1]
                probability, embeddings = probabilities[index], clip.embeddings[:, place]
                answers.append(Labelled(index, fresh[index], probability, classes, embeddings, clip.seediness[place]))
        return answers

    def _foreground(self, merged: _Merged) -> tuple[Tensor, float]:
        """(h, w) and the threshold."""
        if merged.logits is not None:
            return self._sized(merged.logits.mean[-1:])[0].sigmoid(), self._options.foreground
        if merged.seediness is None:
            raise AssertionError("a frame became final without a prediction")
        return self._sized(merged.seediness.mean[None])[0], self._options.foreground_seediness

    def _sized(self, maps: Tensor) -> Tensor:
        """(C, h, w) -> the same at the size of labels."""
        return quadrupled(maps) if self._options.full_size else maps


def _added(total: _Sum | None, value: Tensor) -> _Sum:
    if total is None:
        return _Sum(value)
    total.add(value)
    return total
