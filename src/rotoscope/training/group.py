"""The processes of one training: who this one is, and the few words they exchange. One process is a group of one.

`torchrun --nproc-per-node N -m rotoscope train ...` starts several; each takes its GPU, or shares the CPUs.
"""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from rotoscope.errors import OptionError
from rotoscope.inference.prepare import choose_device


@dataclass(frozen=True)
class Group:
    """This process among all.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        device: where it trains.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes and tells."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return bool(self.sums([float(flag)])[0])

    def means(self, values: list[float]) -> list[float]:
        """The mean of each value over the processes."""
        return [value / self.size for value in self.sums(values)]

    def sums(self, values: list[float]) -> list[float]:
        """The sum of each value over the processes."""
        if self.size == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(tensor)
        return cast(list[float], tensor.tolist())

    def gathered(self, item: Any) -> list[Any]:
        """What every process gave, by rank."""
        if self.size == 1:
            return [item]
        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, item)
        return found

    def wrapped(self, network: nn.Module) -> nn.Module:
        """The network with gradients that are means over the processes; batch norms share statistics on GPUs."""
        if self.size == 1:
            return network
        cuda = self.device.type == "cuda"
        if cuda:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(network, device_ids=[self.device] if cuda else None)


@contextmanager
def joined(device: str = "auto") -> Iterator[Group]:
    """Join the processes that `torchrun` started, or be alone.

    Raises:
        OptionError: the device is not there, or the processes do not find one another.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Group(0, 1, choose_device(device))
        return
    chosen = choose_device(device)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    # Its functions take the group of the moment they are imported at as their default: imported later (as wrapping a
    # network does), they would keep this one, and its threads, until the interpreter is torn down below them.
    importlib.import_module("torch.distributed.nn.functional")
    try:
        distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise OptionError(f"{size} processes do not find one another ({error}); start them with torchrun") from error
    try:
        yield Group(distributed.get_rank(), size, chosen)
    finally:
        gc.collect()  # a wrapped network that waits in a cycle keeps the group's threads, too
        distributed.destroy_process_group()
