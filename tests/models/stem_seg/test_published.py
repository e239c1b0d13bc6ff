"""The authors' files: networks are told apart, read safely, and encoders start from their Mask R-CNN."""

import pytest
import torch

from rotoscope.errors import WeightsError
from rotoscope.inference.loading import convert, from_published, on_meta, report_of
from rotoscope.models import system
from rotoscope.models.stem_seg.network import NETWORKS
from rotoscope.models.stem_seg.published import TABLE, encoder_weights, identify, turned_around
from rotoscope.training.start import start_from
from tests import golden

SYSTEM = "stem-seg"


def their_state(name):
    """Our network's keys and shapes under the authors' names; tensors without memory."""
    state = on_meta(SYSTEM, name).state_dict()
    return {TABLE.theirs(key): value for key, value in state.items() if not key.startswith("encoder.pixels.")}


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_keys_tell_the_networks_apart(name):
    assert identify(their_state(name)) == name


@pytest.mark.parametrize("name", sorted(golden.manifest(SYSTEM)["networks"]))
def test_the_table_has_the_published_keys(name):
    found = {key: tuple(value.shape) for key, value in their_state(name).items() if "num_batches" not in key}
    wanted = {key: tuple(shape) for key, shape in golden.manifest(SYSTEM)["networks"][name]["keys"].items()}
    constants = {"embedding_head.time_scale", "embedding_loss_criterion.free_dim_bandwidths"}
    assert found == {key: shape for key, shape in wanted.items() if key not in constants}


def test_moving_kernels_have_the_names_of_their_authors():
    state = their_state("davis_r50_d2conv3d")
    assert state["embedding_head.block_32x.0.deform_conv.weight"].shape == (256, 256, 3, 3, 3)
    assert state["seediness_head.block_4x.0.deform_params.weight"].shape == (30, 256, 3, 3, 3)


def test_other_checkpoints_are_not_taken():
    assert identify({"backbone.body.stem.conv1.weight": torch.zeros(1)}) is None
    assert identify({"Encoder_M.conv1.weight": torch.zeros(1)}) is None


def test_an_unknown_number_of_classes_is_told():
    state = their_state("kitti_mots_r50")
    state["semseg_head.conv_out.weight"] = torch.empty(9, 128, 1, 1, 1, device="meta")
    with pytest.raises(WeightsError, match="9 semantic channels"):
        identify(state)


def checkpoint(tmp_path, name="davis_r50"):
    """A file as the trainer leaves it: old format, more than weights."""
    state = {key: torch.from_numpy(value) for key, value in golden.state(SYSTEM, name).items()}
    state["embedding_head.time_scale"] = torch.tensor(1.0)
    state["embedding_loss_criterion.free_dim_bandwidths"] = torch.full((1, 2), 1 / 0.09)
    content = {"model": state, "iterations": 10000, "logger": {"loss": [1.0, 0.5]}, "optimizer": {"state": {}}}
    path = tmp_path / "davis.pth"
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path, state


def test_an_old_file_of_the_trainer_is_read_whole(tmp_path):
    path, state = checkpoint(tmp_path)
    weights, card, report = convert(path, SYSTEM)
    assert (card.network, report.missing, report.unexpected) == ("davis_r50", (), ())
    assert card.options == {"size": "736/1248", "clip": 16, "overlap": 6}
    assert set(report.dropped) == {"embedding_head.time_scale", "embedding_loss_criterion.free_dim_bandwidths"}
    torch.testing.assert_close(weights["encoder.body.conv1.weight"], state["backbone.body.stem.conv1.weight"].flip(1))


def test_what_is_missing_is_told(tmp_path):
    state = {key: torch.from_numpy(value) for key, value in golden.state(SYSTEM, "kitti_mots_r50").items()}
    del state["semseg_head.conv_8.weight"]
    with pytest.warns(UserWarning, match=r"semseg_head\.conv_8\.weight"):
        network = from_published(SYSTEM, state)
    assert report_of(network).missing == ("semseg_head.conv_8.weight",)


def encoder_file(tmp_path, name="davis_r50"):
    """The authors' Mask R-CNN encoder: flat, in the old format."""
    state = golden.state(SYSTEM, name)
    own = {key.removeprefix("backbone."): torch.from_numpy(value) for key, value in state.items() if "backbone" in key}
    path = tmp_path / "mask_rcnn_R_50_FPN_backbone.pth"
    torch.save(own, path, _use_new_zipfile_serialization=False)
    return path, own


def test_training_starts_from_the_encoder_file(tmp_path):
    path, own = encoder_file(tmp_path)
    network = system(SYSTEM).build("davis_r50")
    line = start_from(network, SYSTEM, "davis_r50", str(path), tmp_path)
    assert "the encoder" in line
    torch.testing.assert_close(network.encoder.body.conv1.weight.data, own["body.stem.conv1.weight"].flip(1))
    torch.testing.assert_close(network.encoder.pyramid.outer[3].bias.data, own["fpn.fpn_layer4.bias"])
    torch.testing.assert_close(network.encoder.body.layer4[2].bn3.running_var, own["body.layer4.2.bn3.running_var"])


def test_broken_encoder_files_are_told(tmp_path):
    _, own = encoder_file(tmp_path)
    assert encoder_weights({"conv1.weight": torch.zeros(1)}) is None
    assert encoder_weights(own)[0] == "youtube_vis_r50"
    lacking = {key: value for key, value in own.items() if key != "fpn.fpn_layer2.bias"}
    with pytest.raises(WeightsError, match=r"lacks fpn\.fpn_layer2\.bias"):
        encoder_weights(lacking)
    with pytest.raises(WeightsError, match="has shape"):
        encoder_weights({**own, "fpn.fpn_layer2.bias": torch.zeros(3)})


def test_turning_around_leaves_other_tensors():
    state = {"backbone.body.stem.conv1.weight": torch.arange(3.0).view(1, 3, 1, 1), "other": torch.arange(3.0)}
    turned = turned_around(state)
    assert turned["backbone.body.stem.conv1.weight"].flatten().tolist() == [2, 1, 0]
    assert turned["other"].tolist() == [0, 1, 2]
