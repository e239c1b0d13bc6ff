"""Rows of the key table of the authors' STM_weights.pth, which later systems start from and whose names they keep.

A flat state dict saved inside a data-parallel wrapper, so every key begins with "module.". The memory encoder's three
stems come as one here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rotoscope.backbones.space_time_memory import SpaceTimeMemory
from rotoscope.errors import WeightsError

_ENCODERS = [
    (f"{theirs}.{part}{{rest}}", f"{ours}.{name}{{rest}}")
    for theirs, ours in (("Encoder_M", "memory_encoder"), ("Encoder_Q", "query_encoder"))
    for part, name in (("conv1.", "conv1."), ("bn1.", "bn1."), *((f"res{n}.", f"layer{n - 1}.") for n in (2, 3, 4)))
]
_HEADS = [
    ("KV_M_r4.Key.{rest}", "memory_head.key.{rest}"),
    ("KV_M_r4.Value.{rest}", "memory_head.value.{rest}"),
    ("KV_Q_r4.Key.{rest}", "query_head.key.{rest}"),
    ("KV_Q_r4.Value.{rest}", "query_head.value.{rest}"),
]
_DECODER = [
    ("Decoder.convFM.{rest}", "decoder.bridge.{rest}"),
    ("Decoder.ResMM.{rest}", "decoder.pair.{rest}"),
    ("Decoder.RF{n}.convFS.{rest}", "decoder.refine{n}.skip.{rest}"),
    ("Decoder.RF{n}.ResFS.{rest}", "decoder.refine{n}.skip_pair.{rest}"),
    ("Decoder.RF{n}.ResMM.{rest}", "decoder.refine{n}.merge_pair.{rest}"),
    ("Decoder.pred2.{rest}", "decoder.predict.{rest}"),
]
_CONSTANTS: list[tuple[str, str | None]] = [
    (f"Encoder_{encoder}.{constant}", None) for encoder in "MQ" for constant in ("mean", "std")
]
_PARTS: list[tuple[str, str | None]] = [("Encoder_M.conv1_m.weight", None), ("Encoder_M.conv1_o.weight", None)]
ROWS = (*_CONSTANTS, *_PARTS, *_ENCODERS, *_HEADS, *_DECODER)
CONSTANTS = r"pixels\..*"  # ours have one value

_STEMS = tuple(f"Encoder_M.{name}.weight" for name in ("conv1", "conv1_m", "conv1_o"))


def with_one_stem(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with the memory encoder's stems for frame, mask and other objects as one of five channels.

    A state that lacks one of them stays as it is; loading then tells of the shape.
    """
    if not all(name in state for name in _STEMS):
        return dict(state)
    joined = {name: value for name, value in state.items() if name not in _STEMS}
    joined[_STEMS[0]] = torch.cat([state[name] for name in _STEMS], dim=1)
    return joined


def classifier_weights(arrays: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """What the encoders take of an ImageNet ResNet-50 in the common layout; None when the file is something else.

    Raises:
        WeightsError: a tensor is missing or of another shape.
    """
    stem = arrays.get("conv1.weight")
    if stem is None or tuple(stem.shape) != (64, 3, 7, 7) or "layer3.5.bn3.weight" not in arrays:
        return None
    with torch.device("meta"):
        wanted = SpaceTimeMemory().query_encoder.state_dict()
    weights = {}
    for key, like in wanted.items():
        if key.endswith("num_batches_tracked"):
            weights[key] = torch.zeros((), dtype=torch.int64)
            continue
        if key not in arrays:
            raise WeightsError(f"the classifier file lacks {key}; is it a ResNet-50?")
        weights[key] = torch.as_tensor(arrays[key])
        if weights[key].shape != like.shape:
            raise WeightsError(f"{key} has shape {tuple(weights[key].shape)}, ResNet-50 has {tuple(like.shape)}")
    return weights
