"""The authors' checkpoints, key by key: `seq_mask_rcnn_{r50,r101,x101}_{ytv19,ytv21,davis}.pth`, also `_mainstage`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rotoscope.models.encoder_files import encoder_state
from rotoscope.models.propose_reduce.network import DAVIS_CLASSES, NETWORKS, YTVIS_CLASSES
from rotoscope.models.published import KeyTable

_SCORE, _STEM, _PLACE = "bbox_head.fc_cls.weight", "backbone.conv1.weight", "prop_head.enc_pos.weight"
_DEEP, _WIDE = "backbone.layer3.22.conv2.weight", 4  # ResNeXt's 3x3 convolutions see so many channels in layer1

_DETECTOR: list[tuple[str, str | None]] = [
    ("backbone.{rest}", "detector.body.{rest}"),
    ("neck.lateral_convs.{n}.conv.{rest}", "detector.pyramid.inner.{n}.{rest}"),
    ("neck.fpn_convs.{n}.conv.{rest}", "detector.pyramid.outer.{n}.{rest}"),
    ("rpn_head.rpn_conv.{rest}", "detector.proposal_head.conv.{rest}"),
    ("rpn_head.rpn_cls.{rest}", "detector.proposal_head.score.{rest}"),
    ("rpn_head.rpn_reg.{rest}", "detector.proposal_head.delta.{rest}"),
    ("bbox_head.shared_fcs.0.{rest}", "detector.box_head.hidden1.{rest}"),
    ("bbox_head.shared_fcs.1.{rest}", "detector.box_head.hidden2.{rest}"),
    ("bbox_head.fc_cls.{rest}", "detector.box_head.score.{rest}"),
    ("bbox_head.fc_reg.{rest}", "detector.box_head.delta.{rest}"),
    ("mask_head.convs.{n}.conv.{rest}", "detector.mask_head.convs.{n}.{rest}"),
    ("mask_head.upsample.{rest}", "detector.mask_head.enlarge.{rest}"),
    ("mask_head.conv_logits.{rest}", "detector.mask_head.logits.{rest}"),
]
_UNUSED: list[tuple[str, str | None]] = [
    ("prop_head.convs.{rest}", None),
    ("prop_head.upsample.{rest}", None),
    ("prop_head.conv_logits.{rest}", None),
]
_PROPAGATION: list[tuple[str, str | None]] = [("prop_head.enc_pos.{rest}", "propagation.place.{rest}")]
for _fuse, _prefix, _ours in (("enc_fuse", "atn", "memory"), ("qry_fuse", "qry_atn", "query")):
    _PROPAGATION += [
        (f"prop_head.{_fuse}.{{n}}.downsample.{{rest}}", f"propagation.{_ours}.fuse.{{n}}.shortcut.{{rest}}"),
        (f"prop_head.{_fuse}.{{rest}}", f"propagation.{_ours}.fuse.{{rest}}"),
        (f"prop_head.{_prefix}_key.{{rest}}", f"propagation.{_ours}.key.{{rest}}"),
        (f"prop_head.{_prefix}_value.{{rest}}", f"propagation.{_ours}.value.{{rest}}"),
    ]
_PROPAGATION += [
    ("prop_head.convFM.{rest}", "propagation.decoder.bridge.{rest}"),
    ("prop_head.ResMM.{rest}", "propagation.decoder.pair.{rest}"),
    ("prop_head.RF{n}.convFS.{rest}", "propagation.decoder.refine{n}.skip.{rest}"),
    ("prop_head.RF{n}.ResFS.{rest}", "propagation.decoder.refine{n}.skip_pair.{rest}"),
    ("prop_head.RF{n}.ResMM.{rest}", "propagation.decoder.refine{n}.merge_pair.{rest}"),
    ("prop_head.pred2.{rest}", "propagation.decoder.predict.{rest}"),
]
TABLE = KeyTable([*_UNUSED, *_DETECTOR, *_PROPAGATION])
CONSTANTS = r"pixels\..*"  # not stored in the authors' files


def identify(state: Mapping[str, Tensor]) -> str | None:
    """Which network a published state dict belongs to; None when it is no Seq Mask R-CNN checkpoint."""
    if not all(mark in state for mark in (_SCORE, _STEM, _PLACE)):
        return None
    deep = _DEEP in state
    wide = tuple(state["backbone.layer1.0.conv2.weight"].shape[1:2]) == (_WIDE,)
    body = "x101" if deep and wide else "r101" if deep else "r50"
    classes = len(state[_SCORE]) - 1
    if classes == DAVIS_CLASSES and deep:
        return f"{body}-davis"
    return body if classes == YTVIS_CLASSES else None


def classifier_weights(arrays: Mapping[str, Any]) -> tuple[str, dict[str, Tensor]] | None:
    """What the encoder takes of an ImageNet ResNet-50 or ResNet-101 in the common layout; None of another file."""
    stem = arrays.get("conv1.weight")
    if stem is None or tuple(stem.shape) != (64, 3, 7, 7) or "layer4.2.bn3.weight" not in arrays:
        return None
    if "layer3.22.bn3.weight" in arrays:
        name, title = "r101", "ResNet-101"
    elif "layer3.5.bn3.weight" in arrays and "layer3.6.bn3.weight" not in arrays:
        name, title = "r50", "ResNet-50"
    else:
        return None
    if tuple(arrays["layer1.0.conv2.weight"].shape[1:2]) == (_WIDE,):
        name, title = "x101", "ResNeXt-101 64x4d"
    with torch.device("meta"):
        encoder = NETWORKS[name]().detector.body
    return name, encoder_state(encoder, arrays, str, title)
