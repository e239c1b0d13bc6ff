"""A teacher's maps: made once, taken up again, read as labels. The teacher here sees brightness."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rotoscope.data.teacher_maps import INDEX, TeacherMaps, map_of, measures
from rotoscope.data.tracks import VOID
from rotoscope.errors import DataError, OptionError, OutputError, WeightsError
from rotoscope.training.recipe import PictureSet
from rotoscope.training.sources import stills
from rotoscope.training.teacher import Teacher, label_pictures


class Bright:
    """A session whose map is the mean of what it is given; it counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def get_inputs(self):
        return [SimpleNamespace(name="input.1")]

    def run(self, outputs, given):
        (pixels,) = given.values()
        self.asked.append(pixels)
        return [pixels.mean(axis=1, keepdims=True)]


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    for name in ("a.jpg", "a.png", "below/b.png"):
        pixels = np.zeros((40, 60, 3), np.uint8)
        pixels[10:30, 20:40] = 255
        Image.fromarray(pixels).save(folder / name)
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def test_maps_are_made_once_and_read_as_labels(pictures, tmp_path):
    session, told = Bright(), []
    teacher = Teacher(session, "one")
    made = label_pictures(pictures, tmp_path / "maps", teacher, lambda name, of: told.append((name, of)))
    assert made == (3, [])
    assert told == [("a.jpg", 3), ("a.png", 3), ("below/b.png", 3)]
    assert session.asked[0].shape == (1, 3, 320, 320)
    assert session.asked[0].dtype == np.float32
    assert label_pictures(pictures, tmp_path / "maps", teacher) == (0, [])
    assert len(session.asked) == 3
    maps = TeacherMaps(pictures, tmp_path / "maps")
    assert len(maps) == 3
    picture, labels = maps.read(1)
    assert picture.shape == (40, 60, 3)
    assert labels[20, 30] == 1
    assert labels[2, 2] == 0
    assert VOID in labels  # the edge, enlarged
    assert set(np.unique(labels)) == {0, 1, VOID}


def test_what_was_stopped_goes_on(pictures, tmp_path):
    teacher, maps = Teacher(Bright(), "one"), tmp_path / "maps"

    def stop(name, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label_pictures(pictures, maps, teacher, stop)
    with (maps / INDEX).open("a") as file:
        file.write('{"name": "a.png", "su')  # as a kill may leave it
    assert label_pictures(pictures, maps, teacher) == (2, [])
    assert len(TeacherMaps(pictures, maps)) == 3
    with pytest.raises(DataError, match="maps of another teacher; choose another folder"):
        label_pictures(pictures, maps, Teacher(Bright(), "two"))


def test_a_map_that_is_gone_is_made_again(pictures, tmp_path):
    maps = tmp_path / "maps"
    label_pictures(pictures, maps, Teacher(Bright(), "one"))
    map_of(maps, "a.png").unlink()
    assert label_pictures(pictures, maps, Teacher(Bright(), "one")) == (1, [])
    assert len(TeacherMaps(pictures, maps)) == 3


@pytest.mark.parametrize("place", ["", "below", "new"])
def test_maps_never_become_pictures(pictures, place):
    before = sorted(pictures.rglob("*"))
    with pytest.raises(OutputError, match="would be written into the pictures"):
        label_pictures(pictures, pictures / place, Teacher(Bright(), "one"))
    assert sorted(pictures.rglob("*")) == before


def test_a_picture_that_cannot_be_read_is_named(pictures, tmp_path):
    (pictures / "c.jpg").write_bytes(b"no picture")
    assert label_pictures(pictures, tmp_path / "maps", Teacher(Bright(), "one")) == (3, ["c.jpg"])
    assert not map_of(tmp_path / "maps", "c.jpg").exists()


def test_unsure_and_empty_maps_are_left_out(pictures, tmp_path):
    maps = tmp_path / "maps"
    label_pictures(pictures, maps, Teacher(Bright(), "one"))
    head, *lines = (maps / INDEX).read_text().splitlines()
    changes = [{"sure": 0.4}, {"area": 0.001}, {"name": "../outside.png"}]
    changed = [json.dumps(json.loads(line) | change) for line, change in zip(lines, changes, strict=True)]
    (maps / INDEX).write_text("\n".join([head, *changed]))
    with pytest.raises(DataError, match=r"no map of .* is sure enough"):
        TeacherMaps(pictures, maps)
    assert len(TeacherMaps(pictures, maps, least_sure=0.3)) == 1
    assert measures(np.array([[0, 100, 200, 255]], np.uint8)) == {"sure": 0.6667, "area": 0.5}
    assert measures(np.zeros((2, 2), np.uint8)) == {"sure": 0.0, "area": 0.0}


def test_what_is_missing_is_told(pictures, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="rotoscope pseudo-label"):
        TeacherMaps(pictures, tmp_path / "none")
    with pytest.raises(DataError, match="there is no folder"):
        label_pictures(tmp_path / "none", tmp_path / "maps", Teacher(Bright(), "one"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        label_pictures(tmp_path / "empty", tmp_path / "maps", Teacher(Bright(), "one"))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        label_pictures(pictures, tmp_path / "file", Teacher(Bright(), "one"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(OptionError, match="pip install onnxruntime"):
        Teacher.load(tmp_path / "u2netp.onnx")


def test_a_file_that_is_no_network(tmp_path, monkeypatch):
    class Runtime:
        SessionOptions = SimpleNamespace

        @staticmethod
        def InferenceSession(path, options, providers):
            raise RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF\nmore")

    monkeypatch.setitem(sys.modules, "onnxruntime", Runtime)
    with pytest.raises(WeightsError, match="there is no file"):
        Teacher.load(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(WeightsError, match=r"no network that onnxruntime takes: .*INVALID_PROTOBUF$"):
        Teacher.load(tmp_path / "text.onnx")


def test_recipes_name_maps_and_their_pictures(pictures, tmp_path):
    label_pictures(pictures, tmp_path / "maps", Teacher(Bright(), "one"))
    assert len(stills(PictureSet("maps", "maps", images="pictures"), tmp_path)) == 3
    with pytest.raises(OptionError, match="need the folder of their pictures"):
        stills(PictureSet("maps", "maps"), tmp_path)
