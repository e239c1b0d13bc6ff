"""Samples by number, drawn by worker processes, made into batches on the device that trains.

Sample n of a training is the same whatever the number of workers and processes, and whether the training was resumed:
its source and its chance come from the seed and n alone.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rotoscope.data.clips import CategorisedDraft, ClipBatch, Draft
from rotoscope.data.proposals import ProposedDraft
from rotoscope.data.sources import ClipSource, GrowingClips
from rotoscope.errors import DataError


class Mixture:
    """Several sources, each drawn from as often as its weight says.

    A single source is gone through epoch by epoch, every clip once, in an order drawn for each epoch. With several,
    source and clip are drawn for each sample.

    Args:
        sources: where clips come from.
        weights: one for each, 0 or more.
        seed: of all chance.
        samples: of the whole training, for sources that change as it goes on; 0: they are as at its end.

    Raises:
        DataError: no source, or weights that do not fit.
    """

    def __init__(
        self, sources: Sequence[ClipSource], weights: Sequence[float], seed: int = 0, samples: int = 0
    ) -> None:
        if not sources or len(sources) != len(weights) or min(weights) < 0 or not sum(weights) > 0:
            raise DataError(f"{len(sources)} sources of clips with the weights {list(weights)}; none can be drawn from")
        used = [(source, weight) for source, weight in zip(sources, weights, strict=True) if weight > 0]
        self._sources = [source for source, _ in used]
        self._shares = np.array([weight for _, weight in used]) / sum(weight for _, weight in used)
        self._seed = seed
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
        source = self._now(self._sources[int(generator.choice(len(self._sources), p=self._shares))], sample)
        return source.draw(int(generator.integers(len(source))), generator)

    def _now(self, source: ClipSource, sample: int) -> ClipSource:
        if not isinstance(source, GrowingClips):
            return source
        return source.at(sample / self.samples if self.samples else 1.0)

    def _order(self, epoch: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.random.default_rng([self._seed, epoch, 1]).permutation(len(self))


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
    """Make a batch of clips of one shape, channels-last in memory."""
    clips, labels = zip(*(draft.render(device) for draft in drafts), strict=True)
    stacked = torch.stack(clips).contiguous(memory_format=torch.channels_last_3d)
    proposals = tuple(draft.proposals if isinstance(draft, ProposedDraft) else None for draft in drafts)
    return ClipBatch(
        stacked,
        torch.stack(labels)[:, None],
        _categories(drafts, stacked.device),
        proposals if any(proposals) else (),
    )


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
