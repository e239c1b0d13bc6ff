"""Reading authors' checkpoints: key tables that work both ways, and a report of what did not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from rotoscope.errors import WeightsError

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_DEEPEST = 8  # wrappings of a state dict
_WRAPPER = re.compile(r"(?:^|(?<=\.))module\.")  # a whole part of the name: "Memory_module." stays


@dataclass(frozen=True)
class KeyTable:
    """Rows of (their key, our key); the first row that matches counts.

    `{n}` stands for digits, `{rest}` for anything, equal on both sides. None as our key drops a key that is known and
    not needed.
    """

    rows: Sequence[tuple[str, str | None]]

    @cached_property
    def _forward(self) -> list[tuple[re.Pattern[str], str | None]]:
        return [(_pattern(theirs), ours) for theirs, ours in self.rows]

    @cached_property
    def _backward(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(ours), theirs) for theirs, ours in self.rows if ours is not None]

    def ours(self, key: str) -> tuple[bool, str | None]:
        """Whether the table knows their `key`, and what we call it (None: not needed)."""
        for pattern, ours in self._forward:
            match = pattern.fullmatch(key)
            if match:
                return True, None if ours is None else _filled(ours, match)
        return False, None

    def theirs(self, key: str) -> str:
        """What they call our `key`; `key` itself where no row matches."""
        for pattern, theirs in self._backward:
            match = pattern.fullmatch(key)
            if match:
                return _filled(theirs, match)
        return key


def _pattern(template: str) -> re.Pattern[str]:
    parts = []
    position = 0
    for match in _PLACEHOLDER.finditer(template):
        parts.append(re.escape(template[position : match.start()]))
        parts.append(rf"(?P<{match[1]}>{'.+' if match[1] == 'rest' else '[0-9]+'})")
        position = match.end()
    return re.compile("".join(parts) + re.escape(template[position:]))


def _filled(template: str, match: re.Match[str]) -> str:
    return _PLACEHOLDER.sub(lambda name: match[name[1]], template)


@dataclass(frozen=True)
class LoadReport:
    """What happened to the keys of a published checkpoint. Names are the authors'.

    Attributes:
        system: the system's name.
        network: the network that was built.
        loaded: keys that were loaded.
        missing: weights that the network needs and the file lacks; they keep their initial values.
        unexpected: keys that nothing is known about.
        dropped: keys that are known and not needed (second copies, heads whose output is thrown away).
    """

    system: str
    network: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    dropped: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Nothing is missing."""
        return not self.missing

    def __str__(self) -> str:
        return (
            f"{self.system}/{self.network}: {len(self.loaded)} loaded, {len(self.missing)} missing"
            f"{_some(self.missing)}, {len(self.unexpected)} unexpected{_some(self.unexpected)}, "
            f"{len(self.dropped)} not needed"
        )


def _some(keys: Sequence[str], count: int = 3) -> str:
    if not keys:
        return ""
    return f" ({', '.join(keys[:count])}{', ...' if len(keys) > count else ''})"


@dataclass
class _Sorted:
    state: dict[str, Tensor] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def load_published(
    module: nn.Module, state: Mapping[str, Tensor], table: KeyTable, *, system: str, network: str, constants: str = ""
) -> LoadReport:
    """Copy a published state dict into `module` and put it in eval mode.

    Args:
        module: the network.
        state: flat tensors under the authors' names; see `flat_state`.
        table: their names to ours.
        system: for the report.
        network: for the report.
        constants: pattern of our keys that may be absent (they keep the module's own values).

    Raises:
        WeightsError: a tensor has another shape, or nothing fits at all.
    """
    own = module.state_dict()
    result = _sort(state, table, own)
    if not result.state:
        raise WeightsError(
            f"none of the {len(state)} keys belongs to {system} ({network}); found {_some(list(state))[2:-1]}: "
            f"is this a checkpoint of another system?"
        )
    for key, value in result.state.items():
        if value.shape != own[key].shape:
            raise WeightsError(
                f"{result.names[key]} has shape {tuple(value.shape)}, {system} ({network}) needs "
                f"{tuple(own[key].shape)}; choose the network that the file was made with"
            )
    module.load_state_dict({key: value.to(own[key].dtype) for key, value in result.state.items()}, strict=False)
    optional = re.compile(constants) if constants else None
    missing = [
        table.theirs(key)
        for key in own
        if key not in result.state
        and not key.endswith("num_batches_tracked")
        and not (optional and optional.fullmatch(key))
    ]
    module.eval()
    return LoadReport(
        system, network, tuple(result.names.values()), tuple(missing), tuple(result.unexpected), tuple(result.dropped)
    )


def _sort(state: Mapping[str, Tensor], table: KeyTable, own: Mapping[str, Tensor]) -> _Sorted:
    result = _Sorted()
    for key, value in state.items():
        known, ours = table.ours(key)
        if ours is not None and ours in own:
            result.state[ours] = value
            result.names[ours] = key
        elif known:
            result.dropped.append(key)
        else:
            result.unexpected.append(key)
    return result


def flat_state(content: object, nests: Iterable[str] = ("model", "state_dict")) -> dict[str, Tensor]:
    """The tensors of a loaded checkpoint, whatever it is wrapped in; "module." is removed.

    Args:
        content: what `torch.load` gave, or a mapping of names to tensors or arrays.
        nests: keys that may hold the state dict.

    Raises:
        WeightsError: no tensors in it, or they are wrapped without an end.
    """
    inner = _unwrapped(content, tuple(nests))
    if isinstance(inner, Mapping):
        tensors = {
            _WRAPPER.sub("", str(key)): torch.as_tensor(value)
            for key, value in inner.items()
            if isinstance(value, Tensor) or (isinstance(value, np.ndarray) and value.dtype.kind in "biuf")
        }
        if tensors:
            return tensors
    raise WeightsError(
        f"a {type(inner).__name__} without tensors; expected a state dict (names to tensors), bare or under 'model'"
    )


def _unwrapped(content: object, nests: Sequence[str]) -> object:
    """What lies innermost under keys that may hold the state dict."""
    for _ in range(_DEEPEST):
        found = [content.get(nest) for nest in nests] if isinstance(content, Mapping) else []
        inner = [item for item in found if isinstance(item, Mapping)]
        if not inner:
            return content
        content = inner[0]
    raise WeightsError(f"the state dict lies more than {_DEEPEST} deep or holds itself; save it bare or under 'model'")
