"""The sequences of the two sets where only some frames have masks."""

import pytest

from rotoscope.data import fbms, visal
from rotoscope.data.sequences import frame_number
from rotoscope.errors import DataError
from tests.data.small_files import mask, names, picture


@pytest.fixture
def cars(tmp_path):
    """FBMS's test set with a sequence whose numbers begin with 8 and are not of one width."""
    for number in (8, 9, 10, 11, 100):
        picture(tmp_path / "Testset" / "cars1" / f"cars1_{number}.jpg")
    (tmp_path / "Testset" / "cars1" / "._cars1_8.jpg").touch()
    return tmp_path


FRAMES = ["cars1_8.jpg", "cars1_9.jpg", "cars1_10.jpg", "cars1_11.jpg", "cars1_100.jpg"]


@pytest.mark.parametrize(
    ("folder", "files", "expected"),
    [
        ("Testset/cars1/GroundTruth", ["cars1_08_gt.ppm", "cars1_011_gt.ppm"], [0, 3]),
        ("Testset/cars1/GroundTruth", ["cars1_009.pgm", "cars1_100.pgm"], [1, 4]),
        ("Testset/cars1/GroundTruth", ["00010_gt.png", "00100_GT.png"], [2, 4]),
        ("inst/test/cars1", ["cars1_8.png", "cars1_10.png"], [0, 2]),
        ("inst/test/cars1", ["00009.png"], [1]),
        ("Testset/cars1", ["cars1_0100.png"], [4]),
    ],
)
def test_fbms_masks_find_their_frame_by_number(cars, folder, files, expected):
    for file in files:
        mask(cars / folder / file)
    (found,) = fbms.find_sequences(cars)
    assert found.name == "cars1"
    assert names(found.frames) == FRAMES
    assert found.annotated == expected
    assert [found.masks[index] for index in expected] == [cars / folder / file for file in files]


def test_fbms_probability_maps_are_no_masks(cars):
    mask(cars / "Testset" / "cars1" / "GroundTruth" / "cars1_08_gt.ppm")
    mask(cars / "Testset" / "cars1" / "GroundTruth" / "cars1_08_PROB_gt.ppm")
    assert names(fbms.find_sequences(cars)[0].masks) == ["cars1_08_gt.ppm", None, None, None, None]


def test_fbms_training_set_and_names(cars):
    mask(cars / "inst" / "test" / "cars1" / "8.png")
    for name in ("bear01", "dogs02"):
        picture(cars / "Trainingset" / name / f"{name}_0001.jpg")
        mask(cars / "Trainingset" / name / "GroundTruth" / f"{name}_0001_gt.pgm")
    assert [found.name for found in fbms.find_sequences(cars)] == ["cars1"]
    assert [found.name for found in fbms.find_sequences(cars, split="train")] == ["bear01", "dogs02"]
    assert [found.name for found in fbms.find_sequences(cars, ["dogs02"], "train")] == ["dogs02"]
    assert [found.name for found in fbms.find_sequences(cars / "Trainingset", split="train")] == ["bear01", "dogs02"]
    with pytest.raises(DataError, match="has no sequence lion"):
        fbms.find_sequences(cars, ["lion"])


def test_fbms_says_what_is_wrong(cars, tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        fbms.find_sequences(tmp_path / "none")
    with pytest.raises(DataError, match="cars1 has no masks"):
        fbms.find_sequences(cars)
    truth = cars / "Testset" / "cars1" / "GroundTruth"
    mask(truth / "cars1_12_gt.ppm")
    with pytest.raises(DataError, match=r"cars1_12_gt\.ppm has no picture"):
        fbms.find_sequences(cars)
    (truth / "cars1_12_gt.ppm").unlink()
    mask(truth / "cars1_08_gt.ppm")
    mask(truth / "cars1_8.pgm")
    with pytest.raises(DataError, match=r"cars1_08_gt\.ppm and cars1_8\.pgm would be one frame of cars1"):
        fbms.find_sequences(cars)
    (truth / "cars1_8.pgm").unlink()
    picture(cars / "Testset" / "cars1" / "cars1_08.jpg")
    with pytest.raises(DataError, match=r"cars1_8\.jpg and cars1_08\.jpg would be one frame"):
        fbms.find_sequences(cars)


@pytest.mark.parametrize(
    ("name", "number"),
    [("bear_0007.jpg", 7), ("bear_0007_gt.ppm", 7), ("00012.png", 12), ("cars1_gt.ppm", 1), ("bear.png", None)],
)
def test_the_number_of_a_file(tmp_path, name, number):
    assert frame_number(tmp_path / name) == number


def boats(root, inner, suffix=".bmp"):
    for number in (1, 2, 10, 11):
        picture(root / inner / "boat" / f"boat_{number}{suffix}")


ORDER = ["boat_1.bmp", "boat_2.bmp", "boat_10.bmp", "boat_11.bmp"]


@pytest.mark.parametrize("inner", ["ViSal", "JPEGImages", "Frames", ""])
@pytest.mark.parametrize("place", ["GroundTruth/boat", "Annotations/boat", "GroundTruth"])
def test_visal_masks_of_the_frames_stem(tmp_path, inner, place):
    boats(tmp_path, inner)
    for name in ("boat_2.png", "boat_11.bmp"):
        mask(tmp_path / place / name)
    (found,) = visal.find_sequences(tmp_path)
    assert names(found.frames) == ORDER
    assert names(found.masks) == [None, "boat_2.png", None, "boat_11.bmp"]


def test_visal_masks_beside_the_frames(tmp_path):
    boats(tmp_path, "", ".jpg")
    mask(tmp_path / "boat" / "GroundTruth" / "boat_1.png")
    (found,) = visal.find_sequences(tmp_path)
    assert names(found.frames) == [name.replace("bmp", "jpg") for name in ORDER]
    assert found.masks[0] == tmp_path / "boat" / "GroundTruth" / "boat_1.png"
    assert found.annotated == [0]


def test_visal_masks_by_place_in_the_sequence(tmp_path):
    boats(tmp_path, "ViSal")
    for name in ("0000.png", "0003.png"):
        mask(tmp_path / "GroundTruth" / "boat" / name)
    assert names(visal.find_sequences(tmp_path)[0].masks) == ["0000.png", None, None, "0003.png"]
    mask(tmp_path / "GroundTruth" / "boat" / "0004.png")
    with pytest.raises(DataError, match=r"0004\.png has no picture"):
        visal.find_sequences(tmp_path)


def test_visal_masks_of_all_sequences_in_one_folder(tmp_path):
    boats(tmp_path, "ViSal")
    for number in (0, 1):
        picture(tmp_path / "ViSal" / "boat2" / f"boat2_{number}.png")
    for name in ("boat_1.png", "boat2_1.png"):
        mask(tmp_path / "GroundTruth" / name)
    first, second = visal.find_sequences(tmp_path)
    assert names(first.masks) == ["boat_1.png", None, None, None]
    assert names(second.masks) == [None, "boat2_1.png"]
    assert [found.name for found in visal.find_sequences(tmp_path, ["boat2"])] == ["boat2"]


def test_visal_says_what_is_wrong(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        visal.find_sequences(tmp_path / "none")
    with pytest.raises(DataError, match="holds no sequence"):
        visal.find_sequences(tmp_path)
    boats(tmp_path, "ViSal")
    with pytest.raises(DataError, match="boat has no masks"):
        visal.find_sequences(tmp_path)
