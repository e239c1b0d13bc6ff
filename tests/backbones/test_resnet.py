import pytest
import torch
from torch import nn

from rotoscope.backbones.mask_decoder import MaskDecoder
from rotoscope.backbones.resnet import ResNet
from rotoscope.inference.prepare import fold_batch_norms


def random_norms(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.uniform_(0.5, 1.5)
    return network


def test_resnet_50_is_the_classifier_without_its_head():
    with torch.device("meta"):
        network = ResNet()
    assert sum(p.numel() for p in network.parameters()) == 25_557_032 - 2_049_000  # less fc
    keys = network.state_dict()
    assert keys["layer4.2.conv3.weight"].shape == (2048, 512, 1, 1)
    assert keys["layer2.0.downsample.1.running_var"].shape == (512,)


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1)])
def test_strides(size):
    maps = ResNet((1, 1, 1, 1), width=4).eval()(torch.rand(2, 3, *size))
    for stage, found in enumerate(maps):
        stride = 4 * 2**stage
        assert found.shape == (2, 16 * 2**stage, -(-size[0] // stride), -(-size[1] // stride))


@torch.no_grad()
def test_folding_norms_does_not_change_the_result():
    torch.manual_seed(0)
    network = random_norms(ResNet((1, 2, 1), in_channels=5, width=8)).eval()
    x = torch.rand(2, 5, 40, 56)
    before = network(x)
    fold_batch_norms(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    for wanted, found in zip(before, network(x), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_shared_skips_give_what_repeated_ones_give():
    torch.manual_seed(0)
    decoder = MaskDecoder(6, (3, 4), 8)
    x, r3, r2 = torch.rand(3, 6, 2, 3), torch.rand(1, 4, 4, 6), torch.rand(1, 3, 8, 12)
    once = decoder(x, r3, r2)
    assert once.shape == (3, 2, 32, 48)
    torch.testing.assert_close(once, decoder(x, r3.expand(3, -1, -1, -1), r2.expand(3, -1, -1, -1)))


def test_resnext_101_has_its_published_shapes():
    with torch.device("meta"):
        keys = ResNet((3, 4, 23, 3), inner_width=256, groups=64).state_dict()
    assert keys["layer1.0.conv1.weight"].shape == (256, 64, 1, 1)
    assert keys["layer1.0.conv2.weight"].shape == (256, 4, 3, 3)
    assert keys["layer4.2.conv2.weight"].shape == (2048, 32, 3, 3)
    assert keys["layer4.2.conv3.weight"].shape == (2048, 2048, 1, 1)


def test_the_stride_lies_where_it_is_asked_for():
    for stride_on, strides in (("3x3", ((1, 1), (2, 2))), ("1x1", ((2, 2), (1, 1)))):
        block = ResNet((1, 1), width=4, stride_on=stride_on).layer2[0]
        assert (block.conv1.stride, block.conv2.stride) == strides
        assert block.downsample[0].stride == (2, 2)
