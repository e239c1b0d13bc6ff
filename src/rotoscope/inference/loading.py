"""Opening a model by name or file, and the authors' checkpoints as modules."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rotoscope.errors import OptionError, WeightsError
from rotoscope.inference.checkpoint import Card, check_file, digest, naming, read_checkpoint, read_weights
from rotoscope.inference.model import Model
from rotoscope.inference.prepare import Precision, choose_device, choose_precision, prepare
from rotoscope.models import SYSTEM_NAMES, system
from rotoscope.models.published import LoadReport, flat_state, load_published

WEIGHTS = Path(__file__).parent.parent / "weights"


def bundled() -> dict[str, dict[str, Any]]:
    """The cards of the models in the package, by name."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(WEIGHTS.glob("*.json"))}


def load(
    name_or_path: str | Path, *, device: str = "auto", precision: Precision = "auto", system_name: str | None = None
) -> Model:
    """Open a model, ready to segment.

    Args:
        name_or_path: a bundled name (`rotoscope models` lists them), a weights file of ours, or an authors' checkpoint.
        device: "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:N".
        precision: "auto" (bfloat16 where it was measured to give the same masks and the hardware has it), "fp32",
            "bf16" (refused where the device cannot run it).
        system_name: of an authors' checkpoint; found out from its keys when not given.

    Raises:
        WeightsError: no such model, or a file that is unsafe, damaged, incomplete or of no known system.
        OptionError: the device or precision is not there.
    """
    target = choose_device(device)
    path = Path(name_or_path)
    if str(name_or_path) in bundled():
        network, card = _from_file(WEIGHTS / f"{name_or_path}.safetensors")
    elif path.suffix == ".safetensors" and path.is_file() and is_ours(path):
        network, card = _from_file(path)
    elif path.exists() or path.suffix:
        network, card = _from_authors(path, system_name)
    else:
        raise WeightsError(
            f"no model is called {str(name_or_path)!r}, and there is no such file; "
            f"bundled models: {', '.join(bundled())}"
        )
    dtype = choose_precision(precision, target, card.bf16)
    chosen = system(card.system)
    try:
        options = options_of(chosen.options, card)
    except OptionError as error:
        raise WeightsError(f"the card of {path} has an option that cannot be: {error}") from error
    return Model(card, chosen, prepare(network, target, dtype), options, target, dtype)


def from_published(
    system_name: str, state_dict: Mapping[str, Any], network: str | None = None, *, strict: bool = False
) -> nn.Module:
    """The network of an authors' checkpoint, loaded, in eval mode, on the CPU.

    Args:
        system_name: for example "3dc-seg".
        state_dict: names to tensors or arrays under the authors' names, bare or under "model"; "module." is removed.
        network: which of the system's networks; found out from the keys when not given.
        strict: raise instead of warning when weights are missing.

    Returns:
        The module; its attribute `report` is a `LoadReport` of missing, unexpected and unneeded keys.

    Raises:
        WeightsError: nothing fits, shapes differ, the network is unknown, or (strict) weights are missing.
    """
    chosen = system(system_name)
    state = chosen.tidy(flat_state(state_dict))
    name = network or chosen.identify(state)
    if name is None:
        raise WeightsError(
            f"the keys ({', '.join(list(state)[:3])}, ...) are not those of a {system_name} checkpoint; "
            f"name the system and network that it was made with"
        )
    published = chosen.published(name)
    module = chosen.networks[published.network]()
    report = load_published(
        module, state, published.table, system=system_name, network=published.network, constants=published.constants
    )
    if report.missing:
        message = f"the checkpoint is incomplete: {report}"
        if strict:
            raise WeightsError(message)
        warnings.warn(message, stacklevel=2)
    object.__setattr__(module, "report", report)
    return module


def convert(path: Path, system_name: str) -> tuple[dict[str, Tensor], Card, LoadReport | None]:
    """Read an authors' file into our names: a whole network, or the encoder's classifier file.

    Returns:
        The state dict, a card without hash, and the report (None for a classifier file).

    Raises:
        WeightsError: see `load`.
    """
    chosen = system(system_name)
    if path.is_file() and is_ours(path):
        raise WeightsError(f"{path} is in our format already; open it as it is")
    content = read_checkpoint(path)
    source = f"converted from {path.name}"
    with naming(path):
        if chosen.encoder_weights is not None and isinstance(content, Mapping):
            encoder = chosen.encoder_weights(content)
            if encoder is not None:
                network, weights = encoder
                return weights, Card(path.stem, system_name, network, kind="encoder", source=source), None
        module = from_published(system_name, flat_state(content), strict=True)
    report = report_of(module)
    options = dict(chosen.published_options.get(report.network, {}))
    card = Card(
        path.stem, system_name, report.network, options=options, source=source, licence="that of the authors' file"
    )
    return module.state_dict(), card, report


def report_of(module: nn.Module) -> LoadReport:
    """The report that `from_published` left on a module.

    Raises:
        OptionError: the module did not come from there.
    """
    report = module.__dict__.get("report")
    if not isinstance(report, LoadReport):
        raise OptionError("this module did not come from from_published")
    return report


def is_ours(path: Path) -> bool:
    """Whether a safetensors file carries our card."""
    # The header of a safetensors file is its first bytes: length, then JSON.
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return length < 1 << 24 and b'"rotoscope"' in file.read(length)


def _from_file(path: Path) -> tuple[nn.Module, Card]:
    check_file(path)
    state, card = read_weights(path)
    chosen = system(card.system)
    if card.kind != "network":
        raise WeightsError(f"{path} holds encoder weights to start a training from, not a whole network")
    if card.network not in chosen.networks:
        raise WeightsError(f"{path} is for {card.system}/{card.network}, which this version does not have")
    network = chosen.networks[card.network]()
    own = network.state_dict()
    missing, unexpected = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    if missing or unexpected:
        raise WeightsError(
            f"{path} does not fit {card.system}/{card.network}: {len(missing)} weights missing {missing[:2]}, "
            f"{len(unexpected)} unexpected {unexpected[:2]}"
        )
    for key, value in state.items():
        if value.shape != own[key].shape:
            raise WeightsError(f"{path}: {key} has shape {tuple(value.shape)}, expected {tuple(own[key].shape)}")
    network.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()})
    return network, card


def _from_authors(path: Path, system_name: str | None) -> tuple[nn.Module, Card]:
    with naming(path):
        state = flat_state(read_checkpoint(path))
    names = [system_name] if system_name else [name for name in SYSTEM_NAMES if _belongs(name, state)]
    if not names:
        raise WeightsError(
            f"{path} is a checkpoint of no system known here (its keys start with {', '.join(list(state)[:2])}); "
            f"systems: {', '.join(SYSTEM_NAMES)}"
        )
    with naming(path):
        module = from_published(names[0], state, strict=True)
    network = report_of(module).network
    options = dict(system(names[0]).published_options.get(network, {}))
    sha256 = digest(module.state_dict())  # tells the results of files of one name apart
    return module, Card(path.stem, names[0], network, options=options, source=str(path), sha256=sha256)


def _belongs(name: str, state: Mapping[str, Tensor]) -> bool:
    return system(name).identify(system(name).tidy(state)) is not None


def options_of(kind: type[Any], card: Card) -> Any:
    """The inference options that a card asks for.

    Raises:
        WeightsError: the system has no such option, or a value is of a wrong type.
    """
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(card.options) - known)
    if unknown:
        raise WeightsError(f"the card of {card.name} has options that {card.system} does not know: {unknown}")
    try:
        return replace(kind(), **card.options)
    except TypeError as error:
        raise WeightsError(f"the card of {card.name} has an option of a wrong type ({error})") from error


def parameters_of(network: nn.Module) -> int:
    """How many trainable numbers a network has."""
    return sum(parameter.numel() for parameter in network.parameters())


def on_meta(system_name: str, network: str) -> nn.Module:
    """A network without memory behind its weights, to count and trace."""
    with torch.device("meta"):
        return system(system_name).build(network)
