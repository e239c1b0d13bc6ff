"""Names of checkpoints: STM's, which a training starts from, and those of the design's own table.

A state dict under "model" with STM's names, `Matcher.*` and `Decoder.coarse*`; in STM_weights.pth the new parts are not
there and keep their first values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rotoscope.models.memory import published
from rotoscope.models.published import KeyTable

TABLE = KeyTable(
    [
        ("Matcher.{rest}", "matcher.{rest}"),
        ("Decoder.coarse{n}.{rest}", "coarse.conv{n}.{rest}"),
        *published.ROWS,
    ]
)
START = "stm"  # a checkpoint of STM, to start from
CONSTANTS = {
    "dmn-aoa": published.CONSTANTS,
    START: rf"{published.CONSTANTS}|matcher\..*|coarse\..*",
}

_MARKS = ("Encoder_M.conv1.weight", "Encoder_Q.conv1.weight", "KV_M_r4.Key.weight", "Decoder.convFM.weight")
_NEW = ("Matcher.", "Decoder.coarse")


def classifier_weights(arrays: Mapping[str, Any]) -> tuple[str, dict[str, Tensor]] | None:
    """What the encoders take of a classifier file; see `memory.published.classifier_weights`."""
    weights = published.classifier_weights(arrays)
    return None if weights is None else ("dmn-aoa", weights)


def identify(state: Mapping[str, Tensor]) -> str | None:
    """Which kind of checkpoint a state dict is: one of this system, one of STM to start from, or None.

    Asked without a system's name, a checkpoint of STM is STM's: that system is asked first.
    """
    fits = all(mark in state for mark in _MARKS) and state[_MARKS[3]].shape[:2] == (256, 1024)
    if not fits or not all(TABLE.ours(key)[0] for key in state):
        return None
    return "dmn-aoa" if any(key.startswith(_NEW) for key in state) else START
