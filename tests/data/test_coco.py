import json

import numpy as np
import pytest

from rotoscope.data.coco import Coco
from rotoscope.errors import DataError
from tests.data.small_files import picture

SIZE = (60, 80)


def square(number, image, left, top, side=40, **more):
    corners = [left, top, left + side, top, left + side, top + side, left, top + side]
    box = [left, top, side, side]
    return {"id": number, "image_id": image, "bbox": box, "segmentation": [corners], "category_id": 1} | more


def content(annotations, count=2):
    images = [{"id": n, "file_name": f"{n}.jpg", "height": SIZE[0], "width": SIZE[1]} for n in range(count)]
    return {"images": images, "annotations": annotations}


@pytest.fixture
def write(tmp_path):
    def call(data, name="annotations/instances_train.json", images="train"):
        for number in range(3):
            picture(tmp_path / images / f"{number}.jpg", SIZE)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(data))
        return path

    return call


def test_objects_are_numbered_and_the_later_lies_on_top(write):
    found = Coco(write(content([square(1, 1, 0, 0), square(2, 1, 20, 10), square(3, 0, 30, 10)])))
    assert len(found) == 2
    pixels, ids = found.read(1)
    assert pixels.shape == (*SIZE, 3)
    assert ids.shape == SIZE
    assert ids.dtype == np.uint8
    assert (ids[5, 5], ids[30, 30], ids[30, 50], ids[55, 70]) == (1, 2, 2, 0)
    assert sorted(set(found.read(0)[1].ravel().tolist())) == [0, 1]


def test_crowds_small_objects_and_other_splits_are_left_out(write):
    data = content([square(1, 0, 0, 0), square(2, 0, 0, 0, iscrowd=1), square(3, 1, 0, 0), square(4, 1, 0, 0, 29)], 3)
    found = Coco(write(data))
    assert len(found) == 1
    assert found.read(0)[1].max() == 1
    assert len(Coco(write(data), least_side=20)) == 1
    assert Coco(write(data), least_side=20).read(0)[1].max() == 2
    data["images"][1]["split"] = "val"
    with pytest.raises(DataError, match="has no picture of train with an object"):
        Coco(write(data), split="train")
    assert len(Coco(write(data), split="val")) == 1


@pytest.mark.parametrize("images", ["train", "images/train", "images"])
def test_pictures_are_found_beside(write, images):
    assert Coco(write(content([square(1, 0, 0, 0)]), images=images)).images.as_posix().endswith(images)


def test_run_lengths(write):
    code = {"size": list(SIZE), "counts": [60 * 10, 60 * 40, 60 * 30]}
    ids = Coco(write(content([square(1, 0, 10, 0, segmentation=code)]))).read(0)[1]
    assert ids[:, 10:50].all()
    assert ids.sum() == 60 * 40
    code["size"] = [80, 60]
    found = Coco(write(content([square(1, 0, 10, 0, segmentation=code)])))
    with pytest.raises(DataError, match=r"outline of annotation 1 cannot be read \(its size is \(80, 60\)"):
        found.read(0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.pop("images"), "is not COCO's: expected an object with the lists"),
        (lambda data: data["images"][0].pop("height"), "an entry lacks 'height'"),
        (lambda data: data["images"][0].update(height="60"), "picture 0 needs a file_name, and a height and width"),
        (lambda data: data["annotations"][0].update(image_id=9), "annotation 0 belongs to no picture"),
        (lambda data: data["annotations"][0].update(bbox=[0, 0, "a", 4]), "annotation 0 has no box of four numbers"),
        (lambda data: data["annotations"][0].pop("segmentation"), "annotation 0 has no box of four numbers or no"),
        (lambda data: data["annotations"].clear(), "has no picture with an object to use"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(write, change, words):
    data = content([square(1, 0, 0, 0)])
    change(data)
    with pytest.raises(DataError, match=words):
        Coco(write(data))


def test_what_is_wrong_with_files_is_said(write, tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*none\.json"):
        Coco(tmp_path / "none.json")
    path = write(content([square(1, 0, 0, 0), square(2, 1, 0, 0, segmentation=[["a"] * 6])]))
    picture(tmp_path / "train" / "0.jpg", (60, 70))
    found = Coco(path)
    with pytest.raises(DataError, match=r"0\.jpg is 70x60, .*instances_train\.json says 80x60"):
        found.read(0)
    with pytest.raises(DataError, match="the outline of annotation 2 cannot be read"):
        found.read(1)
    path.write_text("{")
    with pytest.raises(DataError, match="is no JSON"):
        Coco(path)
    with pytest.raises(DataError, match="there is no folder of pictures"):
        Coco(write(content([])), tmp_path / "none")
