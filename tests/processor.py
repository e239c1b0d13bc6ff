"""What the processor at hand can do, and how to hold it back."""

import os
import platform

import pytest
import torch

from rotoscope.ops.bfloat16 import why_no_bfloat16

REASON = why_no_bfloat16(torch.device("cpu"))
# For tests that run a network in bfloat16 on the CPU; where the library cannot, they are skipped in its own words.
needs_bfloat16 = pytest.mark.skipif(REASON is not None, reason=f"no bfloat16 on this CPU: {REASON}")
BFLOAT16 = pytest.param(torch.bfloat16, marks=needs_bfloat16)

# The environment of a program that is to find no more than AVX2.
HELD_TO_AVX2 = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
x86_only = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="only x86 can be held to AVX2")
