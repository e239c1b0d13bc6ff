"""The authors' STM_weights.pth; its rows stand in `models.memory.published`, where later systems find them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rotoscope.models.memory import published
from rotoscope.models.published import KeyTable

TABLE = KeyTable(published.ROWS)


def classifier_weights(arrays: Mapping[str, Any]) -> tuple[str, dict[str, Tensor]] | None:
    """What the encoders take of a classifier file; see `memory.published.classifier_weights`."""
    weights = published.classifier_weights(arrays)
    return None if weights is None else ("stm", weights)


def identify(state: Mapping[str, Tensor]) -> str | None:
    """Which network a published state dict belongs to; None when it is no STM checkpoint.

    Later systems are built on this network and keep its names; theirs have keys besides, and are not taken for it.
    """
    marks = ("Encoder_M.conv1.weight", "Encoder_Q.conv1.weight", "KV_M_r4.Key.weight", "Decoder.convFM.weight")
    fits = all(mark in state for mark in marks) and state[marks[3]].shape[:2] == (256, 1024)
    return "stm" if fits and all(TABLE.ours(key)[0] for key in state) else None
