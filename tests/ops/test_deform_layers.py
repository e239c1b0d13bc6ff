"""Layers that move a kernel's points: golden cases of offsets and of every version; replacing convolutions."""

import shutil

import pytest
import torch
from torch import nn

from rotoscope.ops.deform_layers import (
    VERSIONS,
    DeformableConv3d,
    Deformation,
    modulated,
    offsets_of_sizes,
    stretched,
)
from tests import golden
from tests.golden import recipe

SYSTEM = "d2conv3d"


@pytest.mark.parametrize("case", golden.cases(SYSTEM, "size_to_offset"), ids=lambda case: case["name"])
def test_golden_offsets(case):
    options = case["options"]
    sizes = golden.inputs(case)["size_map"].double()
    found = offsets_of_sizes(sizes, options["mode"], tuple(options["kernel"]), tuple(options["dilation"]))
    golden.check(case, "offset", found, golden.arrays(SYSTEM, case)["offset"])


def host_of(options):
    names = {"kernel": "kernel_size"}
    kept = ("in_channels", "out_channels", "kernel", "stride", "padding", "dilation", "groups", "bias")
    given = {names.get(key, key): options[key] for key in kept}
    return nn.Conv3d(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})


@pytest.mark.parametrize("case", golden.cases(SYSTEM, "layer"), ids=lambda case: case["name"])
def test_golden_layers(case):
    expected, given, options = golden.arrays(SYSTEM, case), golden.inputs(case), case["options"]
    deformation = Deformation(
        case["version"],
        size_activation=options["size_activation"],
        modulation=options["activation"],
        offset_groups=options["offset_groups"],
        norm=options["norm_type"],
        norm_groups=options["norm_groups"],
    )
    layer = DeformableConv3d(host_of(options), deformation).double().eval()
    state = recipe.fill_state_dict(case["keys"])
    layer.load_state_dict({key.removeprefix("layer."): torch.from_numpy(value) for key, value in state.items()})
    x = given["input"].double().requires_grad_()
    output = layer(x)
    output.backward(given["grad_output"].double())
    found = {f"grad:layer.{name}": parameter.grad for name, parameter in layer.named_parameters()}
    found |= {"output": output, "grad_input": x.grad}
    for name in case["outputs"]:
        golden.check(case, name, found[name], expected[name])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("activation", ["elu", "relu"])
def test_training_starts_from_the_plain_convolution(version, activation):
    host = nn.Conv3d(4, 6, 3, (1, 2, 2), 2, (1, 2, 2)).double()
    layer = DeformableConv3d(host, Deformation(version, size_activation=activation))
    x = torch.randn(1, 4, 3, 6, 7, dtype=torch.float64)
    half = 0.5 if VERSIONS[version].modulated else 1.0
    bias = host.bias.view(-1, 1, 1, 1)
    torch.testing.assert_close(layer(x), (host(x) - bias) * half + bias)
    assert all(not parameter.any() for parameter in layer.deform_params.parameters())


def test_activations():
    raw = torch.tensor([-2.0, -0.0005, 0.0, 0.5])
    torch.testing.assert_close(stretched(raw, "elu"), torch.tensor([0.1353, 0.9995, 1.0, 1.5]), atol=1e-4, rtol=0)
    torch.testing.assert_close(stretched(raw, "relu"), torch.tensor([0.0, 0.9995, 1.0, 1.5]))
    torch.testing.assert_close(stretched(raw, "relu_plus_one"), torch.tensor([1.0, 1.0005, 1.001, 1.501]))
    assert torch.equal(stretched(raw, "linear"), raw)
    assert torch.equal(modulated(raw, "linear"), raw)
    assert torch.equal(modulated(raw, "relu"), raw.clamp(min=0))
    with pytest.raises(ValueError, match="size activation 'exp'"):
        stretched(raw, "exp")


def test_size_nought_collapses_the_kernel_onto_its_centre():
    layer = DeformableConv3d(
        nn.Conv3d(3, 2, 3, padding=1).double(), Deformation("XYZConditionedDCNv1", size_activation="linear")
    )
    x = torch.randn(1, 3, 2, 4, 5, dtype=torch.float64)
    point = nn.functional.conv3d(x, layer.deform_conv.weight.sum((2, 3, 4), keepdim=True), layer.deform_conv.bias)
    torch.testing.assert_close(layer(x), point)


def test_sizes_are_time_rows_columns():
    layer = DeformableConv3d(nn.Conv3d(3, 2, 3, padding=1), Deformation("XXZConditionedDCNv2"))
    with torch.no_grad():
        layer.deform_params.bias[:2] = torch.tensor([1.0, 2.0])
    found = layer.sizes(torch.zeros(1, 3, 2, 4, 5))
    assert found[0, :, 0, 0, 0].tolist() == [2.0, 3.0, 3.0]
    with pytest.raises(ValueError, match="predicts no sizes"):
        DeformableConv3d(nn.Conv3d(3, 2, 3), Deformation("DCNv1")).sizes(torch.zeros(1, 3, 4, 4, 4))


def test_replacing_convolutions():
    def network():
        inner = nn.Sequential(nn.Conv3d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 4, 1))
        return nn.ModuleDict({"a": inner, "b": nn.Conv3d(4, 4, 3, padding=1), "c": nn.Conv3d(4, 4, 3)})

    found = network()
    weight = found["a"][0].weight
    assert DeformableConv3d.replace_in(found, ["a", "b"]) == 2
    assert found["a"][0].deform_conv.weight is weight
    assert type(found["a"][2]) is nn.Conv3d
    assert type(found["c"]) is nn.Conv3d
    assert {"a.0.deform_conv.weight", "b.deform_params.bias"} <= set(found.state_dict())
    assert DeformableConv3d.replace_in(network(), ["a", "b"], points=True) == 3
    with pytest.raises(AttributeError):
        DeformableConv3d.replace_in(network(), ["d"])
    before = found["a"][0]
    assert DeformableConv3d.replace_in(found, ["a", "a.0", "c", "c"]) == 1
    assert found["a"][0] is before
    assert type(before.deform_conv) is nn.Conv3d


def test_random_modulation_leaves_the_moves_at_nought():
    layer = DeformableConv3d(nn.Conv3d(4, 6, 3), Deformation(random_modulation=True))
    assert not layer.deform_params.weight[:3].any()
    assert layer.deform_params.weight[3:].all()


def test_half_precision_forms_offsets_in_float32():
    layer = DeformableConv3d(nn.Conv3d(8, 6, 3, padding=1)).bfloat16()
    x = torch.randn(1, 8, 2, 4, 5).bfloat16()
    assert layer.sampling(x)[0].dtype == torch.float32
    assert layer.sizes(x).dtype == torch.float32
    assert layer(x).dtype == torch.bfloat16


@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler")
@pytest.mark.filterwarnings("ignore")
def test_compiled_and_mixed_precision():
    torch.manual_seed(0)
    layer = DeformableConv3d(nn.Conv3d(8, 6, 3, padding=1))
    nn.init.normal_(layer.deform_params.weight, 0, 0.1)
    x = torch.randn(1, 8, 3, 5, 6)
    compiled = torch.compile(layer, fullgraph=True)
    torch.testing.assert_close(compiled(x), layer(x))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(x)
        torch.testing.assert_close(compiled(x), mixed, rtol=0.02, atol=0.02)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, layer(x), rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Deformation("DCNv3"), "version 'DCNv3' is not known"),
        (lambda: Deformation(offset_groups=2), "stretches all channels alike"),
        (lambda: Deformation(norm="LayerNorm"), "norm 'LayerNorm'"),
        (lambda: Deformation(modulation="softmax"), "modulation 'softmax'"),
        (lambda: DeformableConv3d(nn.Conv3d(2, 2, (1, 2, 3))), "needs odd kernels"),
        (lambda: DeformableConv3d(nn.Conv3d(2, 2, 3, padding="same")), "expected numbers"),
        (lambda: offsets_of_sizes(torch.zeros(1, 2, 1, 1, 1), "xyz", (3, 3, 3), (1, 1, 1)), "found 2 size channels"),
    ],
)
def test_bad_input(build, message):
    with pytest.raises(ValueError, match=message):
        build()
