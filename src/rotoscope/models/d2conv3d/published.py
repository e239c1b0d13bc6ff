"""The authors' D2Conv3D checkpoints, key by key (spec section 3.1; none is published, their code writes them).

A checkpoint is {"model": state dict, ...} with keys `model.encoder.*`, `model.decoder.*`, `model.mean`, `model.std`,
and `module.` in front when it was trained on several devices.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from rotoscope.errors import WeightsError
from rotoscope.models.published import KeyTable

_HERE = "model.decoder"
_BLOCKS = {"convFS1": "skip", "convFS2": "skip1", "convFS3": "skip2", "convMM1": "merge1", "convMM2": "merge2"}
TABLE = KeyTable(
    [
        ("model.mean", None),
        ("model.std", None),
        ("model.encoder.stem.conv1.{rest}", "encoder.conv1.{rest}"),
        ("model.encoder.stem.bn1.{rest}", "encoder.bn1.{rest}"),
        ("model.encoder.{rest}", "encoder.{rest}"),
        *(
            (f"{_HERE}.gc.conv_{side}{number}.{{rest}}", f"decoder.bridge.{name}{number}.{{rest}}")
            for side, name in (("l", "left"), ("r", "right"))
            for number in (1, 2)
        ),
        (f"{_HERE}.gc.c3d.{{rest}}", "decoder.bridge.{rest}"),
        (f"{_HERE}.convG{{n}}.{{rest}}", "decoder.pair{n}.{rest}"),
        (f"{_HERE}.rf{{n}}.backbone_norm.{{rest}}", "decoder.refine{n}.norm.{rest}"),
        (f"{_HERE}.rf{{n}}.convFS1.0.atrous_convs.{{rest}}", "decoder.refine{n}.skip.0.branches.{rest}"),
        (f"{_HERE}.rf{{n}}.convFS1.0.conv_out.{{rest}}", "decoder.refine{n}.skip.0.project.{rest}"),
        *(
            (f"{_HERE}.rf{{n}}.{theirs}.{{rest}}", f"decoder.refine{{n}}.{ours}.{{rest}}")
            for theirs, ours in _BLOCKS.items()
        ),
        (f"{_HERE}.pred.{{rest}}", "decoder.predict.{rest}"),
    ]
)
CONSTANTS = r"encoder\.pixels\..*"  # they have one value

_CONV = "convFS1.0"
_MARKS = {  # what tells the networks apart: a key, of which the number of output channels counts, 0 where it is absent
    "rf3": f"{_HERE}.rf3.{_CONV}.deform_params.weight",
    "rf2": f"{_HERE}.rf2.{_CONV}.deform_params.weight",
    "rf1": f"{_HERE}.rf1.{_CONV}.deform_params.weight",
    "bridge": f"{_HERE}.gc.conv_l1.deform_params.weight",
    "c3d": f"{_HERE}.gc.c3d.weight",
    "pyramid": f"{_HERE}.rf3.{_CONV}.atrous_convs.0.0.weight",
    "norm": f"{_HERE}.rf1.convFS1.2.weight",
    "input_norm": f"{_HERE}.rf1.backbone_norm.weight",
    "deep": "model.encoder.layer2.4.conv1.weight",
    "layer4": "model.encoder.layer4.0.conv2.deform_params.weight",
}
_USUAL = {"norm": 256, "deep": 128}
_MARKED: dict[str, dict[str, int]] = {
    "baseline": {},
    "dconv": {"rf3": 81, "rf2": 81},
    "mdconv": {"rf3": 108, "rf2": 108},
    "xx1": {"rf3": 28, "rf2": 28},
    "xy1": {"rf3": 29, "rf2": 29},
    "xyz": {"rf3": 30, "rf2": 30},  # the other size activations leave no mark
    "xyz_no_modulation": {"rf3": 3, "rf2": 3},
    "aspp": {"pyramid": 256},
    "xyz_rf3": {"rf3": 30},
    "xyz_rf123": {"rf3": 30, "rf2": 30, "rf1": 30},
    "xyz_bridge": {"bridge": 10},
    "baseline_c3d": {"c3d": 256},
    "baseline_csn50": {"deep": 0},
    "baseline_nearest_nonorm": {"norm": 0},
    "baseline_backbone_norm": {"input_norm": 256},
    "inter_deformable_gc3d": {"bridge": 21},
    "backbone_layer4_xyz": {"layer4": 30},
}


def tidy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state as it is: nothing in these files stands twice."""
    return dict(state)


def identify(state: Mapping[str, Tensor]) -> str | None:
    """Which network a published state dict belongs to; None when it is no D2Conv3D checkpoint.

    Networks that differ only in the activation of sizes, in the groups of norms or in the enlargement have the same
    keys; the published choice is taken. Name the network to have another.

    Raises:
        WeightsError: the parts belong to this system but not to one of its networks.
    """
    if not any(key.startswith(f"{_HERE}.rf3.convFS1.") for key in state):
        return None
    found = {name: int(state[key].shape[0]) if key in state else 0 for name, key in _MARKS.items()}
    for network, marks in _MARKED.items():
        if found == {name: {**_USUAL, **marks}.get(name, 0) for name in _MARKS}:
            return network
    seen = ", ".join(f"{name} {count}" for name, count in found.items() if count)
    raise WeightsError(
        f"a D2Conv3D checkpoint of no known network (channels found: {seen}); known are {', '.join(_MARKED)}"
    )
