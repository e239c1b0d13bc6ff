"""The authors' checkpoints, key by key: `r50_coco.pth` (80 classes), the YouTube-VIS ones (40), OVIS (25).

A state dict under "model", whose network keys begin with "model."; the similarity branch is stored twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rotoscope.models.encoder_files import encoder_state
from rotoscope.models.published import KeyTable
from rotoscope.models.visolo.network import VISOLO

_CLASSES = {40: "ytvis", 80: "coco", 25: "ovis"}
_HEAD = "Category_branch_post.pred.weight"

_ENCODER: list[tuple[str, str | None]] = [
    ("backbone.stem.conv1.norm.{rest}", "encoder.bn1.{rest}"),
    ("backbone.stem.conv1.{rest}", "encoder.conv1.{rest}"),
]
for _stage in (1, 2, 3):
    _theirs, _ours = f"backbone.res{_stage + 1}.{{block}}", f"encoder.layer{_stage}.{{block}}"
    _ENCODER += [
        (f"{_theirs}.conv{{n}}.norm.{{rest}}", f"{_ours}.bn{{n}}.{{rest}}"),
        (f"{_theirs}.conv{{n}}.{{rest}}", f"{_ours}.conv{{n}}.{{rest}}"),
        (f"{_theirs}.shortcut.norm.{{rest}}", f"{_ours}.downsample.1.{{rest}}"),
        (f"{_theirs}.shortcut.{{rest}}", f"{_ours}.downsample.0.{{rest}}"),
    ]

_NORMED = {
    "Category_branch_pre.cat_pre_conv1": "category.key",
    "Category_branch_pre.conv_layers.cat_pre_conv2": "category.convs.0",
    "Category_branch_pre.conv_layers.cat_pre_conv3": "category.convs.1",
    "Category_branch_pre.cat_pre_conv4": "category.feature",
    **{f"Category_branch_post.conv_layers.cat_post_conv{n}": f"category.post.{n - 1}" for n in (1, 2, 3)},
    **{f"Kernel_branch.conv_layers.kernel_conv{n}": f"kernel.convs.{n - 1}" for n in (1, 2, 3)},
    **{f"Kernel_branch.conv_layers_post.kernel_conv{n}": f"kernel.post.{n - 4}" for n in (4, 5)},
    "Kernel_branch.pred": "kernel.predict",
    "Mask_branch.convR4": "feature.bridge",
    "Mask_branch.convR1": "feature.merge",
    "Mask_branch.pred": "feature.predict",
    **{f"Tracking_branch.conv_layers_share.track_S_conv{n}": f"similarity.shared.{n - 1}" for n in (1, 2)},
    **{f"Tracking_branch.track_Q_conv{n}": f"similarity.query.{n - 1}" for n in (1, 2)},
    **{f"Tracking_branch.track_R_conv{n}": f"similarity.reference.{n - 1}" for n in (1, 2)},
    "Memory_module.conv1": "value",
}
_NORMED_ROWS: list[tuple[str, str | None]] = [
    row
    for theirs, ours in _NORMED.items()
    for row in ((f"{theirs}.norm.{{rest}}", f"{ours}.norm.{{rest}}"), (f"{theirs}.{{rest}}", f"{ours}.conv.{{rest}}"))
]
_PLAIN: list[tuple[str, str | None]] = [
    ("Category_branch_post.pred.{rest}", "category.predict.{rest}"),
    ("Mask_branch.ResR4.{rest}", "feature.pair.{rest}"),
    ("Mask_branch.RefR{n}.convSCF.{rest}", "feature.refine{n}.skip.{rest}"),
    ("Mask_branch.RefR{n}.ResSCF.{rest}", "feature.refine{n}.skip_pair.{rest}"),
    ("Mask_branch.RefR{n}.ResF.{rest}", "feature.refine{n}.merge_pair.{rest}"),
]
TABLE = KeyTable([("tracking_module.{rest}", None), *_ENCODER, *_PLAIN, *_NORMED_ROWS])
CONSTANTS = r"pixels\..*"  # not stored in the authors' files


def tidy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state without the prefix of the network; what has none, such as the second copies, keeps its name."""
    return {key.removeprefix("model."): value for key, value in state.items()}


def identify(state: Mapping[str, Tensor]) -> str | None:
    """Which network a tidy published state dict belongs to; None when it is no VISOLO checkpoint."""
    marks = (_HEAD, "Memory_module.conv1.weight", "Tracking_branch.track_Q_conv2.weight")
    if not all(mark in state for mark in marks):
        return None
    return _CLASSES.get(len(state[_HEAD]))


def classifier_weights(arrays: Mapping[str, Any]) -> tuple[str, dict[str, Tensor]] | None:
    """What the encoder takes of an ImageNet ResNet-50 in the common layout; None when the file is something else."""
    stem = arrays.get("conv1.weight")
    if stem is None or tuple(stem.shape) != (64, 3, 7, 7) or "layer3.5.bn3.weight" not in arrays:
        return None
    with torch.device("meta"):
        encoder = VISOLO().encoder
    return "ytvis", encoder_state(encoder, arrays, str, "ResNet-50")
