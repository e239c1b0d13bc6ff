"""STEm-Seg's networks beyond the golden cases."""

import pytest
import torch

from rotoscope.errors import OptionError
from rotoscope.inference.loading import on_meta, parameters_of
from rotoscope.inference.prepare import prepare
from rotoscope.masks.category_names import OVIS, YOUTUBE_VIS_2019
from rotoscope.models import system
from rotoscope.models.stem_seg.decoders import LENGTHS, SITES, DecoderOptions, Join, SqueezeExpand
from rotoscope.models.stem_seg.embedding import MODES
from rotoscope.models.stem_seg.network import COARSE, DAVIS, KITTI, NETWORKS, OVIS_VIS, YOUTUBE_VIS
from rotoscope.ops.deform_layers import DeformableConv3d, Deformation
from tests import golden
from tests.models.stem_seg.small import NARROW, small


def clip(length=4, height=64, width=96, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, 3, length, height, width), dtype=torch.uint8, generator=generator)


def equal(one, other, tolerance=2e-5):
    for name in ("embeddings", "raw_bandwidths", "seediness", "classes", "foreground"):
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None) == (second is None)
        if first is not None:
            torch.testing.assert_close(first, second, rtol=1e-4, atol=tolerance)
    return True


@torch.inference_mode()
@pytest.mark.parametrize("options", [DAVIS, YOUTUBE_VIS, KITTI, OVIS_VIS], ids=["davis", "ytvis", "kitti", "ovis"])
def test_maps_of_each_task(options):
    network = small(options).eval()
    maps = network(clip(4, 50, 70))  # padded to 64 x 96
    mode = MODES[options.mode]
    assert maps.embeddings.shape == (1, mode.dimensions, 4, 16, 24)
    assert maps.raw_bandwidths.shape == maps.bandwidths.shape == (1, mode.learnt, 4, 16, 24)
    torch.testing.assert_close(maps.bandwidths, 10 * maps.raw_bandwidths.exp())
    assert maps.seediness.shape == (1, 1, 4, 16, 24)
    assert 0 <= maps.seediness.min() <= maps.seediness.max() <= 1
    assert (network.dimensions, network.free) == (mode.dimensions, mode.free)
    assert network.classes == (len(options.categories) + 1 if options.semantic else 0)
    if options.semantic:
        assert maps.classes.shape == (1, network.classes, 4, 16, 24)
        assert maps.foreground.shape == (1, 1, 4, 16, 24)
    else:
        assert maps.classes is None
        assert maps.foreground is None


def test_categories_of_the_networks():
    assert small(YOUTUBE_VIS).categories == YOUTUBE_VIS_2019
    assert small(OVIS_VIS).categories == OVIS
    assert small(KITTI).categories == ("car", "pedestrian")
    assert small(DAVIS).categories == ()


@torch.inference_mode()
def test_frames_encoded_one_by_one_give_the_same_maps():
    network, frames = small(KITTI).eval(), clip(4)
    each = [network.features(frames[:, :, place]) for place in range(4)]
    assert equal(network.heads([torch.stack(maps, dim=2) for maps in zip(*each, strict=True)]), network(frames))


@torch.inference_mode()
def test_bytes_and_fractions_are_the_same_pixels():
    network, frames = small().eval(), clip(2)
    assert equal(network(frames), network(frames.float() / 255), 1e-3)


@torch.inference_mode()
def test_padding_is_the_mean_colour():
    network = small().eval()
    mean = torch.tensor([122.7717, 115.9465, 102.9801]).view(1, 3, 1, 1, 1) / 255
    frames = clip(2, 40, 64).float() / 255
    padded = torch.cat([frames, mean.expand(1, 3, 2, 24, 64)], dim=3)
    assert equal(network(frames), network(padded), 1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("length", LENGTHS)
def test_one_set_of_weights_serves_every_length(length):
    trunk = SqueezeExpand((16, 16, 8, 8), NARROW).eval()
    maps = [torch.randn(1, 16, length, 32 // stride, 64 // stride) for stride in (1, 2, 4, 8)]
    assert trunk(maps).shape == (1, 8, length, 32, 64)


@pytest.mark.parametrize("length", [1, 3, 5, 12, 64])
def test_other_lengths_are_refused(length):
    trunk = SqueezeExpand((16, 16, 8, 8), NARROW)
    maps = [torch.zeros(1, 16, length, 8 // stride, 8 // stride) for stride in (1, 2, 4, 8)]
    with pytest.raises(OptionError, match=f"2, 4, 8, 16, 24, 32 frames, not {length}"):
        trunk(maps)


@torch.inference_mode()
def test_tiny_maps_are_pooled_as_if_the_operator_took_them():
    """Zeros around a map count in the mean, whichever way it is padded."""
    branch = SqueezeExpand((16, 16, 8, 8), NARROW).stride32
    x = torch.rand(1, 16, 4, 2, 2)
    wide = torch.nn.functional.pad(x, (1, 1, 1, 1))
    found = branch._halved(x)
    expected = torch.nn.functional.avg_pool3d(wide, 3, (2, 1, 1), (1, 1, 1))[..., 1:-1, 1:-1]
    torch.testing.assert_close(found, expected)


@torch.inference_mode()
def test_without_pooling_time_keeps_its_length():
    trunk = SqueezeExpand((16, 16, 8, 8), DecoderOptions(16, 4, pool="none"))
    seen = []
    trunk.stride32.register_forward_hook(lambda module, given, found: seen.append(found.shape[2]))
    maps = [torch.zeros(1, 16, 8, 16 // stride, 16 // stride) for stride in (1, 2, 4, 8)]
    assert trunk(maps).shape[2] == 8
    assert seen == [8]


@torch.inference_mode()
def test_a_join_is_a_convolution_of_the_concatenation():
    join = Join(6, 4, 5)
    coarse, fine = torch.randn(2, 6, 2, 3, 4), torch.randn(2, 4, 4, 6, 8)
    enlarged = torch.nn.functional.interpolate(coarse, scale_factor=2.0, mode="trilinear", align_corners=False)
    expected = torch.nn.functional.conv3d(torch.cat([enlarged, fine], dim=1), join.weight)
    torch.testing.assert_close(join(coarse, fine), expected, rtol=1e-4, atol=1e-5)


def moved(version, sites=SITES):
    """A narrow network with and without moving kernels, the same weights."""
    torch.manual_seed(0)
    plain = small(KITTI).eval()
    torch.manual_seed(0)
    other = small(KITTI, deformation=Deformation(version), sites=sites).eval()
    state = {key.replace("deform_conv.", ""): value for key, value in other.state_dict().items()}
    plain.load_state_dict({key: value for key, value in state.items() if "deform_params" not in key})
    return plain, other


def layers(network):
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, DeformableConv3d)}


@torch.inference_mode()
@pytest.mark.parametrize("version", ["DCNv1", "XYZConditionedDCNv1"])
def test_unmoved_kernels_are_plain_convolutions(version):
    plain, other = moved(version)
    assert equal(plain(clip()), other(clip()), 1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("version", ["DCNv2", "XYZConditionedDCNv2"])
def test_modulation_begins_at_one_half(version):
    plain, other = moved(version)
    for layer in layers(other).values():
        layer.deform_conv.weight *= 2
    assert equal(plain(clip()), other(clip()), 1e-4)


@torch.inference_mode()
def test_moved_kernels_change_the_maps():
    plain, other = moved("XYZConditionedDCNv2")
    for layer in layers(other).values():
        layer.deform_conv.weight *= 2
        layer.deform_params.bias[:3] = 1.0  # twice as wide
    difference = (plain(clip()).embeddings - other(clip()).embeddings).abs().max()
    assert difference > 1e-3


def test_only_the_sites_asked_for_move():
    _, whole = moved("DCNv2")
    assert len(layers(whole)) == 2 * 7  # two heads
    _, some = moved("DCNv2", COARSE)
    assert {name.split(".")[2] for name in layers(some)} == {"stride32", "stride16"}
    assert len(layers(some)) == 2 * 5
    _, one = moved("DCNv1", ("stride8",))
    assert sorted(layers(one)) == ["embedding.trunk.stride8.0.conv", "semantic.trunk.stride8.0.conv"]


@torch.inference_mode()
@pytest.mark.parametrize("deformation", [None, Deformation()], ids=["plain", "d2conv3d"])
def test_preparing_for_inference_changes_nothing(deformation):
    network, frames = small(YOUTUBE_VIS, deformation=deformation).eval(), clip(8)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_var.uniform_(0.5, 1.5)
            layer.running_mean.normal_(0, 0.1)
    before = network(frames)
    assert equal(prepare(network, torch.device("cpu"), torch.float32)(frames), before, 1e-3)


@pytest.mark.parametrize("name", sorted(golden.manifest("stem-seg")["networks"]))
def test_parameters_are_as_many_as_published(name):
    wanted = golden.manifest("stem-seg")["networks"][name]["parameters"]
    network = on_meta("stem-seg", name)
    norms = sum(
        one.numel()
        for layer in network.modules()
        if isinstance(layer, torch.nn.BatchNorm2d)
        for one in layer.parameters()
    )
    assert parameters_of(network) - norms == wanted


def test_every_network_is_built_and_named():
    networks = system("stem-seg").networks
    assert set(networks) == {*NETWORKS, "mobile", "mobile_kinds"}
    for task in ("davis", "youtube_vis", "kitti_mots", "ovis"):
        for rest in ("r101", "r50", *(f"r50_{v}{c}" for v in ("dcnv1", "dcnv2", "d2conv3d") for c in ("", "_coarse"))):
            assert f"{task}_{rest}" in networks


def test_an_unknown_mode_is_refused():
    with pytest.raises(OptionError, match="xyff"):
        small(mode="yx")
