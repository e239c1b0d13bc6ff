"""Deformable 3D convolution: golden cases, the definition as loops, gradients, both paths, chunks, bad input."""

import itertools
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from rotoscope.ops import deform_conv3d as module
from rotoscope.ops.conv_geometry import output_size
from rotoscope.ops.deform_conv3d import deform_conv3d
from rotoscope.ops.products import times_transposed
from tests import golden

SYSTEM = "d2conv3d"
PATHS = ("plain", "fast")
STATUS = Path("/proc/self/status")


def arguments(case):
    given = {name: value.double() for name, value in golden.inputs(case).items()}
    if "then" in case["inputs"]["offset"]:
        given["offset"] = given["offset"].round()
    return given


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("chunk", [0, 7])
@pytest.mark.parametrize("case", golden.cases(SYSTEM, "operator"), ids=lambda case: case["name"])
def test_golden(case, path, chunk):
    expected, found = golden.arrays(SYSTEM, case), arguments(case)
    grad = found.pop("grad_output")
    for value in found.values():
        value.requires_grad_()
    output = deform_conv3d(
        found["input"],
        found["offset"],
        found["weight"],
        found.get("bias"),
        found.get("alpha"),
        **case["options"],
        path=path,
        chunk=chunk,
    )
    output.backward(grad)
    results = {"output": output, **{f"grad_{name}": value.grad for name, value in found.items()}}
    for name in case["outputs"]:
        golden.check(case, name, results[name], expected[name])


def random_arguments(
    batch=2,
    channels=4,
    out=6,
    size=(2, 4, 5),
    kernel=(3, 3, 3),
    groups=1,
    offset_groups=1,
    seed=0,
    reach=2.0,
    **geometry,
):
    """Float64 arguments of a small convolution; offsets uniform within `reach`."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1

    three = {key: (value,) * 3 if isinstance(value, int) else value for key, value in geometry.items()}
    target = output_size(
        size, kernel, three.get("stride", (1, 1, 1)), three.get("padding", (0, 0, 0)), three.get("dilation", (1, 1, 1))
    )
    points = math.prod(kernel) * offset_groups
    return {
        "x": draw(batch, channels, *size),
        "offset": draw(batch, 3 * points, *target) * reach,
        "weight": draw(out, channels // groups, *kernel),
        "bias": draw(out),
        "modulation": draw(batch, points, *target),
        "groups": groups,
        "offset_groups": offset_groups,
        **geometry,
    }


def tensors(arguments):
    return {key: value for key, value in arguments.items() if isinstance(value, torch.Tensor)}


def by_loops(x, offset, weight, bias, modulation, stride, padding, dilation, groups, offset_groups):
    """The definition, number by number."""
    batch, channels, *size = x.shape
    out, _, *kernel = weight.shape
    points = list(itertools.product(*map(range, kernel)))
    result = np.zeros((batch, out, *offset.shape[2:]))
    for n, *place in np.ndindex(batch, *offset.shape[2:]):
        for c in range(channels):
            group = c // (channels // offset_groups)
            for q, point in enumerate(points):
                at = [
                    place[a] * stride[a] - padding[a] + point[a] * dilation[a]
                    + offset[(n, 3 * (group * len(points) + q) + a, *place)]
                    for a in range(3)
                ]  # fmt: skip
                value = 0.0
                for corner in itertools.product(*((math.floor(p), math.floor(p) + 1) for p in at)):
                    if all(0 <= i < s for i, s in zip(corner, size, strict=True)):
                        value += x[(n, c, *corner)] * math.prod(1 - abs(p - i) for p, i in zip(at, corner, strict=True))
                value *= modulation[(n, group * len(points) + q, *place)]
                for o in range(out):
                    if o // (out // groups) == c // (channels // groups):
                        result[(n, o, *place)] += value * weight[(o, c % (channels // groups), *point)]
    return result + bias[:, None, None, None]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    size=st.tuples(*[st.integers(1, 4)] * 3),
    kernel=st.tuples(*[st.integers(1, 3)] * 3),
    stride=st.tuples(*[st.integers(1, 2)] * 3),
    padding=st.tuples(*[st.integers(1, 2)] * 3),
    dilation=st.tuples(*[st.integers(1, 2)] * 3),
    groups=st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 4), (4, 2)]),
    reach=st.sampled_from([0.0, 0.7, 3.0, 50.0]),
    whole=st.booleans(),
    path=st.sampled_from(PATHS),
    seed=st.integers(0, 99),
)
def test_equals_the_definition(size, kernel, stride, padding, dilation, groups, reach, whole, path, seed):
    padding = tuple(max(p, d * (k - 1)) for p, d, k in zip(padding, dilation, kernel, strict=True))  # so that it fits
    arguments = random_arguments(
        1, 4, 4, size, kernel, *groups, seed, reach, stride=stride, padding=padding, dilation=dilation
    )
    if whole:
        arguments["offset"] = arguments["offset"].round()
    expected = by_loops(**{k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in arguments.items()})
    np.testing.assert_allclose(deform_conv3d(**arguments, path=path, chunk=5).numpy(), expected, atol=1e-11)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("groups", "offset_groups"), [(1, 1), (2, 2), (4, 1)])
def test_gradients_are_those_of_the_function(path, groups, offset_groups):
    arguments = random_arguments(1, 4, 4, (2, 3, 2), (1, 2, 3), groups, offset_groups, padding=(0, 1, 1))
    names = list(tensors(arguments))
    rest = {key: value for key, value in arguments.items() if key not in names}

    def function(*values):
        return deform_conv3d(**dict(zip(names, values, strict=True)), **rest, path=path, chunk=3)

    assert torch.autograd.gradcheck(function, [arguments[name].requires_grad_() for name in names])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
def test_without_offsets_it_is_the_convolution(path, kind):
    arguments = random_arguments(size=(3, 6, 7), stride=(1, 2, 1), padding=(1, 2, 1), dilation=(1, 2, 1), groups=2)
    given = {key: value.to(kind) for key, value in tensors(arguments).items()}
    geometry = {key: arguments[key] for key in ("stride", "padding", "dilation", "groups")}
    found = deform_conv3d(
        given["x"], torch.zeros_like(given["offset"]), given["weight"], given["bias"], path=path, **geometry
    )
    ones = deform_conv3d(
        given["x"],
        torch.zeros_like(given["offset"]),
        given["weight"],
        given["bias"],
        torch.ones_like(given["modulation"]),
        path=path,
        **geometry,
    )
    expected = functional.conv3d(given["x"], given["weight"], given["bias"], **geometry)
    assert found.dtype == kind
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(ones, expected)


def gradients(arguments, **how):
    given = {key: value.clone().requires_grad_() for key, value in tensors(arguments).items()}
    output = deform_conv3d(**{**arguments, **given}, **how)
    output.backward(torch.linspace(-1, 1, output.numel()).view(output.shape).to(output))
    return {"output": output.detach(), **{key: value.grad for key, value in given.items()}}


@pytest.mark.parametrize(("groups", "offset_groups"), [(1, 1), (2, 2), (4, 2)])
def test_plain_equals_fast_and_chunked_equals_whole(groups, offset_groups):
    arguments = random_arguments(2, 8, 4, (3, 5, 6), groups=groups, offset_groups=offset_groups, padding=1)
    whole = gradients(arguments, path="plain", chunk=1000)
    for path, chunk in itertools.product(PATHS, (0, 1, 17)):
        found = gradients(arguments, path=path, chunk=chunk)
        for name, value in whole.items():
            torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10, msg=f"{name} {path} {chunk}")


def test_float32_paths_agree_and_repeat_exactly():
    arguments = random_arguments(1, 16, 8, (4, 9, 10), padding=1)
    arguments = {key: value.float() if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}
    plain, fast = (gradients(arguments, path=path, chunk=50) for path in PATHS)
    again = gradients(arguments, path="fast", chunk=50)
    for name, value in plain.items():
        torch.testing.assert_close(fast[name], value, rtol=1e-4, atol=1e-4, msg=name)
        assert torch.equal(fast[name], again[name]), name


@pytest.mark.parametrize("path", PATHS)
def test_the_result_may_be_changed_in_place(path):
    arguments = random_arguments(padding=1)
    given = {**arguments, "x": arguments["x"].clone().requires_grad_()}
    deform_conv3d(**given, path=path).relu_().sum().backward()
    (expected,) = torch.autograd.grad(deform_conv3d(**given, path=path).relu().sum(), [given["x"]])
    assert torch.equal(given["x"].grad, expected)


@pytest.mark.parametrize("path", PATHS)
def test_only_the_gradients_asked_for_are_computed(path):
    arguments = random_arguments(padding=1)
    for name in tensors(arguments):
        given = {**arguments, name: arguments[name].clone().requires_grad_()}
        (found,) = torch.autograd.grad(deform_conv3d(**given, path=path).square().sum(), [given[name]])
        expected = arguments[name].clone().requires_grad_()
        everything = {**{k: v.clone().requires_grad_() for k, v in tensors(arguments).items()}, name: expected}
        deform_conv3d(**{**arguments, **everything}, path="plain").square().sum().backward()
        torch.testing.assert_close(found, expected.grad)


def test_half_precision_sums_in_float32():
    arguments = random_arguments(1, 32, 8, (2, 5, 5), padding=1)
    half = {key: value.bfloat16() if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}
    exact = deform_conv3d(**{k: v.double() if isinstance(v, torch.Tensor) else v for k, v in half.items()})
    found = gradients(half)
    assert all(value.dtype == torch.bfloat16 for value in found.values())
    torch.testing.assert_close(found["output"], exact.bfloat16(), rtol=2**-7, atol=1e-5)


def test_autocast_leaves_the_sums_in_float32():
    arguments = random_arguments(1, 8, 4, padding=1)
    given = {key: value.float() if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}
    expected = gradients(given)
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(given)
        mixed = deform_conv3d(**{**given, "offset": given["offset"].bfloat16()})
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    assert mixed.dtype == torch.float32


def test_inference_mode_and_threads():
    arguments = random_arguments(padding=1)
    expected = deform_conv3d(**arguments, chunk=1000)
    with torch.inference_mode():
        torch.testing.assert_close(deform_conv3d(**arguments, chunk=3), expected)


def test_the_operator_is_registered_as_torch_wants():
    arguments = random_arguments(1, 2, 2, (2, 3, 3), padding=1)
    given = [value.requires_grad_() for value in tensors(arguments).values()]
    settings_ = ([1] * 11, "fast", 0)
    torch.library.opcheck(module._forward, (*given, *settings_))
    torch.library.opcheck(module._forward, (*given[:3], None, None, *settings_))
    x, offset, weight, _, modulation = (value.detach() for value in given)
    for needs in ([True] * 4, [False, True, False, True], [True, False, True, False]):
        grad = torch.randn(1, 2, 2, 3, 3, dtype=torch.float64)
        torch.library.opcheck(module._backward, (grad, x, offset, weight, modulation, *settings_, needs))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
def test_a_gpu_gives_the_same(kind):
    arguments = random_arguments(2, 8, 4, (3, 5, 6), groups=2, offset_groups=4, padding=1)
    given = {key: value.to(kind) if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}
    moved = {key: value.cuda() if isinstance(value, torch.Tensor) else value for key, value in given.items()}
    expected = gradients(given)
    for name, value in gradients(moved).items():
        limit = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 2e-2}[kind]
        torch.testing.assert_close(value.cpu(), expected[name], rtol=limit, atol=limit, msg=name)


def test_arithmetic_is_counted_without_memory():
    given = {key: value.to("meta") for key, value in tensors(random_arguments(padding=1)).items()}
    with FlopCounterMode(display=False) as counter:
        assert deform_conv3d(**given, padding=1).shape == (2, 6, 2, 4, 5)
    assert counter.get_total_flops() == 2 * 2 * 40 * 27 * (6 * 4 + 8 * 4)


BACKENDS = ["aot_eager", *(["inductor"] if shutil.which("g++") else [])]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled_gives_the_same(backend):
    arguments = random_arguments(1, 4, 4, padding=1)
    compiled = torch.compile(deform_conv3d, fullgraph=True, backend=backend)
    given = {key: value.clone().requires_grad_() for key, value in tensors(arguments).items()}
    output = compiled(**{**arguments, **given})
    output.backward(torch.linspace(-1, 1, output.numel()).view(output.shape).to(output))
    expected = gradients(arguments)
    assert torch.equal(output, expected["output"])
    for name, value in given.items():
        torch.testing.assert_close(value.grad, expected[name], rtol=1e-12, atol=1e-12, msg=name)


@pytest.mark.parametrize("path", PATHS)
def test_far_infinite_and_missing_numbers(path):
    arguments = random_arguments(1, 4, 4, (2, 3, 3), padding=1)
    bias = arguments["bias"].view(-1, 1, 1, 1)
    for far in (1e30, -1e30, math.inf, -math.inf):
        found = gradients({**arguments, "offset": torch.full_like(arguments["offset"], far)}, path=path)
        assert torch.equal(found["output"], bias.expand_as(found["output"][0])[None])
        assert not found["offset"].any()
        assert not found["x"].any()
    arguments["offset"][0, 30, 1, 1, 1] = math.nan
    found = gradients(arguments, path=path)
    missing = found["output"].isnan()
    assert missing[0, :, 1, 1, 1].all()
    assert missing.sum() == 4
    assert found["x"].isfinite().all()
    assert found["offset"].isnan().sum() <= 3


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("where", ["offset", "modulation", "x", "weight"])
def test_a_missing_number_spoils_what_it_takes_part_in_and_nothing_else(path, where):
    arguments = random_arguments(2, 4, 4, (2, 4, 4), (1, 2, 2), reach=0.3)
    arguments[where][1, :, 0, 0, 0] = math.nan
    found = gradients(arguments, path=path)["output"].isnan()
    assert found.any()
    if where == "weight":
        assert found[:, 1].all()
        assert not found[:, [0, 2, 3]].any()
    else:
        assert not found[0].any()
        assert found[1, :, 0, 0, 0].all()
        assert not found[1, :, :, -1, -1].any()


@pytest.mark.parametrize("path", PATHS)
def test_float16_beyond_its_range_is_infinite_and_nothing_is_missing(path):
    arguments = random_arguments(1, 4, 4, (2, 4, 4), padding=1)
    half = {key: value.half() if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}
    half["x"] = half["x"] * 6e4
    half["modulation"] = half["modulation"] * 4
    exact = deform_conv3d(**{k: v.double() if isinstance(v, torch.Tensor) else v for k, v in half.items()})
    found = gradients(half, path=path)
    assert found["output"].dtype == torch.float16
    beyond = exact.abs() > 65536
    assert beyond.any()
    assert torch.equal(found["output"][beyond].double(), exact[beyond].sign() * math.inf)
    assert found["output"][exact.abs() < 65472].isfinite().all()
    assert not any(value.isnan().any() for value in found.values())


@pytest.mark.parametrize("path", PATHS)
def test_it_can_be_differentiated_once(path):
    arguments = random_arguments(padding=1)
    x = arguments["x"].requires_grad_()
    output = deform_conv3d(**{**arguments, "weight": arguments["weight"].requires_grad_()}, path=path)
    (grad,) = torch.autograd.grad(output.square().sum(), [x], create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula"):
        grad.sum().backward()


@pytest.mark.parametrize("path", PATHS)
def test_what_is_not_finite_stays_where_it_is(path):
    arguments = random_arguments(1, 4, 4, (2, 4, 4), padding=1, reach=0.4)
    arguments["x"][0, :, 0, 0, 0] = math.inf
    found = deform_conv3d(**arguments, path=path)
    assert found[..., 3, 3].isfinite().all()  # reads outside, not at the first voxel


@pytest.mark.parametrize("path", PATHS)
def test_an_empty_batch_is_an_empty_result(path):
    found = gradients(random_arguments(0, padding=1), path=path)
    assert found["output"].shape == (0, 6, 2, 4, 5)
    assert not found["weight"].any()
    assert found["x"].shape == (0, 4, 2, 4, 5)


@pytest.mark.skipif(not STATUS.exists(), reason="the system does not tell the highest memory of a process")
def test_memory_is_bounded():
    script = (
        "import torch\n"
        "from pathlib import Path\n"
        "from rotoscope.ops.deform_conv3d import deform_conv3d\n"
        f"highest = lambda: int(Path('{STATUS}').read_text().split('VmHWM:')[1].split()[0]) / 1024\n"
        "torch.set_num_threads(1)\n"
        "def run(x, offset):\n"
        "    deform_conv3d(x, offset, w, padding=1).sum().backward()\n"
        "w = torch.randn(8, 128, 3, 3, 3).requires_grad_()\n"
        "run(torch.randn(1, 128, 2, 8, 8), torch.zeros(1, 81, 2, 8, 8).requires_grad_())\n"
        "x, offset = torch.randn(1, 128, 8, 48, 64), torch.zeros(1, 81, 8, 48, 64).requires_grad_()\n"
        "before = highest()\n"
        "run(x, offset)\n"
        "print(highest() - before)\n"
    )
    grown = float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
    columns = 27 * 128 * 8 * 48 * 64 * 4 / 2**20  # 324 MiB, twice in backward
    assert grown < 0.5 * columns


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset": torch.zeros(2, 80, 2, 4, 5)}, r"offset has shape \(2, 80, 2, 4, 5\); expected \(2, 81, 2, 4, 5\)"),
        ({"offset": torch.zeros(2, 81, 2, 4, 4)}, "expected"),
        ({"modulation": torch.zeros(2, 26, 2, 4, 5)}, r"modulation has shape .* expected \(2, 27, 2, 4, 5\)"),
        ({"bias": torch.zeros(5)}, "bias has shape"),
        ({"weight": torch.zeros(6, 3, 3, 3, 3)}, "weight takes 3 channels"),
        ({"x": torch.zeros(2, 4, 4, 5)}, "expected five dimensions"),
        ({"x": torch.zeros(2, 0, 2, 4, 5)}, "at least one each"),
        ({"modulation": torch.zeros(2, 27, 2, 4, 4)}, "modulation has shape"),
        ({"offset": torch.zeros(1, 81, 2, 4, 5)}, "offset has shape"),
        ({"groups": 3}, "do not divide"),
        ({"offset_groups": 3}, "do not divide"),
        ({"padding": 0}, "does not fit"),
        ({"stride": 0}, "expected at least 1"),
        ({"stride": (1, 1)}, "one number or three"),
        ({"offset": torch.zeros(2, 81, 2, 4, 5, dtype=torch.int64)}, "expected floats"),
        ({"path": "quick"}, "expected auto, plain, fast or triton"),
        ({"chunk": -1}, "0 or more"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        deform_conv3d(**{**random_arguments(padding=1), **change})


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_products(kind):
    a, b = torch.randn(5, 7, dtype=kind), torch.randn(3, 7, dtype=kind)
    torch.testing.assert_close(times_transposed(a, b), a @ b.t())
    torch.testing.assert_close(times_transposed(a.t().contiguous().t(), b), a @ b.t())
    assert times_transposed(a[:0], b).shape == (0, 3)
