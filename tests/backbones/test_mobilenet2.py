import pytest
import torch

from rotoscope.backbones.mobilenet2 import MobileNet2
from rotoscope.backbones.mobilenet3d import MobileNet3D
from rotoscope.errors import WeightsError


def arrays(network):
    state = network.state_dict()
    return {key.replace("head.", "aspp."): value.numpy() for key, value in state.items() if "pixels" not in key}


@pytest.mark.parametrize(("dilated", "last"), [(True, 16), (False, 32)])
def test_strides(dilated, last):
    network = MobileNet2(dilated=dilated)
    maps = network(torch.rand(2, 3, 50, 70))
    assert network.strides == (4, 8, 16, last)
    for x, channels, stride in zip(maps, network.channels, network.strides, strict=True):
        assert x.shape == (2, channels, -(-50 // stride), -(-70 // stride))


@torch.no_grad()
def test_it_is_the_3d_encoder_on_one_frame():
    torch.manual_seed(0)
    pictures, clips = MobileNet2(dilated=True, head=True), MobileNet3D()
    clips.load_picture_weights(arrays(pictures))
    frames = torch.rand(1, 3, 48, 64)
    for wanted, found in zip(clips(frames[:, :, None]), pictures(frames), strict=True):
        torch.testing.assert_close(found, wanted[:, :, 0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_what_the_stem_sees_besides_pixels_starts_at_nothing():
    torch.manual_seed(0)
    plain, more = MobileNet2(), MobileNet2(in_channels=5)
    more.load_state_dict(more.picture_state(arrays(plain)), strict=False)
    frames = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(more(frames, torch.rand(1, 2, 32, 32))[-1], plain(frames)[-1])


def test_incomplete_weights_are_refused():
    weights = arrays(MobileNet2())
    with pytest.raises(WeightsError, match=r"lack aspp\.pool\.weight"):
        MobileNet2(head=True).picture_state(weights)
    weights["stem.bias"] = weights["stem.bias"][:3]
    with pytest.raises(WeightsError, match=r"stem\.bias has shape \(3,\)"):
        MobileNet2().picture_state(weights)
