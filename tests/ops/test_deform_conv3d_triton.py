"""The deformable convolution's Triton kernels: in the interpreter, in the compiler, as the choice on CUDA, on a GPU.

Without a GPU the kernels run in Triton's interpreter (`interpreted_deform_conv3d.py`, in a process of its own) and are
compiled for cards that are not there; only the tests marked gpu run what was compiled.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rotoscope.ops import deform_conv3d as module
from rotoscope.ops.deform_conv3d import deform_conv3d
from tests.ops.test_deform_conv3d import gradients, random_arguments, tensors

HERE = Path(__file__).parent
with_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


def run(*command, **environment):
    root = str(HERE.parent.parent)
    paths = os.pathsep.join(filter(None, (str(Path(root, "src")), root, os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
    )


@with_triton
def test_the_kernels_in_the_interpreter():
    done = run(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "", str(HERE / "interpreted_deform_conv3d.py")),
        TRITON_INTERPRET="1",
        CUDA_VISIBLE_DEVICES="",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout or "[100%]" in done.stdout, done.stdout


@with_triton
@pytest.mark.parametrize(("capability", "channels", "outputs"), [(90, 256, 256), (80, 40, 24)])
def test_the_kernels_compile_for_cards_that_are_not_here(capability, channels, outputs, tmp_path):
    numbers = ("--capability", capability, "--channels", channels, "--outputs", outputs)
    done = run("scripts/compile_kernels.py", *map(str, numbers), TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == 9
    for report in reports:
        assert report["shared"] <= {90: 227, 80: 99}[capability] << 10, report  # 99 KiB: what cards of 8.6 have
        assert report["spilled"] <= 128, report
        if report["factors"] != "ieee":
            assert report["wgmma" if capability == 90 else "mma"] > 0, report


def test_the_path_that_is_asked_for_must_be_there(monkeypatch):
    arguments = random_arguments(padding=1)
    with pytest.raises(ValueError, match="no argument of float64"):
        deform_conv3d(**arguments, path="triton")
    single = {key: value.float() if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs Triton installed"):
        deform_conv3d(**single, path="triton")
    assert deform_conv3d(**single).shape == (2, 6, 2, 4, 5)


@with_triton
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_compiled_kernels_are_for_cuda():
    single = {k: v.float() if isinstance(v, torch.Tensor) else v for k, v in random_arguments(padding=1).items()}
    with pytest.raises(ValueError, match="the triton path is for CUDA, x is on cpu"):
        deform_conv3d(**single, path="triton")


def test_a_cpu_needs_no_triton():
    script = (
        "import sys\n"
        "sys.modules['triton'] = None\n"
        "import torch\n"
        "from rotoscope.ops.deform_conv3d import deform_conv3d\n"
        "x = torch.ones(1, 1, 1, 2, 2).requires_grad_()\n"
        "deform_conv3d(x, torch.zeros(1, 3, 1, 2, 2), torch.ones(1, 1, 1, 1, 1)).sum().backward()\n"
        "print('rotoscope.ops.deform_conv3d_triton' in sys.modules, x.grad.flatten().tolist())\n"
    )
    done = run("-c", script)
    assert done.stdout.strip() == "False [1.0, 1.0, 1.0, 1.0]", done.stderr


def test_kernels_that_do_not_run_give_way_to_the_plain_path_with_one_warning(monkeypatch):
    arguments = random_arguments(padding=1)
    single = {key: value.float() if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}
    expected = gradients(single, path="plain")
    monkeypatch.setattr(module, "_failures", [])
    monkeypatch.setattr(module, "_serves", lambda path, *_: path == "auto" and not module._failures)
    with pytest.warns(RuntimeWarning, match="do not run here") as seen:
        found = gradients(single)
    assert len([one for one in seen if one.category is RuntimeWarning]) == 1
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(module, "_by_triton", lambda *_: pytest.fail("tried again"))
    deform_conv3d(**single)


def test_when_the_kernels_serve(monkeypatch):
    class Volume:
        device, shape = torch.device("cuda"), (1, 2, 3)

        def numel(self):
            return 6

    monkeypatch.setattr(module, "_failures", [])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert module._serves("auto", Volume(), torch.float32)
    assert not module._serves("plain", Volume(), torch.float32)
    assert not module._serves("auto", Volume(), torch.float64)
    assert not module._serves("auto", torch.ones(1), torch.float32)
    assert not module._serves("triton", torch.ones(0), torch.float32)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert not module._serves("auto", Volume(), torch.float32)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(module, "_failures", ["no compiler"])
    assert not module._serves("auto", Volume(), torch.float32)


def on_gpu(kind, **how):
    arguments = random_arguments(**how)
    return {
        key: value.to("cuda", kind) if isinstance(value, torch.Tensor) else value for key, value in arguments.items()
    }


GPU_CASES = {
    "whole_kernel": {"channels": 32, "out": 48, "size": (3, 9, 11), "padding": 1},
    "odd": {"channels": 5, "out": 3, "size": (2, 7, 9), "kernel": (1, 2, 3), "stride": (1, 2, 1), "padding": (0, 1, 1)},
    "groups": {"channels": 24, "out": 16, "size": (3, 6, 7), "groups": 2, "offset_groups": 3, "dilation": (1, 2, 1)},
    "far": {"channels": 16, "size": (2, 6, 7), "padding": 1, "reach": 30.0},
    "wide": {"batch": 1, "channels": 300, "out": 290, "size": (2, 9, 10), "padding": 1},
}


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", GPU_CASES)
def test_gpu_equals_the_plain_path(case, kind):
    arguments = on_gpu(kind, **GPU_CASES[case])
    found, expected = gradients(arguments, path="triton"), gradients(arguments, path="plain")
    for name, value in expected.items():
        limit = {torch.float32: 1e-5, torch.bfloat16: 2**-6, torch.float16: 2**-9}[kind] * float(value.abs().max())
        assert found[name].dtype == value.dtype
        assert (found[name].float() - value.float()).abs().max() <= limit, name


@pytest.mark.gpu
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_gpu_large(kind):
    arguments = on_gpu(kind, batch=1, channels=256, out=256, size=(8, 60, 107), padding=1, reach=1.0)
    found, expected = gradients(arguments, path="triton"), gradients(arguments, path="plain")
    for name, value in expected.items():
        spread = (found[name].float() - value.float()).square().mean().sqrt() / value.float().square().mean().sqrt()
        assert spread <= (1e-5 if kind == torch.float32 else 1e-2), name


@pytest.mark.gpu
def test_gpu_more_than_32_bits_of_numbers():
    x = torch.zeros(1, 64, 9, 1024, 4096, dtype=torch.bfloat16, device="cuda")  # 2.4 thousand million numbers
    x = x.contiguous(memory_format=torch.channels_last_3d)
    x[0, :, 8, -1, -1] = 1
    offset = torch.zeros(1, 3, 1, 1024, 4096, device="cuda")
    offset[:, 0] = 8
    weight = torch.ones(16, 64, 1, 1, 1, dtype=torch.bfloat16, device="cuda")
    found = deform_conv3d(x, offset, weight, stride=(9, 1, 1), path="triton")
    assert found[0, :, 0, -1, -1].eq(64).all()
    assert found.sum() == 64 * 16


@pytest.mark.gpu
@pytest.mark.filterwarnings("error")
def test_gpu_chooses_the_kernels_and_repeats():
    arguments = on_gpu(torch.float32, **GPU_CASES["whole_kernel"])
    chosen, asked = gradients(arguments), gradients(arguments, path="triton")
    for name in ("output", "offset", "weight", "bias", "modulation"):
        assert torch.equal(chosen[name], asked[name]), name
    assert not module._failures


@pytest.mark.gpu
def test_gpu_gradients_that_repeat_where_torch_is_told_so():
    arguments = on_gpu(torch.float32, **GPU_CASES["whole_kernel"])
    torch.use_deterministic_algorithms(True)
    try:
        one, other = gradients(arguments), gradients(arguments)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(one["x"], other["x"])


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")
def test_gpu_compiled_and_mixed_precision():
    arguments = on_gpu(torch.float32, **GPU_CASES["whole_kernel"])
    expected = deform_conv3d(**arguments)
    compiled = torch.compile(deform_conv3d, fullgraph=True)
    torch.testing.assert_close(compiled(**arguments), expected)
    with torch.autocast("cuda", torch.bfloat16):
        torch.testing.assert_close(deform_conv3d(**arguments), expected)


@pytest.mark.gpu
def test_gpu_keeps_no_columns():
    arguments = on_gpu(torch.bfloat16, batch=1, channels=256, out=256, size=(8, 60, 107), padding=1)
    gradients(arguments, path="triton")
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    gradients(arguments, path="triton")
    grown = torch.cuda.max_memory_allocated() - before
    given = sum(value.numel() * value.element_size() for value in tensors(arguments).values())
    columns = 27 * 256 * 8 * 60 * 107 * 2
    assert grown < 4 * given + (128 << 20) < columns
