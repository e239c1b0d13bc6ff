import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from rotoscope.ops.depthwise import DepthwiseConv3d

CASES = [((1, 1, 1), (1, 1, 1)), ((1, 2, 2), (1, 1, 1)), ((1, 1, 1), (1, 2, 2)), ((2, 2, 2), (1, 1, 1))]


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(CASES),
    st.sampled_from([1, 3]),
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    st.booleans(),
)
def test_values_and_gradients_equal_the_plain_convolution(geometry, taps, shape, bias):
    stride, dilation = geometry
    batch, frames, height, width = shape
    torch.manual_seed(0)
    layer = DepthwiseConv3d(4, (taps, 3, 3), stride, dilation, bias).double()
    x = torch.randn(batch, 4, frames, height, width, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    y = layer(x)
    expected = functional.conv3d(x, layer.weight, layer.bias, stride, layer.padding, dilation, 4)
    torch.testing.assert_close(y, expected)
    grad = torch.randn_like(y)
    found = torch.autograd.grad(y, (x, *layer.parameters()), grad)
    wanted = torch.autograd.grad(expected, (x, *layer.parameters()), grad)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)  # weight gradients are summed in float32


@pytest.mark.parametrize(("stride", "dilation"), CASES)
def test_bfloat16_stays_near_float32(stride, dilation):
    torch.manual_seed(0)
    layer = DepthwiseConv3d(8, (3, 3, 3), stride, dilation).bfloat16()
    x = torch.randn(2, 8, 4, 13, 15).bfloat16().contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    y = layer(x)
    exact = functional.conv3d(x.float(), layer.weight.float(), layer.bias.float(), stride, layer.padding, dilation, 8)
    torch.testing.assert_close(y.float(), exact, rtol=0.02, atol=0.02)
    grad = torch.randn_like(y)
    found = torch.autograd.grad(y, (x, layer.weight), grad)
    wanted = torch.autograd.grad(exact, (x, layer.weight), grad.float())
    for a, b in zip(found, wanted, strict=True):
        assert float((a.float() - b.float()).abs().max() / b.float().abs().max()) < 0.02
    with torch.inference_mode():
        torch.testing.assert_close(layer(x).float(), exact, rtol=0.02, atol=0.02)
