"""Triton's kernels of the deformable convolution in Triton's interpreter, on a CPU, against the plain path.

`test_deform_conv3d_triton` runs this file in a process of its own: the interpreter is chosen, by TRITON_INTERPRET=1,
when Triton is first imported.
"""

import math

import pytest
import torch

from rotoscope.ops import deform_conv3d_triton as module
from rotoscope.ops.deform_conv3d import deform_conv3d
from rotoscope.ops.deform_conv3d_triton import Tiles
from tests.ops.test_deform_conv3d import gradients, random_arguments

CASES = {
    "odd": {"channels": 5, "out": 3, "size": (2, 2, 3), "kernel": (1, 1, 3), "padding": (0, 0, 1)},
    "whole_kernel": {"batch": 1, "channels": 3, "out": 2, "size": (2, 2, 3), "padding": 1},
    "strided": {"size": (3, 4, 4), "kernel": (2, 2, 1), "stride": (2, 1, 2), "padding": (1, 0, 0)},
    "dilated": {"batch": 1, "size": (3, 5, 3), "kernel": (2, 2, 1), "dilation": (1, 3, 2), "padding": (1, 1, 0)},
    "groups": {"channels": 6, "out": 4, "size": (2, 2, 4), "kernel": (1, 2, 1), "groups": 2},
    "offset_groups": {"batch": 1, "channels": 6, "size": (2, 3, 3), "kernel": (1, 2, 1), "offset_groups": 3},
    "groups_that_cross": {
        "channels": 6,
        "out": 4,
        "size": (1, 3, 3),
        "kernel": (1, 1, 2),
        "groups": 2,
        "offset_groups": 3,
    },
    "fewer_offset_groups": {"batch": 1, "channels": 8, "out": 4, "kernel": (1, 1, 2), "groups": 4, "offset_groups": 2},
    "wide": {"batch": 1, "channels": 40, "out": 36, "size": (1, 3, 4), "kernel": (1, 1, 2)},
    "one_voxel": {"batch": 1, "size": (1, 1, 1), "kernel": (1, 3, 3), "padding": (0, 1, 1), "reach": 0.8},
    "far": {"size": (2, 3, 4), "kernel": (1, 2, 2), "reach": 9.0},
}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Every case has several tiles in each direction, and edges."""
    table = {key: Tiles(16, 16, 16, 4, 1) for key in module._TABLE}
    monkeypatch.setattr(module, "_TABLE", table)


def typed(arguments, kind):
    return {key: value.to(kind) if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}


def test_it_is_the_interpreter():
    assert module.INTERPRETED


@pytest.mark.parametrize("case", CASES)
def test_float32(case):
    arguments = typed(random_arguments(**CASES[case]), torch.float32)
    found, expected = gradients(arguments, path="triton"), gradients(arguments, path="plain")
    for name, value in expected.items():
        assert value.any(), name
        assert found[name].dtype == torch.float32
        torch.testing.assert_close(found[name], value, rtol=2e-5, atol=2e-5, msg=lambda text, name=name: name + text)


@pytest.mark.parametrize(
    ("case", "kind"),
    [("odd", torch.bfloat16), ("groups_that_cross", torch.bfloat16), ("wide", torch.bfloat16), ("odd", torch.float16)],
)
def test_half_precision(case, kind):
    arguments = typed(random_arguments(**CASES[case]), kind)
    found, expected = gradients(arguments, path="triton"), gradients(arguments, path="plain")
    step = 2**-8 if kind == torch.bfloat16 else 2**-11  # half of the distance to the next number, of 1
    for name, value in expected.items():
        assert found[name].dtype == kind
        assert (found[name] - value).abs().max() <= 3 * step * value.abs().max(), name


def test_bfloat16_with_offsets_of_float32_as_the_layers_have_them():
    arguments = random_arguments(**CASES["odd"])
    given = typed(arguments, torch.bfloat16) | {key: arguments[key].float() for key in ("offset", "modulation")}
    found, expected = gradients(given, path="triton"), gradients(given, path="plain")
    assert found["output"].dtype == torch.bfloat16
    assert found["offset"].dtype == found["modulation"].dtype == torch.float32
    for name, value in expected.items():
        assert (found[name] - value).abs().max() <= 2**-6 * value.abs().max(), name


def test_factors_of_two_types_are_multiplied_in_float32():
    arguments = typed(random_arguments(**CASES["odd"]), torch.float32)
    arguments["x"] = arguments["x"].bfloat16()
    found, expected = gradients(arguments, path="triton"), gradients(arguments, path="plain")
    assert found["output"].dtype == torch.float32
    torch.testing.assert_close(found["output"], expected["output"], rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(found["weight"], expected["weight"], rtol=2e-5, atol=2e-5)


def test_whole_offsets_have_the_right_hand_gradient():
    arguments = typed(random_arguments(**CASES["odd"]), torch.float32)
    arguments["offset"] = arguments["offset"].round()
    found, expected = gradients(arguments, path="triton"), gradients(arguments, path="plain")
    torch.testing.assert_close(found["offset"], expected["offset"], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("left_out", [("bias",), ("modulation",), ("bias", "modulation")])
def test_without_bias_or_modulation(left_out):
    arguments = typed(random_arguments(**CASES["odd"]), torch.float32) | dict.fromkeys(left_out)
    found, expected = gradients(arguments, path="triton"), gradients(arguments, path="plain")
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["x", "offset", "weight", "modulation"])
def test_only_the_gradient_asked_for(name):
    arguments = typed(random_arguments(**CASES["groups"]), torch.float32)
    expected = gradients(arguments, path="plain")[name]
    given = {**arguments, name: arguments[name].clone().requires_grad_()}
    output = deform_conv3d(**given, path="triton")
    output.backward(torch.linspace(-1, 1, output.numel()).view(output.shape))
    torch.testing.assert_close(given[name].grad, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("far", [1e30, -1e30, math.inf, -math.inf])
def test_far_away_and_infinite(far):
    arguments = typed(random_arguments(**CASES["odd"]), torch.float32)
    found = gradients({**arguments, "offset": torch.full_like(arguments["offset"], far)}, path="triton")
    assert torch.equal(found["output"], arguments["bias"].view(-1, 1, 1, 1).expand_as(found["output"]))
    assert not found["offset"].any()
    assert not found["x"].any()
    assert not found["modulation"].any()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of the interpreter
@pytest.mark.parametrize("where", ["offset", "modulation", "x", "weight"])
@pytest.mark.parametrize("what", [math.nan, math.inf])
def test_numbers_that_are_not_finite_go_where_the_plain_path_sends_them(where, what):
    arguments = typed(random_arguments(**CASES["odd"]), torch.float32)
    middle = tuple(size // 2 for size in arguments[where].shape)
    arguments[where][middle] = what
    found, expected = gradients(arguments, path="triton"), gradients(arguments, path="plain")
    for name, value in expected.items():
        assert torch.equal(found[name].isfinite(), value.isfinite()), name
        kept = value.isfinite()
        torch.testing.assert_close(found[name][kept], value[kept], rtol=2e-5, atol=2e-5)


def test_an_empty_batch_is_an_empty_result():
    found = gradients(typed(random_arguments(0, padding=1), torch.float32), path="triton")
    assert found["output"].shape == (0, 6, 2, 4, 5)
    assert not found["weight"].any()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of the interpreter
def test_float16_beyond_its_range_is_infinite_and_nothing_else_is():
    arguments = typed(random_arguments(**CASES["odd"]), torch.float16)
    arguments["x"] = arguments["x"] * 6e4
    arguments["modulation"] = arguments["modulation"] * 4
    found, expected = gradients(arguments, path="triton"), gradients(arguments, path="plain")
    assert found["output"].isinf().any()
    assert not found["output"].isnan().any()
    inside = expected["output"].float().abs() < 6e4
    assert found["output"][inside].isfinite().all()


def test_memory_that_is_not_contiguous():
    arguments = typed(random_arguments(**CASES["groups"]), torch.float32)
    strange = {
        key: value.transpose(-1, -2).contiguous().transpose(-1, -2) if isinstance(value, torch.Tensor) else value
        for key, value in arguments.items()
        if key not in ("bias",)
    } | {"bias": torch.stack((arguments["bias"],) * 2, dim=1)[:, 0]}
    assert not strange["x"].is_contiguous()
    torch.testing.assert_close(deform_conv3d(**strange, path="triton"), deform_conv3d(**arguments, path="plain"))


def test_shares_of_the_rows_add_up(monkeypatch):
    arguments = typed(random_arguments(**CASES["groups"]), torch.float32)
    expected = gradients(arguments, path="plain")["weight"]
    for programs in (1, 100):
        monkeypatch.setattr(module, "_PROGRAMS", programs)
        found = gradients(arguments, path="triton")["weight"]
        torch.testing.assert_close(found, expected, rtol=2e-5, atol=2e-5)
    monkeypatch.setattr(module, "_SHARES_BYTES", 0)
    torch.testing.assert_close(gradients(arguments, path="triton")["weight"], expected, rtol=2e-5, atol=2e-5)


def test_a_card_that_has_no_room_gets_smaller_tiles(monkeypatch):
    arguments = typed(random_arguments(**CASES["wide"]), torch.float32)
    monkeypatch.setattr(module, "_TABLE", {key: Tiles(32, 32, 32, 4, 1) for key in module._TABLE})
    seen, real = [], module.kernels.convolve

    class Refusing:
        def __getitem__(self, grid):
            def run(*given, **constants):
                seen.append((constants["BLOCK_M"], constants["BLOCK_O"], constants["BLOCK_C"]))
                if max(seen[-1]) > 16:
                    raise module.OutOfResources(300000, 232448, "shared memory")
                return real[grid](*given, **constants)

            return run

    monkeypatch.setattr(module.kernels, "convolve", Refusing())
    found = deform_conv3d(**arguments, path="triton")
    assert seen == [(32, 32, 32), (16, 32, 32), (16, 16, 32), (16, 16, 16)]
    torch.testing.assert_close(found, deform_conv3d(**arguments, path="plain"), rtol=2e-5, atol=2e-5)
