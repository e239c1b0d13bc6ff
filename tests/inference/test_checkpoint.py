"""Weights files, ours and the authors': read without running anything, checked, and refused in one clear line."""

import argparse
import json
import os
import pickle
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import rotoscope
from rotoscope.errors import OutputError, WeightsError
from rotoscope.inference.checkpoint import HEADER, Card, read_checkpoint, read_weights, save_weights
from rotoscope.inference.loading import convert, load
from rotoscope.models import system
from rotoscope.models.published import flat_state
from tests import golden
from tests.golden import recipe
from tests.inference import bright

CARD = Card("small", "3dc-seg", "mobile")
STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.running_mean": torch.ones(3), "n": torch.tensor(4)}


class Evil:
    def __reduce__(self):
        return os.system, (f"touch {Evil.mark}",)


@pytest.fixture
def evil(tmp_path):
    Evil.mark = tmp_path / "ran"
    yield Evil()
    assert not Evil.mark.exists()


@pytest.fixture(scope="module")
def published():
    return {key: torch.from_numpy(value) for key, value in golden.state("3dc-seg", "csn_c3d").items()}


def test_ours_comes_back_equal_and_can_be_read_by_others(tmp_path):
    path = tmp_path / "w.safetensors"
    card = save_weights(path, STATE, CARD)
    assert card.parameters == 7
    state, read = read_weights(path)
    assert read == card
    assert all(torch.equal(state[key], value) and state[key].dtype == value.dtype for key, value in STATE.items())
    (tmp_path / "plain").write_bytes(b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    with pytest.raises(OutputError):
        save_weights(tmp_path / "plain" / "w.safetensors", STATE, CARD)


def written(path, state, **card):
    save_file(state, path, {HEADER: json.dumps({**replace(CARD).__dict__, **card})})
    return path


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({"future": 1}, "newer version"),
        ({"sha256": "0"}, "damaged"),
        ({"system": ["3dc-seg"]}, r"says system: \['3dc-seg'\]; expected text"),
        ({"system": None}, "says system: None; expected text"),
        ({"network": {}}, "expected text"),
        ({"name": 3}, "expected text"),
        ({"options": None}, "says options: None; expected an object"),
        ({"options": [[[1]]]}, "says options: a list of 1; expected an object"),
        ({"scores": "high"}, "expected an object"),
        ({"bf16": 1}, "expected true or false"),
        ({"parameters": True}, "expected a whole number"),
        ({"parameters": 2.5}, "expected a whole number"),
        ({"kind": "half"}, "says kind: 'half'; expected network or encoder"),
        ({"kind": []}, "says kind"),
        ({"source": 10**400}, "says source: of 400 digits"),
    ],
)
def test_a_card_that_does_not_fit_its_file(tmp_path, card, words):
    with pytest.raises(WeightsError, match=words):
        read_weights(written(tmp_path / "w.safetensors", STATE, **card))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"system":' * 100_000, "null", "[]", "{}", "words", "9" * 5000, "1e999"]
)
def test_a_text_that_is_no_card(tmp_path, text):
    save_file(STATE, tmp_path / "w.safetensors", {HEADER: text})
    with pytest.raises(WeightsError, match=r"the card of .*w\.safetensors") as caught:
        load(tmp_path / "w.safetensors", device="cpu")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({"network": "nothing"}, "does not have"),
        ({"system": "nothing"}, "no system"),
        ({"kind": "encoder"}, "not a whole network"),
        ({}, "does not fit"),
    ],
)
def test_ours_that_cannot_be_opened(tmp_path, card, words):
    with pytest.raises(rotoscope.RotoscopeError, match=words):
        load(written(tmp_path / "w.safetensors", STATE, **card), device="cpu")


def test_options_of_a_wrong_kind_in_a_card(tmp_path):
    source = Path(rotoscope.__file__).parent / "weights" / "3dc-seg-mobile.safetensors"
    state, card = read_weights(source)
    wrong = [
        {"clip": "8"},
        {"size": 5},
        {"nothing": 1},
        {"edges": "round"},
        {"edges": []},
        {"dense": None},
        {"soft": 1},
    ]
    wrong += [{"clip": None}, {"clip": 10**400}, {"clip": 1e400}, {"clip": True}, {"parallel": 100_000}, {"size": []}]
    for options in wrong:
        save_weights(tmp_path / "w.safetensors", state, replace(card, options=options))
        with pytest.raises(WeightsError, match="the card of") as caught:
            load(tmp_path / "w.safetensors", device="cpu")
        assert "\n" not in str(caught.value)


def test_a_checkpoint_that_holds_itself_or_never_ends(tmp_path):
    itself: dict[str, object] = {}
    itself["model"] = itself
    deep: dict[str, object] = {"a": torch.ones(3)}
    for _ in range(150):
        deep = {"state_dict": deep}
    for content in (itself, deep):
        torch.save(content, tmp_path / "c.pth")
        for read in (lambda path: convert(path, "3dc-seg"), lambda path: load(path, device="cpu")):
            with pytest.raises(WeightsError, match=r"c\.pth") as caught:
                read(tmp_path / "c.pth")
            assert "\n" not in str(caught.value)
    three = {"state_dict": {"model": {"model": {"a": torch.ones(3)}}}}
    assert flat_state(three)["a"].tolist() == [1, 1, 1]


def test_checkpoints_of_one_name_are_told_apart(tmp_path, published):
    hashes = set()
    for number, folder in enumerate((tmp_path / "one", tmp_path / "other")):
        folder.mkdir()
        torch.save(
            {key: value + number if value.is_floating_point() else value for key, value in published.items()},
            folder / "c.pth",
        )
        hashes.add(load(folder / "c.pth", device="cpu").card.sha256)
    assert len(hashes) == 2
    assert "" not in hashes


def bad_files(folder, evil):
    """Name to (file, words that must be said)."""
    legacy = {"_use_new_zipfile_serialization": False}
    tensors = {"model": {"a": torch.ones(1000)}}
    for name, content, how in [
        ("good.pth", tensors, {}),
        ("old.pth", tensors, legacy),
        ("evil.pth", {"model": evil}, {}),
        ("evil_old.pth", {"model": evil}, legacy),
        ("module.pth", torch.nn.Linear(1, 1), {}),
        ("list.pth", [1, 2], {}),
        ("none.pth", {}, {}),
        ("tensor.pth", torch.ones(2), {}),
    ]:
        torch.save(content, folder / name, **how)
    for protocol in (0, 2, 4):
        (folder / f"evil{protocol}.pkl").write_bytes(pickle.dumps({"blobs": evil}, protocol))
    for name in ("good.pth", "old.pth"):
        content = (folder / name).read_bytes()
        (folder / f"cut_{name}").write_bytes(content[: len(content) // 2])
        (folder / f"head_{name}").write_bytes(content[:40])
    (folder / "cut.pkl").write_bytes(pickle.dumps({"blobs": {"a": np.ones(99)}}, 2)[:-200])
    save_file(tensors["model"], folder / "whole.safetensors")
    (folder / "cut.safetensors").write_bytes((folder / "whole.safetensors").read_bytes()[:-9])
    (folder / "text.safetensors").write_text("text" * 9)
    (folder / "text.pth").write_text("text" * 9)
    (folder / "empty.pth").write_bytes(b"")
    (folder / "folder.pth").mkdir()
    unsafe, broken, kind = "could run code", "cut short", "without tensors"
    return {
        **dict.fromkeys(("evil.pth", "evil_old.pth", "module.pth", "evil0.pkl", "evil2.pkl", "evil4.pkl"), unsafe),
        **dict.fromkeys(("cut_good.pth", "head_good.pth", "cut_old.pth", "head_old.pth"), broken),
        **dict.fromkeys(("cut.pkl", "cut.safetensors", "text.safetensors"), broken),
        **dict.fromkeys(("list.pth", "none.pth", "tensor.pth"), kind),
        "good.pth": "not those of a 3dc-seg checkpoint",
        "old.pth": "not those of a 3dc-seg checkpoint",
        "text.pth": "is no checkpoint",
        "empty.pth": "is empty",
        "folder.pth": "is a folder",
        "gone.pth": "there is no weights file",
    }


def test_files_that_are_no_checkpoint_are_told_by_name_in_one_line(tmp_path, evil):
    for name, words in bad_files(tmp_path, evil).items():
        for read in (lambda path: convert(path, "3dc-seg"), lambda path: load(path, device="cpu")):
            with pytest.raises(WeightsError) as caught:
                read(tmp_path / name)
            message = str(caught.value)
            assert name in message
            assert "\n" not in message
            assert words in message.replace("is a checkpoint of no system known here", words), message


def test_only_arrays_come_out_of_a_pickle(tmp_path):
    blobs = {"a": np.arange(3, dtype=np.float32), "rate": np.float64(2), "n": np.int64(3)}
    for protocol in (0, 2, 4):
        path = tmp_path / "blobs.pkl"
        # Files of numpy 1 name its rooms without the underscore.
        path.write_bytes(pickle.dumps({"blobs": blobs}, protocol).replace(b"numpy._core", b"numpy.core"))
        read = read_checkpoint(path) if protocol != 4 else blobs
        assert np.array_equal(read["a"], blobs["a"])
        path.write_bytes(pickle.dumps({"blobs": blobs}, protocol))
        assert np.array_equal(read_checkpoint(path)["a"], blobs["a"])


def test_scores_and_options_beside_the_tensors_are_harmless(tmp_path):
    path = tmp_path / "c.pth"
    beside = {"best": np.float64(0.5), "options": argparse.Namespace(rate=1), "curve": np.ones(3), "epoch": 4}
    torch.save({"model": STATE, **beside}, path)
    read = read_checkpoint(path)
    assert torch.equal(read["model"]["a.weight"], STATE["a.weight"])
    assert read["best"] == 0.5
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "numpy1.pth", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("data.pkl"):
                content = content.replace(b"cnumpy._core.", b"cnumpy.core.")
            new.writestr(name, content)
    assert read_checkpoint(tmp_path / "numpy1.pth")["best"] == 0.5


def test_a_published_checkpoint_is_converted_and_runs(tmp_path, published):
    torch.save({"model": published, "epoch": 3}, tmp_path / "c.pth")
    state, card, report = convert(tmp_path / "c.pth", "3dc-seg")
    assert card.network == "csn_c3d"
    assert report is not None
    assert report.complete
    save_weights(tmp_path / "c.safetensors", state, card)
    with pytest.raises(WeightsError, match="in our format already"):
        convert(tmp_path / "c.safetensors", "3dc-seg")
    model = load(tmp_path / "c.safetensors", device="cpu", precision="fp32")
    found = model.segment(bright.images(3), size="32x48", clip=3, overlap=0)
    assert len(found) == 3
    direct = load(tmp_path / "c.pth", device="cpu", precision="fp32").segment(
        bright.images(3), size="32x48", clip=3, overlap=0
    )
    assert [track.masks for track in found.tracks] == [track.masks for track in direct.tracks]


def test_a_checkpoint_with_missing_keys_or_other_shapes(tmp_path, published):
    lacking = {key: value for key, value in published.items() if "bn1.running_mean" not in key}
    other = {**published, "decoders.0.pred2.weight": torch.zeros(3, 3)}
    for state, words in ((lacking, "incomplete"), (other, "decoders.0.pred2.weight has shape")):
        torch.save({"model": state}, tmp_path / "c.pth")
        with pytest.raises(WeightsError, match=words) as caught:
            convert(tmp_path / "c.pth", "3dc-seg")
        assert "c.pth" in str(caught.value)


@pytest.mark.parametrize("name", ["3dc-seg", "d2conv3d"])
def test_the_classifier_gives_every_tensor_of_the_encoder(tmp_path, name):
    names = json.loads((golden.HERE / "3dc-seg" / "caffe2_blobs.json").read_text())["map"]
    arrays = recipe.fill_state_dict(golden.manifest("3dc-seg")["networks"]["backbone_ir_csn_152"]["keys"])
    blobs = {names[key]: value for key, value in arrays.items() if key in names}
    path = tmp_path / "irCSN_152.pkl"
    path.write_bytes(pickle.dumps({"blobs": {**blobs, "lr": np.float32(0.1)}}, 2))
    state, card, report = convert(path, name)
    assert (card.kind, report) == ("encoder", None)
    own = {key for key in arrays if not key.startswith("fc.")}
    assert set(state) == own
    for key in own:
        assert np.array_equal(state[key].numpy(), arrays[key]), key
    del blobs[names["layer3.7.conv2.weight"]]
    path.write_bytes(pickle.dumps({"blobs": blobs}, 2))
    with pytest.raises(WeightsError, match="lacks"):
        convert(path, name)


def test_a_classifier_of_r2plus1d_gives_every_tensor_of_its_encoder(tmp_path):
    own = system("3dc-seg").build("r2plus1d34_gc3d").get_submodule("encoder").state_dict()
    arrays = {key: value for key, value in own.items() if not key.startswith(("pixels.", "guidance."))}
    renamed = {f"stem.{key[6:]}" if key.startswith("conv1.") else key: value for key, value in arrays.items()}
    path = tmp_path / "r2plus1d_34.pth"
    torch.save({**renamed, "fc.weight": torch.zeros(359, 512)}, path)
    state, card, report = convert(path, "3dc-seg")
    assert (card.kind, card.network, report) == ("encoder", "r2plus1d34_gc3d", None)
    assert set(state) == set(arrays)
    assert all(torch.equal(state[key], value) for key, value in arrays.items() if "num_batches" not in key)
    del renamed["layer1.0.conv1.1.weight"]
    torch.save(renamed, path)
    with pytest.raises(WeightsError, match=r"lacks layer1\.0\.conv1\.1\.weight"):
        convert(path, "3dc-seg")
