"""What a training is at a step: saved whole or not at all, so that a resumed run goes on as if nothing had been."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rotoscope.errors import OptionError, WeightsError
from rotoscope.files import write_whole
from rotoscope.inference.checkpoint import read_checkpoint
from rotoscope.training.recipe import Recipe

NAME = "last.pt"
# What may change between stopping and going on: it does not change what is computed.
_FREE = ("root", "run.workers", "run.log_every", "run.save_every", "validation", "card", "inference")


@dataclass
class State:
    """A training after some steps.

    Attributes:
        step: steps done; the position in the data and in the schedule follow from it.
        network: its weights.
        average: the weights' moving average, None without one.
        average_steps: how many weights it has seen.
        optimiser: torch's state dict.
        random: state of torch's generators, by device.
        best: the best validation so far, below 0 before the first.
        seconds: trained so far.
        recipe: as plain tables.
    """

    step: int
    network: dict[str, Tensor]
    average: dict[str, Tensor] | None
    average_steps: int
    optimiser: dict[str, Any]
    random: dict[str, Tensor]
    best: float
    seconds: float
    recipe: dict[str, Any]


def save_state(folder: Path, state: State) -> None:
    """Write `last.pt`.

    Raises:
        OutputError: it cannot be written.
    """
    buffer = io.BytesIO()  # torch's own writing hides why it failed
    torch.save(vars(state), buffer)
    write_whole(folder / NAME, buffer.getbuffer())


def load_state(folder: Path, recipe: Recipe) -> State:
    """Read `last.pt`, and make sure that it belongs to the recipe.

    Raises:
        OptionError: there is none, or the recipe differs in something that counts.
        WeightsError: it is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise OptionError(f"{folder} has no {NAME} to resume from; leave --resume out")
    content = read_checkpoint(path)
    if not isinstance(content, dict) or set(content) != set(State.__dataclass_fields__):
        raise WeightsError(f"{path} is not the state of a training; remove it, or choose another folder")
    state = State(**content)
    differing = sorted(_differences(state.recipe, as_tables(recipe)))
    if differing:
        raise OptionError(
            f"{path} was trained with another recipe: {', '.join(differing[:5])} differ; resume with the same, or "
            f"train into another folder"
        )
    return state


def as_tables(recipe: Recipe) -> dict[str, Any]:
    """A recipe as dicts, lists and plain values."""
    plain = _plain(asdict(recipe))
    assert isinstance(plain, dict)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _differences(a: Any, b: Any, place: str = "") -> list[str]:
    if place in _FREE:
        return []
    if isinstance(a, dict) and isinstance(b, dict):
        return [
            found
            for key in sorted({*a, *b})
            for found in _differences(a.get(key), b.get(key), f"{place}.{key}" if place else key)
        ]
    return [] if a == b else [place]


def random_state() -> dict[str, Tensor]:
    """The state of torch's generators."""
    found = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state()
    return found


def set_random_state(state: dict[str, Tensor]) -> None:
    """Put torch's generators back; those of a device that is not there are passed over."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
