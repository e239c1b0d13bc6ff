"""The probe for bfloat16 says what really happens on this processor, as it is and held back."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from rotoscope.inference.prepare import prepare
from rotoscope.ops import bfloat16
from rotoscope.ops.bfloat16 import why_no_bfloat16
from tests.processor import HELD_TO_AVX2, x86_only

CPU = torch.device("cpu")


@pytest.fixture
def afresh():
    """Nothing remembered, before and after."""
    why_no_bfloat16.cache_clear()
    yield
    why_no_bfloat16.cache_clear()


def small():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8))


def test_it_says_what_happens_to_a_network():
    network = prepare(small(), CPU, torch.bfloat16)
    x = torch.rand(1, 3, 9, 9).bfloat16().contiguous(memory_format=torch.channels_last)
    said = None
    with torch.inference_mode():
        try:
            network(x)
        except RuntimeError as error:
            said = str(error)
    assert why_no_bfloat16(CPU) == said


@pytest.mark.usefixtures("afresh")
def test_it_leaves_nothing_behind():
    before = torch.get_rng_state()
    with torch.autocast("cpu", torch.bfloat16):  # must not hide the way that inference takes
        found = why_no_bfloat16(CPU)
        assert torch.is_autocast_enabled("cpu")
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)
    why_no_bfloat16.cache_clear()
    assert why_no_bfloat16(CPU) == found


@pytest.mark.usefixtures("afresh")
@pytest.mark.parametrize("kind", ["_run_pictures", "_run_clips"])
def test_a_kind_that_fails_is_told_in_one_line_and_tried_once(monkeypatch, kind):
    calls = []

    def fails(device):
        calls.append(device)
        raise RuntimeError("it needs more\nC++ stack: ...")

    monkeypatch.setattr(bfloat16, "_run_pictures", lambda device: None)
    monkeypatch.setattr(bfloat16, kind, fails)
    assert why_no_bfloat16(CPU) == why_no_bfloat16(CPU) == "it needs more"
    assert calls == [CPU]


@pytest.mark.usefixtures("afresh")
def test_a_full_memory_is_no_answer(monkeypatch):
    def full(device):
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(bfloat16, "_run_pictures", full)
    with pytest.raises(torch.OutOfMemoryError):
        why_no_bfloat16(CPU)
    monkeypatch.undo()
    why_no_bfloat16(CPU)  # and is not remembered


@x86_only
def test_a_processor_held_to_avx2():
    code = "import torch; from rotoscope.ops.bfloat16 import why_no_bfloat16 as why; print(why(torch.device('cpu')))"
    done = subprocess.run([sys.executable, "-c", code], env=HELD_TO_AVX2, capture_output=True, text=True, check=True)
    assert "bf16 path needs the cpu support" in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
