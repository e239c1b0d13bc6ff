"""Gradients in bfloat16 on a CPU are right where maps are shorter than kernels."""

import pytest
import torch
from torch import nn

from rotoscope.training.short_sides import ShortSideConv3d, replace_in


@pytest.mark.parametrize(("kernel", "size"), [((3, 3, 3), (2, 8, 8)), ((1, 7, 1), (4, 2, 8)), ((3, 3, 3), (4, 6, 6))])
def test_the_gradient_is_that_of_float32(kernel, size):
    torch.manual_seed(0)
    conv = nn.Conv3d(32, 32, kernel, padding=tuple(side // 2 for side in kernel))
    network = nn.Sequential(conv)
    replace_in(network)
    assert type(network[0]) is ShortSideConv3d
    assert network[0].weight is conv.weight
    x, direction = torch.randn(2, 32, *size), torch.randn(2, 32, *size)
    conv(x).backward(direction)
    expected = conv.weight.grad.clone()
    for _ in range(4):
        conv.weight.grad = None
        unclean = torch.full((1_000_000,), 3e38)  # freed memory that a gradient never written would show
        del unclean
        with torch.autocast("cpu", torch.bfloat16):
            network(x).float().backward(direction)
        assert (conv.weight.grad - expected).abs().max() < 0.02 * expected.abs().max()
