"""Weights that a training starts from."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from rotoscope.errors import WeightsError
from rotoscope.inference.checkpoint import Card, check_file, read_weights
from rotoscope.inference.loading import WEIGHTS, bundled, convert, is_ours
from rotoscope.models.published import LoadReport


def start_from(network: nn.Module, system: str, name: str, start: str, root: Path) -> str:
    """Load weights into a network.

    Args:
        network: on the CPU.
        system: its system's name.
        name: the network's name.
        start: a bundled model's name; a file of ours (a network, or an encoder), of another system where the network
            has `state_from(whose, state)`, which turns such weights into its own; arrays (.npz) of a picture network
            for encoders that take them; an authors' checkpoint or encoder file. A path is taken from the working
            folder, or else from `root`.
        root: the recipe's folder of data.

    Returns:
        One line that says what was loaded.

    Raises:
        WeightsError: the file is not there, or does not fit.
    """
    path = WEIGHTS / f"{start}.safetensors" if start in bundled() else Path(start)
    path = path if path.exists() or not (root / path).exists() else root / path
    check_file(path)
    if path.suffix == ".npz":
        return _picture_weights(network, name, path)
    if path.suffix == ".safetensors" and is_ours(path):
        state, card = read_weights(path)
        if card.system != system:
            return _from_another(network, f"{system}/{name}", path, state, card)
        encoder = card.kind == "encoder"
    else:
        state, card, report = convert(path, system)
        encoder = not isinstance(report, LoadReport)
    own = getattr(network, "load_encoder", None) if encoder else None
    if own is not None:
        try:
            own(state)
        except (RuntimeError, KeyError) as error:
            raise WeightsError(f"{path} does not fit the encoders of {system}/{name}: {error}") from error
        return f"started from the encoder of {path}"
    target = network.get_submodule("encoder") if encoder else network
    _load(target, state, path, f"{system}/{name}", also=("pixels.", "guidance.") if encoder else ())
    return f"started from {'the encoder' if encoder else card.name} of {path}"


def _from_another(network: nn.Module, name: str, path: Path, state: dict[str, Tensor], card: Card) -> str:
    """Weights of another system, where the network knows how to take them (`state_from`)."""
    whose = f"{card.system}/{card.network}"
    own = getattr(network, "state_from", None) if card.kind == "network" else None
    turned = None if own is None else own(whose, state)
    if turned is None:
        raise WeightsError(f"{path} is of {whose}, from which {name} cannot start")
    _load(network, turned, path, name, also=())
    return f"started from {card.name} of {path}, turned into {name}"


def _picture_weights(network: nn.Module, name: str, path: Path) -> str:
    own = getattr(network, "load_picture_weights", None)
    load = own or getattr(getattr(network, "encoder", None), "load_picture_weights", None)
    if load is None:
        raise WeightsError(f"{path} holds weights of a picture network; {name} takes none")
    try:
        with path.open("rb") as file:
            stored = np.load(file)
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise ValueError("one array without a name; expected an archive of several")
            left = load(dict(stored))
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise WeightsError(f"{path}: {error}") from error
    return f"started from the picture network {path} ({len(left)} of its arrays have no place)"


def _load(network: nn.Module, state: dict[str, Tensor], path: Path, name: str, also: tuple[str, ...]) -> None:
    own = network.state_dict()
    missing = sorted(key for key in set(own) - set(state) if not key.startswith(also or ("\0",)))
    unexpected = sorted(set(state) - set(own))
    wrong = [key for key in state if key in own and state[key].shape != own[key].shape]
    if missing or unexpected or wrong:
        first = [*missing, *unexpected, *wrong][0]
        raise WeightsError(
            f"{path} does not fit {name}: {len(missing)} weights missing, {len(unexpected)} unknown, "
            f"{len(wrong)} of another shape (the first is {first})"
        )
    with torch.no_grad():
        network.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()}, strict=False)
