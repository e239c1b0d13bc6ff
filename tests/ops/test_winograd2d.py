"""3x3 and 1x1 convolutions of pictures in other forms: the same results, and only where they fit."""

import pytest
import torch
from torch import nn

from rotoscope.ops.pointwise import PointwiseConv2d
from rotoscope.ops.winograd2d import WinogradConv2d, pays, winograd_conv2d


def made(batch, inputs, outputs, height, width, bias=True):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, inputs, height, width, generator=generator).contiguous(memory_format=torch.channels_last)
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias).requires_grad_(False)
    return x, conv


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (4, 4), (17, 30), (33, 16)])
@pytest.mark.parametrize(("inputs", "outputs", "bias"), [(5, 7, True), (32, 16, False)])
@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_as_direct(size, inputs, outputs, bias, workers):
    x, conv = made(2, inputs, outputs, *size, bias)
    found = winograd_conv2d(x, conv.weight, conv.bias, workers)
    expected = torch.nn.functional.conv2d(
        x.double(), conv.weight.double(), None if conv.bias is None else conv.bias.double(), padding=1
    )
    assert found.shape == expected.shape
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert float((found - expected).abs().max()) < 2e-5 * float(expected.abs().max())


def test_a_weight_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="expected"):
        winograd_conv2d(torch.zeros(1, 4, 8, 8), torch.zeros(4, 3, 3, 3))
    for module in (WinogradConv2d, PointwiseConv2d):
        with pytest.raises(ValueError, match="expected"):
            module.from_conv(nn.Conv2d(4, 4, 5))


def test_it_is_chosen_for_large_wide_maps_only():
    assert pays(torch.empty(1, 256, 88, 156, device="meta"), 256, 1)
    assert pays(torch.empty(1, 512, 44, 78, device="meta"), 256, 1)
    assert not pays(torch.empty(1, 256, 12, 21, device="meta"), 256, 1)
    assert not pays(torch.empty(1, 64, 88, 156, device="meta"), 64, 1)
    assert not pays(torch.empty(1, 256, 0, 156, device="meta"), 256, 1)


def test_the_module_is_the_convolution():
    x, conv = made(1, 256, 256, 60, 80)
    network = nn.Sequential(conv, nn.Conv2d(256, 8, 3, stride=2, padding=1), nn.Conv2d(8, 8, 3, padding=1))
    assert WinogradConv2d.replace_in(network) == 1
    assert list(network.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight", "2.bias"]
    with torch.inference_mode():
        found, expected = network[0](x), conv(x)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        assert network[0](x.double().float().bfloat16().float()[:, :, :3]).shape == (1, 256, 3, 80)
    trained = WinogradConv2d.from_conv(nn.Conv2d(256, 256, 3, padding=1))
    trained(x).sum().backward()
    assert trained.weight.grad is not None


@pytest.mark.parametrize(("stride", "bias"), [(1, True), (1, False), (2, True)])
def test_one_by_one(stride, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(12, 20, 1, stride, bias=bias)
    network = nn.Sequential(conv, nn.Conv2d(20, 20, 1, groups=4), nn.Conv2d(20, 4, 1, padding=1))
    assert PointwiseConv2d.replace_in(network) == 1
    fast = network[0]
    for layout in (torch.channels_last, torch.contiguous_format):
        x = torch.randn(2, 12, 9, 11).contiguous(memory_format=layout)
        with torch.inference_mode():
            torch.testing.assert_close(fast(x), conv(x), rtol=1e-5, atol=1e-5)
    fast(torch.randn(1, 12, 4, 4)).sum().backward()
    assert conv.weight.grad is not None
