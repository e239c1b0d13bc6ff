"""Samples by number, drawn by worker processes, made into batches on the device that trains.

Sample n of a training is the same whatever the number of workers and processes, and whether the training was resumed:
its source and its chance come from the seed and n alone.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset

from rotoscope.data.clips import CategorisedDraft, ClipBatch, Draft
from rotoscope.data.fitted import ClipObjects, FittedDraft
from rotoscope.data.proposals import ProposedDraft
from rotoscope.data.sources import ClipSource, GrowingClips
from rotoscope.errors import DataError

Mixing = Literal["drawn", "counted"]


class Mixture:
    """Several sources, each drawn from as often as its weight says.

    A single source is gone through epoch by epoch, every clip once, in an order drawn for each epoch. With several,
    source and clip are drawn for each sample, or all samples are counted out before: see `counted_out`.

    Args:
        sources: where clips come from.
        weights: one for each, 0 or more.
        seed: of all chance.
        samples: of the whole training, for sources that change as it goes on; 0: they are as at its end.
        mixing: "drawn", or "counted": the clips of all samples are counted out, then shuffled.

    Raises:
        DataError: no source, or weights that do not fit.
    """

    def __init__(
        self,
        sources: Sequence[ClipSource],
        weights: Sequence[float],
        seed: int = 0,
        samples: int = 0,
        mixing: Mixing = "drawn",
    ) -> None:
        if not sources or len(sources) != len(weights) or min(weights) < 0 or not sum(weights) > 0:
            raise DataError(f"{len(sources)} sources of clips with the weights {list(weights)}; none can be drawn from")
        used = [(source, weight) for source, weight in zip(sources, weights, strict=True) if weight > 0]
        self._sources = [source for source, _ in used]
        self._shares = np.array([weight for _, weight in used]) / sum(weight for _, weight in used)
        self._seed, self._mixing = seed, mixing
        self._counted: NDArray[np.int64] | None = None
        self.samples = samples

    def __len__(self) -> int:
        """Count the clips of an epoch: those of all sources."""
        return sum(len(source) for source in self._sources)

    def draw(self, sample: int) -> Draft:
        """Draw sample number `sample`, from 0 on without end."""
        generator = np.random.default_rng([self._seed, sample])
        if len(self._sources) == 1:
            source = self._now(self._sources[0], sample)
            epoch, place = divmod(sample, len(source))
            return source.draw(int(self._order(epoch)[place]), generator)
        if self._mixing == "counted":
            which, place = self._counted_at(sample)
            return self._now(self._sources[which], sample).draw(place, generator)
        source = self._now(self._sources[int(generator.choice(len(self._sources), p=self._shares))], sample)
        return source.draw(int(generator.integers(len(source))), generator)

    def _now(self, source: ClipSource, sample: int) -> ClipSource:
        if not isinstance(source, GrowingClips):
            return source
        return source.at(sample / self.samples if self.samples else 1.0)

    def _counted_at(self, sample: int) -> tuple[int, int]:
        """Source and clip of a sample; after the last one they begin again."""
        total = max(1, self.samples)
        if self._counted is None or len(self._counted) != total:
            sizes = [len(source) for source in self._sources]
            found = counted_out(sizes, self._shares.tolist(), total)
            order = np.random.default_rng([self._seed, 1]).permutation(len(found))
            self._counted = found[np.resize(order, total)]  # rounded numbers may not sum to it
        which, place = self._counted[sample % total].tolist()
        return which, place

    def _order(self, epoch: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.random.default_rng([self._seed, epoch, 1]).permutation(len(self))


def counted_out(sizes: Sequence[int], weights: Sequence[float], total: int) -> NDArray[np.int64]:
    """How many clips of each source a training sees, and which: as STEm-Seg's published code counts them.

    A source gives round(weight * total) samples: itself as often as it fits in whole, then clips spaced evenly. Of a
    larger source only the first clips are ever seen, though the code was meant to draw them.

    Args:
        sizes: clips of each source.
        weights: shares, their sum is 1.
        total: samples.

    Returns:
        (about total, 2): source and clip, in order.
    """
    parts = []
    for source, (size, weight) in enumerate(zip(sizes, weights, strict=True)):
        whole, rest = divmod(round(weight * total), size)
        spaced = np.round(np.linspace(0, size - 1, rest)) if whole else np.arange(rest)
        clips = np.concatenate([np.tile(np.arange(size), whole), spaced]).astype(np.int64)
        parts.append(np.stack([np.full(len(clips), source), clips], axis=1))
    return np.concatenate(parts)


class _Samples(Dataset[Draft]):
    def __init__(self, mixture: Mixture) -> None:
        self._mixture = mixture

    def __getitem__(self, sample: int) -> Draft:
        return self._mixture.draw(sample)


def loader(
    mixture: Mixture, first: int, last: int, batch: int, rank: int = 0, ranks: int = 1, workers: int = 0
) -> Iterator[list[Draft]]:
    """Draw batches of drafts; this process takes its share of every `batch * ranks` samples.

    Args:
        mixture: where samples come from.
        first: batch to begin with.
        last: batch to end before.
        batch: samples of a batch in this process.
        rank: of this process.
        ranks: number of processes.
        workers: processes that draw; 0 draws when a batch is asked for.
    """
    numbers = [
        range((number * ranks + rank) * batch, (number * ranks + rank + 1) * batch) for number in range(first, last)
    ]
    if not workers:
        return ([mixture.draw(sample) for sample in batch_numbers] for batch_numbers in numbers)
    # Tensors of drafts are small numpy arrays; they travel pickled, so no file handles are shared or kept.
    return iter(
        DataLoader(
            _Samples(mixture),
            batch_sampler=numbers,  # type: ignore[arg-type]  # ranges are sequences of numbers
            num_workers=workers,
            collate_fn=list,
            worker_init_fn=_begin_worker,
        )
    )


def _begin_worker(worker: int) -> None:
    """One thread, and deaf to what ends a training: a terminal and a job scheduler tell every process of the group.

    The main process finishes its step first, which may need another batch, and then ends the workers.
    """
    torch.set_num_threads(1)
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def made(drafts: Sequence[Draft], device: torch.device | str = "cpu") -> ClipBatch:
    """Make a batch of clips, channels-last in memory; smaller ones are padded with black on the right and below."""
    clips, labels = zip(*(draft.render(device) for draft in drafts), strict=True)
    stacked = _stacked(clips).contiguous(memory_format=torch.channels_last_3d)
    proposals = tuple(draft.proposals if isinstance(draft, ProposedDraft) else None for draft in drafts)
    objects = tuple(_objects(draft, stacked.device) for draft in drafts)
    return ClipBatch(
        stacked,
        _stacked(labels)[:, None],
        _categories(drafts, stacked.device),
        proposals if any(proposals) else (),
        objects if any(one is not None for one in objects) else (),
    )


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """(..., h, w) of several sizes -> (B, ..., H, W)."""
    if len({part.shape for part in parts}) == 1:
        return torch.stack(tuple(parts))
    height, width = (max(part.shape[axis] for part in parts) for axis in (-2, -1))
    return torch.stack([pad(part, (0, width - part.shape[-1], 0, height - part.shape[-2])) for part in parts])


def _objects(draft: Draft, device: torch.device) -> ClipObjects | None:
    """See `ClipBatch.objects`."""
    inner = draft.draft if isinstance(draft, CategorisedDraft) else draft
    return inner.objects.to(device) if isinstance(inner, FittedDraft) else None


def _categories(drafts: Sequence[Draft], device: torch.device) -> Tensor | None:
    """See `ClipBatch.categories`."""
    if not any(isinstance(draft, CategorisedDraft) for draft in drafts):
        return None
    table = torch.zeros(len(drafts), 256, dtype=torch.int64)
    for row, draft in zip(table, drafts, strict=True):
        if isinstance(draft, CategorisedDraft):
            for label, category in draft.categories.items():
                row[label] = category
    return table.to(device)
