"""Gradients in bfloat16 on a CPU are right where torch's own are not."""

import pytest
import torch
from torch import nn

from rotoscope.training.doubtful_gradients import CarefulConv2d, CarefulConv3d, replace_in


@pytest.mark.parametrize(("kernel", "size"), [((3, 3, 3), (2, 8, 8)), ((1, 7, 1), (4, 2, 8)), ((3, 3, 3), (4, 6, 6))])
def test_where_maps_are_shorter_than_kernels(kernel, size):
    conv = nn.Conv3d(32, 32, kernel, padding=tuple(side // 2 for side in kernel))
    assert worst_error(conv, torch.randn(2, 32, *size), CarefulConv3d) < 0.02


@pytest.mark.parametrize("size", [(16, 28), (18, 32), (20, 48)])
def test_of_dilated_depthwise_convolutions(size):
    conv = nn.Conv2d(64, 64, 3, padding=2, dilation=2, groups=64)
    x = torch.randn(2, 64, *size).to(memory_format=torch.channels_last)
    assert worst_error(conv, x, CarefulConv2d) < 0.02
    conv = nn.Conv3d(64, 64, 3, padding=(1, 2, 2), dilation=(1, 2, 2), groups=64)
    x = torch.randn(1, 64, 6, *size).to(memory_format=torch.channels_last_3d)
    assert worst_error(conv, x, CarefulConv3d) < 0.02


def test_only_plain_convolutions_with_several_taps_are_replaced():
    class Own(nn.Conv2d):
        pass

    network = nn.Sequential(nn.Conv2d(2, 2, 1), Own(2, 2, 3), nn.Conv2d(2, 2, 3))
    replace_in(network)
    assert [type(layer) for layer in network] == [nn.Conv2d, Own, CarefulConv2d]


def worst_error(conv, x, careful):
    """Largest error of the weights' gradient, as a share of the largest gradient."""
    torch.manual_seed(0)
    network = nn.Sequential(conv)
    replace_in(network)
    same = type(network[0]) is careful and network[0].weight is conv.weight
    direction = torch.randn_like(conv(x))
    conv(x).backward(direction)
    expected = conv.weight.grad.clone()
    worst = 0.0 if same else float("inf")
    for _ in range(4):
        conv.weight.grad = None
        unclean = torch.full((1_000_000,), 3e38)  # freed memory that a gradient never written would show
        del unclean
        with torch.autocast("cpu", torch.bfloat16):
            network(x).float().backward(direction)
        error = float((conv.weight.grad - expected).abs().max() / expected.abs().max())
        worst = max(worst, error if error == error else float("inf"))
    return worst
