import numpy as np
import pytest
from PIL import Image

from rotoscope.data.folder import LabelledPictures, find_layout, find_sequences
from rotoscope.data.reading import read_clip, read_labels
from rotoscope.errors import DataError, MaskError
from tests.data.small_files import SIZE, labels, mask, names, picture


@pytest.fixture
def cows(tmp_path):
    for number in (1, 2, 10):
        picture(tmp_path / "frames" / "cow" / f"{number}.jpg")
    for number in (1, 10):
        mask(tmp_path / "masks" / "cow" / f"{number}.png", labels(ids=(1, number)))
    (tmp_path / "frames" / "._cow").touch()
    (tmp_path / "masks" / "cow" / "._2.png").touch()
    return tmp_path


def test_sequences(cows):
    picture(cows / "frames" / "ant" / "a.webp")
    mask(cows / "masks" / "ant" / "a.png")
    ant, cow = find_sequences(cows)
    assert (ant.name, cow.name) == ("ant", "cow")
    assert names(cow.frames) == ["1.jpg", "2.jpg", "10.jpg"]
    assert cow.masks == [cows / "masks" / "cow" / "1.png", None, cows / "masks" / "cow" / "10.png"]
    assert cow.annotated == [0, 2]
    assert [found.name for found in find_sequences(cows, ("cow",))] == ["cow"]


def test_davis_names_of_the_folders(tmp_path):
    picture(tmp_path / "JPEGImages" / "cow" / "0.jpg")
    mask(tmp_path / "Annotations" / "cow" / "0.png")
    layout = find_layout(tmp_path)
    assert (layout.frames.name, layout.masks.name, layout.videos) == ("JPEGImages", "Annotations", True)
    assert find_sequences(tmp_path)[0].annotated == [0]


def test_a_clip_is_read_in_order(cows):
    (cow,) = find_sequences(cows)
    frames, ids = read_clip(cow, [0, 2, 2])
    assert frames.shape == (3, *SIZE, 3)
    assert [sorted(set(frame.ravel().tolist())) for frame in ids] == [[0, 1], [0, 1, 10], [0, 1, 10]]
    with pytest.raises(DataError, match=r"2\.jpg has no annotation"):
        read_clip(cow, [0, 1])


def test_what_is_wrong_is_said(cows, tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        find_sequences(tmp_path / "none")
    picture(tmp_path / "half" / "frames" / "cow" / "0.jpg")
    with pytest.raises(DataError, match=r"has none of the folders masks, Annotations; see .*docs/training\.md"):
        find_sequences(tmp_path / "half")
    with pytest.raises(DataError, match="frames has no sequence dog"):
        find_sequences(cows, ("dog",))
    mask(cows / "masks" / "cow" / "3.png")
    with pytest.raises(DataError, match=r"3\.png has no picture"):
        find_sequences(cows)
    (cows / "masks" / "cow" / "3.png").unlink()
    picture(cows / "frames" / "cow" / "2.png")
    with pytest.raises(DataError, match=r"2\.png and 2\.jpg would be one frame of cow"):
        find_sequences(cows)


def test_single_pictures(tmp_path):
    for number in (2, 10, 9):
        picture(tmp_path / "images" / f"{number}.jpg", (12, number + 6))
    mask(tmp_path / "masks" / "2.png", labels((12, 8)) * 255)
    mask(tmp_path / "masks" / "10.png", labels((12, 16), (3, 7)))
    found = LabelledPictures(tmp_path)
    assert len(found) == 2
    pixels, ids = found.read(0)
    assert pixels.shape == (12, 8, 3)
    assert np.array_equal(ids, labels((12, 8)))
    assert np.array_equal(found.read(1)[1], labels((12, 16), (3, 7)))
    with pytest.raises(DataError, match="for single pictures use the kind pictures"):
        find_sequences(tmp_path)
    (tmp_path / "masks" / "2.png").rename(tmp_path / "masks" / "4.png")
    (tmp_path / "masks" / "10.png").unlink()
    with pytest.raises(DataError, match=r"no picture of .*images has a mask of its name"):
        LabelledPictures(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "bmp", "pgm", "ppm"])
def test_masks_of_every_format(tmp_path, suffix):
    values = labels(ids=(1, 2, 128))
    path = tmp_path / f"mask.{suffix}"
    Image.fromarray(np.repeat(values[..., None], 3, 2) if suffix == "ppm" else values).save(path)
    assert np.array_equal(read_labels(path, SIZE), values)
    assert read_labels(path, SIZE).dtype == np.uint8


def test_ids_of_masks(tmp_path):
    narrow = mask(tmp_path / "narrow.png", labels(ids=(7,)).astype(np.uint16))
    assert np.array_equal(read_labels(narrow, SIZE), labels(ids=(7,)))
    wide = mask(tmp_path / "wide.png", labels(ids=(7, 300)))
    with pytest.raises(DataError, match=r"wide\.png has the id 300; expected ids from 0 to 255"):
        read_labels(wide, SIZE)
    with pytest.raises(MaskError, match="the frame is 3x2"):
        read_labels(narrow, (2, 3))
    lossy = tmp_path / "lossy.jpg"
    Image.fromarray(labels()).save(lossy)
    with pytest.raises(MaskError, match="is a JPEG"):
        read_labels(lossy, SIZE)


def test_every_third_picture_is_held_out(tmp_path):
    for number in range(7):
        picture(tmp_path / "images" / f"{number}.jpg")
        mask(tmp_path / "masks" / f"{number}.png", labels(ids=(number + 1,)))
    ids = [int(stored.max()) for _, stored in map(LabelledPictures(tmp_path, hold_out=3).read, range(4))]
    assert ids == [2, 3, 5, 6]  # not those of the pictures 0, 3, 6
    assert len(LabelledPictures(tmp_path)) == 7
    for number in (-1, 1):
        with pytest.raises(DataError, match="every n-th picture is left out"):
            LabelledPictures(tmp_path, hold_out=number)
