"""Products of tall matrices in float32 on a CPU through the library that convolutions use.

torch gives `mm` to another library, which on some processors reaches less than half of the speed: on one AVX-512 core,
(900, 6912) times (6912, 256) ran at 76 GFLOP/s through `mm` and at 180 through oneDNN (torch 2.13). torch's own
compiler calls the operator that is used here. Elsewhere, and in other types, this is `mm`.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor


def times_transposed(a: Tensor, b: Tensor) -> Tensor:
    """Multiply a by b transposed: (n, k), (m, k) -> (n, m); either may be a transposed view. Not differentiable."""
    if (
        a.device.type == "cpu"
        and a.dtype == b.dtype == torch.float32
        and a.numel() > 0
        and b.numel() > 0
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    ):
        return cast(Tensor, torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""))
    return torch.mm(a, b.t())
