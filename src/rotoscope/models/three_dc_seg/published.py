"""The authors' 3DC-Seg checkpoints, key by key.

A checkpoint is {"model": state dict, ...}; it holds every encoder tensor twice (`encoder.<x>` and
`encoder.resnet.<x>`), and, when it was saved from the older classes, a dead 2D ResNet and a dead second decoder. All
that is known and dropped.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from rotoscope.errors import WeightsError
from rotoscope.models.published import KeyTable

_ENCODER = [
    ("encoder.mean", "encoder.pixels.mean"),
    ("encoder.std", "encoder.pixels.std"),
    ("encoder.conv1_p.{rest}", "encoder.guidance.{rest}"),
    ("encoder.resnet.{rest}", None),
    ("encoder.res{n}.{rest}", None),
    ("encoder.{rest}", "encoder.{rest}"),
]
_DECODER = [
    ("decoders.0.convG1.{rest}", "decoder.pair.conv1.{rest}"),
    ("decoders.0.convG2.{rest}", "decoder.pair.conv2.{rest}"),
    ("decoders.0.pred2.{rest}", "decoder.predict.{rest}"),
    ("decoders.0.pred{n}.{rest}", None),
    ("decoder.{rest}", None),
]
_REFINE = [
    ("decoders.0.RF{n}.convFS1.{rest}", "decoder.refine{n}.skip.{rest}"),
    ("decoders.0.RF{n}.convFS2.{rest}", "decoder.refine{n}.skip_pair.conv1.{rest}"),
    ("decoders.0.RF{n}.convFS3.{rest}", "decoder.refine{n}.skip_pair.conv2.{rest}"),
    ("decoders.0.RF{n}.convMM1.{rest}", "decoder.refine{n}.merge_pair.conv1.{rest}"),
    ("decoders.0.RF{n}.convMM2.{rest}", "decoder.refine{n}.merge_pair.conv2.{rest}"),
    ("decoders.0.RF{n}.conv_t.{rest}", "decoder.refine{n}.enlarge.conv.{rest}"),
]
_CONCAT = [
    ("decoders.0.RF{n}.convMM1.{rest}", "decoder.refine{n}.conv1.{rest}"),
    ("decoders.0.RF{n}.convMM2.{rest}", "decoder.refine{n}.conv2.{rest}"),
]
_BRIDGES = {
    "gc3d": [
        ("decoders.0.GC.conv_l1.{rest}", "decoder.bridge.left1.{rest}"),
        ("decoders.0.GC.conv_l2.{rest}", "decoder.bridge.left2.{rest}"),
        ("decoders.0.GC.conv_r1.{rest}", "decoder.bridge.right1.{rest}"),
        ("decoders.0.GC.conv_r2.{rest}", "decoder.bridge.right2.{rest}"),
    ],
    "c3d": [
        ("decoders.0.GC.c3d.{rest}", "decoder.bridge.{rest}"),
        ("decoders.0.GC.{rest}", "decoder.bridge.{rest}"),
    ],
    "nl3d": [
        (f"decoders.0.GC.{nest}{theirs}.{{rest}}", f"decoder.bridge.{ours}.{{rest}}")
        for nest in ("nl.", "")
        for theirs, ours in (
            ("0", "reduce"),
            ("1.theta", "query"),
            ("1.phi.0", "key"),
            ("1.g.0", "value"),
            ("1.W.0", "out"),
            ("1.W.1", "out_norm"),
        )
    ],
    "aspp": [
        ("decoders.0.GC.pyramid_layers.0.{rest}", "decoder.bridge.point.{rest}"),
        *(
            (f"decoders.0.GC.pyramid_layers.{number + 1}.{{rest}}", f"decoder.bridge.dilated.{number}.{{rest}}")
            for number in range(3)
        ),
        ("decoders.0.GC.pyramid_layers.4.conv.{rest}", "decoder.bridge.pooled.0.{rest}"),
        ("decoders.0.GC.pyramid_layers.4.gn.{rest}", "decoder.bridge.pooled.2.{rest}"),
        ("decoders.0.GC.conv.{rest}", "decoder.bridge.project.0.{rest}"),
        ("decoders.0.GC.gn.{rest}", "decoder.bridge.project.2.{rest}"),
    ],
}
_BRIDGE_OF = {"csn_c3d": "c3d", "csn_nl": "nl3d", "csn_aspp": "aspp"}

CONSTANTS = r"encoder\.pixels\..*"  # they have one value; a file may leave them out

# The older class tree built the same functions under other names.
LEGACY = {"legacy_csn_gc3d": "csn_gc3d", "legacy_csn_nogc": "csn_c3d", "legacy_csn_nonlocal": "csn_nl"}


def key_table(network: str) -> KeyTable:
    """The table for one of `NETWORKS`."""
    bridge = _BRIDGES[_BRIDGE_OF.get(network, "gc3d")]
    refine = _CONCAT if network == "csn_upsampling" else _REFINE
    return KeyTable([*bridge, *refine, *_DECODER, *_ENCODER])


def without_aliases(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with `encoder.resnet.<x>` moved to `encoder.<x>` where only the former is there.

    R(2+1)D's classifier calls the stem `stem` where the encoder says `conv1`.
    """
    own = {key: value for key, value in state.items() if not key.startswith("encoder.resnet.")}
    for key, value in state.items():
        if key.startswith("encoder.resnet."):
            name = "encoder." + key.removeprefix("encoder.resnet.").replace("stem.", "conv1.", 1)
            own.setdefault(name if not name.startswith("encoder.fc.") else key, value)
    return own


def identify(state: Mapping[str, Tensor]) -> str | None:
    """Which of `NETWORKS` a published state dict belongs to; None when it is no 3DC-Seg checkpoint.

    Raises:
        WeightsError: the parts belong to 3DC-Seg but not to one network of the paper.
    """
    if not any(key.startswith("decoders.0.RF4.") for key in state):
        return None
    encoder = "r2plus1d34" if "encoder.conv1.0.weight" in state else "csn"
    bridge = _identify_bridge(state)
    refinement = _identify_refinement(state)
    if refinement == "refine3d":
        name = f"{encoder}_{bridge}"
    elif bridge == "gc3d":
        name = f"{encoder}_{refinement}"
    else:
        name = f"{encoder}_{bridge}_{refinement}"
    from rotoscope.models.three_dc_seg.network import NETWORKS

    if name not in NETWORKS:
        raise WeightsError(
            f"a 3DC-Seg checkpoint with encoder {encoder}, bridge {bridge}, refinement {refinement}: no network of the "
            f"paper; known are {', '.join(NETWORKS)}"
        )
    return name


def _identify_bridge(state: Mapping[str, Tensor]) -> str:
    marks = {
        "gc3d": ("conv_l1.weight",),
        "c3d": ("c3d.weight", "weight"),
        "nl": ("nl.1.theta.weight", "1.theta.weight"),
        "aspp": ("pyramid_layers.0.0.weight",),
    }
    for name, keys in marks.items():
        if any(f"decoders.0.GC.{key}" in state for key in keys):
            return name
    raise WeightsError("a 3DC-Seg checkpoint without a known bridge (decoders.0.GC.*)")


def _identify_refinement(state: Mapping[str, Tensor]) -> str:
    prefix = "decoders.0.RF4."
    if f"{prefix}conv_t.weight" in state:
        return "refine_transpose"
    if f"{prefix}convFS1.weight" in state:
        return "refine3d"
    if f"{prefix}convMM1.weight" in state:
        return "upsampling"
    first = state.get(f"{prefix}convMM1.0.weight")
    if first is None:
        raise WeightsError("a 3DC-Seg checkpoint without a known refinement (decoders.0.RF4.*)")
    if f"{prefix}convMM1.1.running_mean" in state:
        return "refine_2plus1d"
    if f"{prefix}convMM1.4.weight" in state:
        return "refine_light_gn"
    return "refine_light" if f"{prefix}convMM1.2.weight" in state else "refine_dg"


def torchvision_key(key: str) -> str:
    """The name that R(2+1)D's classifier gives to the encoder's tensor `key`: its stem is called otherwise."""
    return "stem." + key.removeprefix("conv1.") if key.startswith("conv1.") else key
