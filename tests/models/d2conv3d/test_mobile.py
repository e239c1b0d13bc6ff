"""The small network: what it weighs, that it starts as 3DC-Seg's small one, that it learns its sizes."""

from pathlib import Path

import pytest
import torch

from rotoscope.data.clips import ClipBatch
from rotoscope.data.synthetic import moving_disc_clip
from rotoscope.errors import WeightsError
from rotoscope.inference.loading import WEIGHTS, parameters_of
from rotoscope.models import system
from rotoscope.models.d2conv3d.mobile import MobileD2, mobile
from rotoscope.models.d2conv3d.network import NETWORKS
from rotoscope.models.d2conv3d.training import TrainingOptions, training_step
from rotoscope.ops.deform_layers import DeformableConv3d, Deformation
from rotoscope.training.start import start_from


def picture(size=(48, 80)):
    frames = [frame.image for frame in moving_disc_clip(3, size, 0)[0]]
    return torch.stack([torch.from_numpy(frame) for frame in frames], 1).movedim(-1, 0)[None]  # (1, 3, T, H, W)


def test_size():
    assert parameters_of(NETWORKS["mobile"]()) == 2_918_037
    names = [name for name, module in mobile(8).named_modules() if isinstance(module, DeformableConv3d)]
    assert names == [
        "decoder.refine4.skip.2",
        "decoder.refine4.skip_pair.conv1.2",
        "decoder.refine4.skip_pair.conv2.2",
        "decoder.refine4.merge_pair.conv1.2",
        "decoder.refine4.merge_pair.conv2.2",
        "decoder.refine3.merge_pair.conv2.2",
    ]


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1)])
def test_any_size_goes_through(size):
    with torch.inference_mode():
        logits = mobile(16).eval()(torch.rand(1, 3, 2, *size))
    assert logits.shape == (1, 1, 2, *(4 * -(-side // 4) for side in size))


@pytest.mark.parametrize("version", [None, "XYZConditionedDCNv1"])
def test_it_starts_as_the_bundled_network(version):
    donor = system("3dc-seg").build("mobile").eval()
    start_from(donor, "3dc-seg", "mobile", "3dc-seg-mobile", Path())
    network = mobile(deformation=version and Deformation(version)).eval()
    line = start_from(network, "d2conv3d", "mobile", "3dc-seg-mobile", Path())
    assert "3dc-seg-mobile" in line
    assert "d2conv3d/mobile" in line
    clip = picture()
    with torch.inference_mode():
        wanted, found = donor(clip), network(clip)
    assert wanted.abs().max() > 5
    assert torch.allclose(found, wanted[:, 1:] - wanted[:, :1], atol=1e-4)


def test_what_is_copied_doubled_and_new():
    donor = system("3dc-seg").build("mobile")
    given = donor.state_dict()
    turned = mobile().state_from("3dc-seg/mobile", given)
    conv = "decoder.refine4.skip.2"
    assert turned["encoder.stem.weight"] is given["encoder.stem.weight"]
    assert torch.equal(turned[f"{conv}.deform_conv.weight"], 2 * given[f"{conv}.weight"])
    assert torch.equal(turned[f"{conv}.deform_conv.bias"], given[f"{conv}.bias"])
    new = [key for key in turned if ".deform_params." in key]
    assert len(new) == 12
    assert not any(turned[key].any() for key in new)
    assert set(turned) == set(mobile().state_dict())


def test_it_cannot_start_from_anything_else():
    assert mobile(8).state_from("stm/mobile", {}) is None
    with pytest.raises(WeightsError, match=r"3dc-seg/mobile, from which d2conv3d/baseline cannot start"):
        start_from(torch.nn.Identity(), "d2conv3d", "baseline", "3dc-seg-mobile", Path())


def test_of_another_width_it_refuses_the_bundled_weights():
    with pytest.raises(WeightsError, match="of another shape"):
        start_from(MobileD2(32, Deformation()), "d2conv3d", "mobile", "3dc-seg-mobile", Path())


def test_a_step_moves_sizes_and_modulation():
    network = mobile()
    start_from(network, "d2conv3d", "mobile", str(WEIGHTS / "3dc-seg-mobile.safetensors"), Path())
    clip = picture()
    masks = (torch.rand(1, 1, *clip.shape[2:]) > 0.5).to(torch.uint8)
    training_step(network.train(), ClipBatch(clip, masks), TrainingOptions(0.0, 1.0)).loss.backward()
    for name, parameter in network.named_parameters():
        if name.endswith("deform_params.weight"):
            assert parameter.grad[:3].abs().max() > 0, name
            assert parameter.grad[3:].abs().max() > 0, name


def test_the_authors_have_no_such_network():
    with pytest.raises(WeightsError, match="no published network 'mobile'"):
        system("d2conv3d").published("mobile")
