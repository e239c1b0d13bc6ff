import pytest
import torch
from torch import nn
from torch.nn import functional

from rotoscope.ops.depthwise import DepthwiseConv3d
from rotoscope.ops.fused import convolve
from tests.processor import needs_bfloat16


def layers():
    torch.manual_seed(0)
    yield nn.Conv3d(8, 12, 1)
    yield nn.Conv3d(8, 12, 3, padding=1, bias=False)
    yield nn.Conv3d(8, 8, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    yield DepthwiseConv3d(8, (3, 3, 3))
    yield DepthwiseConv3d(8, (3, 3, 3), (1, 2, 2))
    yield DepthwiseConv3d(8, (3, 3, 3), (1, 1, 1), (1, 2, 2))


@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize(
    ("dtype", "layout"),
    [
        (torch.float32, torch.contiguous_format),
        (torch.float32, torch.channels_last_3d),
        (torch.bfloat16, torch.contiguous_format),  # by torch's own convolution, which takes it anywhere
        pytest.param(torch.bfloat16, torch.channels_last_3d, marks=needs_bfloat16),
    ],
)
def test_equals_convolution_then_activation(activation, dtype, layout):
    for layer in layers():
        conv = layer.to(dtype)
        x = (4 * torch.randn(2, 8, 3, 9, 11)).to(dtype).contiguous(memory_format=layout)
        plain = functional.relu if activation == "relu" else functional.relu6
        with torch.inference_mode():
            torch.testing.assert_close(convolve(x, conv, activation), plain(conv(x)), rtol=1e-5, atol=1e-5)


def test_gradients_flow():
    conv = nn.Conv3d(2, 3, 3, padding=1)
    convolve(torch.randn(1, 2, 3, 4, 5), conv, "relu").sum().backward()
    assert conv.weight.grad is not None
