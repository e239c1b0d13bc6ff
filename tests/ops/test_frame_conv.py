import pytest
import torch
from torch import nn
from torch.nn import functional

from rotoscope.ops.depthwise import DepthwiseConv3d
from rotoscope.ops.frame_conv import FrameConv3d, convolve_frames, frames_apart, keeps_frames
from rotoscope.ops.fused import convolve

CASES = {  # kernel, stride, padding, dilation, groups
    "point": (1, 1, 0, 1, 1),
    "strided point": (1, (1, 2, 2), 0, 1, 1),
    "stem": ((1, 3, 3), (1, 2, 2), (0, 1, 1), 1, 1),
    "tall": ((1, 7, 1), 1, (0, 3, 0), 1, 1),
    "depth-wise": (3, 1, 1, 1, 8),
    "dilated depth-wise": (3, 1, (1, 2, 2), (1, 2, 2), 8),
    "dilated in time": (3, 1, (2, 1, 1), (2, 1, 1), 1),
    "two groups": (3, (1, 2, 2), 1, 1, 2),
}


def _clip(frames, height=9, width=11, channels=8):
    x = torch.randn(2, channels, frames, height, width)
    return x.contiguous(memory_format=torch.channels_last_3d).requires_grad_()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_equal_the_plain_convolution(case, activation, bias):
    torch.manual_seed(0)
    kernel, stride, padding, dilation, groups = CASES[case]
    conv = nn.Conv3d(8, 16, kernel, stride, padding, dilation, groups, bias)
    x = _clip(1 if conv.kernel_size[0] > 1 else 3)
    assert frames_apart(x, conv)
    y = convolve_frames(x, conv, activation)
    plain = functional.conv3d(x, conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, groups)
    wanted = {"none": lambda z: z, "relu": functional.relu, "relu6": functional.relu6}[activation](plain)
    torch.testing.assert_close(y, wanted, rtol=1e-4, atol=1e-5)
    assert y.is_contiguous(memory_format=torch.channels_last_3d)
    grad = torch.randn_like(wanted)
    found = torch.autograd.grad(y, (x, *conv.parameters()), grad)
    for one, other in zip(found, torch.autograd.grad(wanted, (x, *conv.parameters()), grad), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_what_mixes_time_or_has_no_gradient_takes_the_usual_way():
    conv = nn.Conv3d(8, 8, 3, padding=1)
    assert not frames_apart(_clip(2), conv)
    assert not frames_apart(_clip(1).double(), conv.double())
    with torch.no_grad():
        assert not frames_apart(_clip(1), nn.Conv3d(8, 8, 1))
    with torch.autocast("cpu"):
        assert not frames_apart(_clip(1), nn.Conv3d(8, 8, 1))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv3d(8, 8, 3),  # fewer frames come out
        nn.Conv3d(8, 8, (2, 1, 1)),
        nn.Conv3d(8, 8, 3, (2, 1, 1), 1),
        nn.Conv3d(8, 8, 3, padding="same"),
        nn.Conv3d(8, 8, 3, padding=1, padding_mode="replicate"),
    ],
)
def test_a_convolution_that_changes_the_frames_is_none_of_them(conv):
    assert not keeps_frames(conv)
    assert FrameConv3d.replace_in(nn.Sequential(conv)) == 0


def test_a_network_trains_the_same_and_may_add_in_place():
    torch.manual_seed(1)
    plain = nn.Sequential(nn.Conv3d(8, 8, 1), nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1)))
    network = nn.Sequential(nn.Conv3d(8, 8, 1), nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1)))
    network.load_state_dict(plain.state_dict())
    assert FrameConv3d.replace_in(network) == 2
    assert list(network.state_dict()) == list(plain.state_dict())
    x = _clip(2)
    found, wanted = network[1](network[0](x)).add_(x), plain[1](plain[0](x)) + x
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    found.square().sum().backward()
    wanted.square().sum().backward()
    for one, other in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-4)


def test_an_activated_map_that_is_changed_later_is_told_when_gradients_are_asked_for():
    y = convolve(_clip(1), nn.Conv3d(8, 8, 1), "relu")
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_depthwise_takes_pictures_as_a_batch():
    torch.manual_seed(2)
    layer = DepthwiseConv3d(8, (3, 3, 3), (1, 2, 2))
    x = _clip(1, 13, 8)
    y = layer(x)
    wanted = functional.conv3d(x, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation, 8)
    torch.testing.assert_close(y, wanted, rtol=1e-4, atol=1e-5)
    found = torch.autograd.grad(y.square().sum(), layer.weight)
    torch.testing.assert_close(found, torch.autograd.grad(wanted.square().sum(), layer.weight), rtol=1e-4, atol=1e-3)
