"""Classifier files that encoders start from: which tensor is which, and whether the file is whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rotoscope.errors import WeightsError


def csn152_names(arrays: Mapping[str, Any]) -> Callable[[str], str] | None:
    """How a file of the ir-CSN-152 classifier calls our tensors; None when it is something else.

    Read are VMZ's Caffe2 blobs and a converted state dict.
    """
    if "conv1_spatbn_relu_s" in arrays:
        return caffe2_blob
    return str if "layer4.2.bn3.running_var" in arrays and "conv1.weight" in arrays else None


def encoder_state(
    encoder: nn.Module, arrays: Mapping[str, Any], name_of: Callable[[str], str], title: str
) -> dict[str, Tensor]:
    """The weights of an encoder from a classifier's arrays, under the encoder's names.

    Args:
        encoder: on any device, for its names and shapes.
        arrays: of the file.
        name_of: our name to the file's.
        title: what the encoder is called, for errors.

    Raises:
        WeightsError: an array is not there or has another shape.
    """
    wanted = {k: v.shape for k, v in encoder.state_dict().items() if not k.startswith(("pixels.", "guidance."))}
    weights = {}
    for key, shape in wanted.items():
        if key.endswith("num_batches_tracked"):
            weights[key] = torch.zeros((), dtype=torch.int64)
            continue
        name = name_of(key)
        if name not in arrays:
            raise WeightsError(f"the classifier file lacks {name}; is it an {title}?")
        value = torch.as_tensor(np.asarray(arrays[name]))
        if value.shape != shape:
            raise WeightsError(f"{name} has shape {tuple(value.shape)}, {title} needs {tuple(shape)}")
        weights[key] = value
    return weights


def caffe2_blob(key: str, layers: tuple[int, ...] = (3, 8, 36, 3)) -> str:
    """The blob of the VMZ ir-CSN file that holds the classifier's tensor `key`.

    Args:
        key: for example "layer2.0.bn3.running_var".
        layers: bottlenecks per layer, (3, 8, 36, 3) for 152 layers.

    Raises:
        WeightsError: the classifier has no such tensor.
    """
    kinds = {"weight": "s", "bias": "b", "running_mean": "rm", "running_var": "riv"}
    parts = key.split(".")
    leaf = parts[-1]
    if parts[0] == "fc":
        return f"last_out_L400_{leaf[0]}"
    if parts[0] == "conv1":
        return "conv1_w"
    if parts[0] == "bn1":
        return f"conv1_spatbn_relu_{kinds[leaf]}"
    if not parts[0].startswith("layer") or len(parts) < 4:
        raise WeightsError(f"the ir-CSN classifier has no tensor {key!r}")
    block = sum(layers[: int(parts[0][5:]) - 1]) + int(parts[1])
    if parts[2] == "downsample":
        part = f"shortcut_projection_{block}"
        return f"{part}_w" if parts[3] == "0" else f"{part}_spatbn_{kinds[leaf]}"
    # Caffe2 counts the convolutions of a block 1, 3, 4: the number 2 is the ReLU-less pair of ip-CSN.
    number = {"1": 1, "2": 3, "3": 4}[parts[2][-1]]
    return (
        f"comp_{block}_conv_{number}_w"
        if parts[2].startswith("conv")
        else f"comp_{block}_spatbn_{number}_{kinds[leaf]}"
    )
