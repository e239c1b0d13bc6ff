"""The authors' checkpoints of STEm-Seg, key by key: davis.pth, youtube_vis.pth, kitti_mots.pth, and the encoder's file.

The weights are under "model", without a prefix. Their pictures are BGR, so the stem's input channels are turned around.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rotoscope.errors import WeightsError
from rotoscope.models.published import KeyTable
from rotoscope.models.stem_seg.network import DEFORMATIONS, ENCODERS, TASKS, FrameEncoder

STEM = "backbone.body.stem.conv1.weight"
_HEADS = (("embedding_head", "embedding"), ("seediness_head", "seediness"), ("semseg_head", "semantic"))
_ENCODER = [
    *((f"body.stem.{part}.{{rest}}", f"body.{part}.{{rest}}") for part in ("conv1", "bn1")),
    ("body.layer{n}.{rest}", "body.layer{n}.{rest}"),
    *((f"fpn.fpn_inner{n}.{{rest}}", f"pyramid.inner.{n - 1}.{{rest}}") for n in range(1, 5)),
    *((f"fpn.fpn_layer{n}.{{rest}}", f"pyramid.outer.{n - 1}.{{rest}}") for n in range(1, 5)),
]
_UNITS = {"32x": (3, "stride32"), "16x": (2, "stride16"), "8x": (1, "stride8"), "4x": (1, "stride4")}


def _decoder(theirs: str, ours: str) -> list[tuple[str, str | None]]:
    """Rows of one decoder; of each unit four places are counted: convolution, norm, ReLU, pooling."""
    rows: list[tuple[str, str | None]] = []
    for block, (units, stride) in _UNITS.items():
        for unit in range(units):
            place, own = f"{theirs}.block_{block}.{4 * unit}", f"{ours}.trunk.{stride}.{unit}"
            rows += [
                (f"{place}.atrous_convs.{{n}}.weight", f"{own}.conv.branches.{{n}}.weight"),
                (f"{place}.conv_out.1.weight", f"{own}.conv.project.weight"),
                (f"{place}.{{rest}}", f"{own}.conv.{{rest}}"),
                (f"{theirs}.block_{block}.{4 * unit + 1}.{{rest}}", f"{own}.norm.{{rest}}"),
            ]
    rows += [(f"{theirs}.conv_{stride}.weight", f"{ours}.trunk.join{stride}.weight") for stride in (16, 8, 4)]
    return rows


_CONSTANTS: list[tuple[str, str | None]] = [
    ("embedding_head.time_scale", None),
    ("embedding_loss_criterion.free_dim_bandwidths", None),
]
_OUTPUTS: list[tuple[str, str | None]] = [
    ("embedding_head.conv_embedding.weight", "embedding.embedding.weight"),
    ("embedding_head.conv_variance.{rest}", "embedding.bandwidth.{rest}"),
    ("embedding_head.conv_seediness.weight", "embedding.seediness.weight"),
    ("seediness_head.conv_out.weight", "seediness.predict.weight"),
    ("semseg_head.conv_out.weight", "semantic.predict.weight"),
]
TABLE = KeyTable(
    [
        *_CONSTANTS,
        *((f"backbone.{theirs}", f"encoder.{ours}") for theirs, ours in _ENCODER),
        *_OUTPUTS,
        *(row for theirs, ours in _HEADS for row in _decoder(theirs, ours)),
    ]
)
ENCODER_TABLE = KeyTable(_ENCODER)
CONSTANTS = r"encoder\.pixels\..*"  # they have one value

_DEPTH = "backbone.body.layer3.22.conv1.weight"
_MOVES = "embedding_head.block_32x.0.deform_params.weight"
_FINEST = _MOVES.replace("block_32x", "block_4x")
_MOVED = {81: "dcnv1", 108: "dcnv2", 30: "d2conv3d"}


def turned_around(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with the stem for RGB."""
    return {key: value.flip(1) if key == STEM and value.ndim == 4 else value for key, value in state.items()}


def identify(state: Mapping[str, Tensor]) -> str | None:
    """Which network a published state dict belongs to; None when it is no STEm-Seg checkpoint.

    Raises:
        WeightsError: the parts belong to this system but not to one of its networks.
    """
    marks = (STEM, "embedding_head.block_4x.0", "embedding_head.conv_embedding.weight")
    if not all(any(key.startswith(mark) for key in state) for mark in marks):
        return None
    outputs = state.get("semseg_head.conv_out.weight")
    channels = 0 if outputs is None else len(outputs)
    wanted = {task: len(options.categories) + 2 if options.semantic else 0 for task, options in TASKS.items()}
    task = next((task for task, count in wanted.items() if count == channels), None)
    moves = state.get(_MOVES)
    version = "" if moves is None else _MOVED.get(len(moves), "?")
    depth = "r101" if _DEPTH in state else "r50"
    if task is None or version == "?" or (version and depth == "r101"):
        moved = "" if moves is None else f", {len(moves)} channels that move kernels"
        raise WeightsError(
            f"a STEm-Seg checkpoint of no known network: {channels} semantic channels, {depth}{moved}; known are "
            f"{', '.join(TASKS)} with {', '.join(ENCODERS)}, and r50 with {', '.join(DEFORMATIONS)}"
        )
    coarse = bool(version) and _FINEST not in state
    return "_".join([task, depth, *([version] if version else []), *(["coarse"] if coarse else [])])


def encoder_weights(arrays: Mapping[str, Any]) -> tuple[str, dict[str, Tensor]] | None:
    """What the encoder takes of the authors' Mask R-CNN files (a ResNet-FPN trained on COCO); None for other files.

    Raises:
        WeightsError: a tensor is missing or of another shape.
    """
    if "body.stem.conv1.weight" not in arrays or "fpn.fpn_inner1.weight" not in arrays:
        return None
    depth = "r101" if "body.layer3.22.conv1.weight" in arrays else "r50"
    with torch.device("meta"):
        encoder = FrameEncoder(ENCODERS[depth])
    return f"youtube_vis_{depth}", _encoder_state(encoder, arrays)


def _encoder_state(encoder: nn.Module, arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    state = {}
    for key, like in encoder.state_dict().items():
        if key.startswith("pixels."):
            continue
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros((), dtype=torch.int64)
            continue
        theirs = ENCODER_TABLE.theirs(key)
        if theirs not in arrays:
            raise WeightsError(f"the encoder file lacks {theirs}; expected a Mask R-CNN's ResNet-FPN")
        value = torch.as_tensor(arrays[theirs])
        if value.shape != like.shape:
            raise WeightsError(f"{theirs} has shape {tuple(value.shape)}, the encoder needs {tuple(like.shape)}")
        state[key] = value.flip(1) if key == "body.conv1.weight" else value
    return state
