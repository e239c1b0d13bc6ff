"""Weights files: reading them without running anything in them, writing ours.

Ours are safetensors whose header carries a card: system, network, options, source, licence, hash.
"""

from __future__ import annotations

import argparse
import codecs
import hashlib
import json
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rotoscope.bounds import told
from rotoscope.errors import WeightsError
from rotoscope.files import write_whole

HEADER = "rotoscope"

_ZIP = b"PK"  # torch from 1.6 on
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch before 1.6 begins with, pickled
_PICKLE = b"\x80"
_CARD_KINDS: Mapping[str, type] = {"options": dict, "scores": dict, "bf16": bool, "parameters": int}  # else text
_KIND_WORDS = {str: "text", dict: "an object", bool: "true or false", int: "a whole number"}
_WHOLE_OR_PART = ("network", "encoder")
_REFUSED = re.compile(r"GLOBAL (\S+)|unrecognized function (\S+)")


@dataclass(frozen=True)
class Card:
    """What a weights file says of itself.

    Attributes:
        name: of the model.
        system: the system that runs it.
        network: the system's network.
        kind: a whole network, or an encoder to start a training from.
        options: inference options that differ from the system's defaults.
        bf16: whether bfloat16 was measured to give the same masks.
        source: where the weights come from.
        licence: of the weights.
        parameters: how many.
        scores: measured, by name.
        sha256: of the tensors, so that a damaged file is noticed.
    """

    name: str
    system: str
    network: str
    kind: Literal["network", "encoder"] = "network"
    options: Mapping[str, Any] = field(default_factory=dict)
    bf16: bool = False
    source: str = ""
    licence: str = ""
    parameters: int = 0
    scores: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""


def digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes, types and bytes, in order of names."""
    total = hashlib.sha256()
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        total.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        total.update(value.flatten().clone(memory_format=torch.contiguous_format).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def save_weights(path: Path, state: Mapping[str, Tensor], card: Card) -> Card:
    """Write our weights file, whole or not at all; the card gets its hash and number of parameters.

    Raises:
        OutputError: the place cannot be written to.
    """
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    parameters = sum(
        v.numel() for k, v in tensors.items() if not k.endswith(("running_mean", "running_var", "tracked"))
    )
    card = Card(**{**asdict(card), "sha256": digest(tensors), "parameters": card.parameters or parameters})
    # Not safetensors' own writing: it makes files that nobody else may read, and hides why it failed.
    write_whole(path, save(tensors, {HEADER: json.dumps(asdict(card))}))
    return card


def read_weights(path: Path) -> tuple[dict[str, Tensor], Card]:
    """Read our weights file and check it against its hash.

    Raises:
        WeightsError: it is no safetensors file, not ours, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER)
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} cannot be read as safetensors ({error}); it may be cut short: get it again"
        ) from error
    if header is None:
        raise WeightsError(
            f"{path} is a safetensors file without our card; convert the authors' original with "
            f"`rotoscope convert FILE --system SYSTEM -o OUT.safetensors`"
        )
    card = read_card(header, path)
    if card.sha256 and digest(state) != card.sha256:
        raise WeightsError(f"{path} is damaged: its tensors do not match the hash in its card; get it again")
    return state, card


def read_card(text: str, path: Path) -> Card:
    """Read a card, and check what every entry of it is.

    Args:
        text: JSON.
        path: of the weights file, for messages.

    Raises:
        WeightsError: it is no card; the message says what is wrong with it.
    """
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise WeightsError(f"the card of {path} is not understood (its brackets lie too deep); get it again") from error
    except ValueError as error:
        raise WeightsError(f"the card of {path} is not understood ({error}); get it again") from error
    if not isinstance(content, dict):
        raise WeightsError(f"the card of {path} is {told(content)}; expected a JSON object: get it again")
    known = {field.name for field in fields(Card)}
    unknown, lost = sorted(content.keys() - known), sorted({"name", "system", "network"} - content.keys())
    if unknown or lost:
        what = f"it has {told(unknown[0])}" if unknown else f"it lacks {lost[0]}"
        raise WeightsError(f"the card of {path} is not understood ({what}); was it written by a newer version?")
    for name, value in content.items():
        kind = _CARD_KINDS.get(name, str)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise WeightsError(f"the card of {path} says {name}: {told(value)}; expected {_KIND_WORDS[kind]}")
    if content.get("kind", "network") not in _WHOLE_OR_PART:
        raise WeightsError(
            f"the card of {path} says kind: {told(content['kind'])}; expected {' or '.join(_WHOLE_OR_PART)}"
        )
    return Card(**content)


def read_checkpoint(path: Path) -> object:
    """Read an authors' checkpoint of any kind, without running code that may be in it.

    Knows torch files (new and old), safetensors and the Caffe2 blob pickles of VMZ (numpy arrays only).

    Raises:
        WeightsError: missing, empty, unsafe, cut short, or none of these.
    """
    check_file(path)
    with path.open("rb") as file:
        start = file.read(len(_OLD_TORCH))
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as tensors:
                return {key: tensors.get_tensor(key) for key in tensors.keys()}  # noqa: SIM118 (no mapping)
        if start.startswith(_ZIP) or start == _OLD_TORCH:
            return _read_torch(path)
        if start.startswith(_PICKLE) or path.suffix in (".pkl", ".pickle"):
            return _ArrayUnpickler.read(path)
    except MemoryError:
        raise
    except Exception as error:  # readers raise many kinds for files that are not what they seem
        raise WeightsError(_why_not(path, str(error))) from error
    raise WeightsError(f"{path} is no checkpoint: expected a torch file (.pth, .pt), .safetensors or a Caffe2 .pkl")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with its content, where it is not told yet."""
    try:
        yield
    except WeightsError as error:
        if str(path) in str(error):
            raise
        raise WeightsError(f"{path}: {error}") from error


def check_file(path: Path) -> None:
    """Raise a `WeightsError` unless `path` is a file with something in it."""
    if not path.exists():
        raise WeightsError(f"there is no weights file {path}")
    if path.is_dir():
        raise WeightsError(f"{path} is a folder; give the weights file itself")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    if empty:
        raise WeightsError(f"{path} is empty; get it again")


def _read_torch(path: Path) -> object:
    with warnings.catch_warnings(), torch.serialization.safe_globals(_harmless()):
        warnings.simplefilter("ignore")  # torch's remarks on old formats tell a user nothing
        return torch.load(path, map_location="cpu", weights_only=True)


def _harmless() -> list[Any]:
    """What authors leave beside the tensors (scores, options) and what numpy needs to build it."""
    kinds = {type(np.dtype(name)) for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")}
    scalar, rebuild = (np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0])
    names = [(scalar, "numpy.core.multiarray.scalar"), (rebuild, "numpy.core.multiarray._reconstruct")]
    return [scalar, rebuild, *names, np.ndarray, np.dtype, codecs.encode, argparse.Namespace, *kinds]


def _why_not(path: Path, reason: str) -> str:
    refused = _REFUSED.search(reason)
    if refused:
        what = next(filter(None, refused.groups()))
        return (
            f"{path} holds more than tensors ({what}) and could run code when read, so it was not; save its state dict "
            f"alone (torch.save(model.state_dict(), FILE)) where you trust it"
        )
    first = "" if reason.startswith("Weights only") else reason.split("\n")[0].split(". ")[0].rstrip(".")[:120]
    told = first and f" ({first})"
    return f"{path} cannot be read as a checkpoint{told}; it may be cut short or damaged: get it again"


class _ArrayUnpickler(pickle.Unpickler):
    """Reads pickles of numpy arrays (VMZ's Caffe2 files) and refuses every other global."""

    ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy.core.multiarray", "scalar"),
            ("numpy._core.multiarray", "scalar"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """The named global, if it is one that arrays need."""
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"GLOBAL {module}.{name} is not allowed")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)

    @classmethod
    def read(cls, path: Path) -> object:
        """The content of the file; "blobs" taken out where there are any."""
        with path.open("rb") as file:
            content = cls(file, encoding="latin1").load()
        if isinstance(content, Mapping) and isinstance(content.get("blobs"), Mapping):
            return dict(content["blobs"])
        return content
