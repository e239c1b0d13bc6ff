import os
from pathlib import Path

import pytest

from rotoscope.data.davis import Davis, find_annotations, splits_of
from rotoscope.errors import DataError

DATA = Path(os.environ.get("ROTOSCOPE_DATA", Path(__file__).parents[3] / "shared" / "data"))


def touch(folder, suffix, count=3):
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (folder / f"{index:05d}{suffix}").touch()
    (folder / f"._00000{suffix}").touch()


def package(root, inner="480p", lists=None, names=("bear", "cows"), masks=3):
    for name in names:
        touch(root / "JPEGImages" / inner / name, ".jpg")
        touch(root / "Annotations" / inner / name, ".png", masks)
    for path, text in (lists or {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


FILE_LIST = "".join(
    f"/JPEGImages/480p/{name}/{index:05d}.jpg /Annotations/480p/{name}/{index:05d}.png\n"
    for name in ("cows", "bear")
    for index in range(3)
)


@pytest.mark.parametrize(
    ("inner", "lists"),
    [
        ("480p", {"ImageSets/2016/val.txt": "cows\nbear\n\n"}),
        ("480p", {"ImageSets/480p/val.txt": FILE_LIST}),
        ("", {"val.txt": "cows\r\nbear"}),
    ],
    ids=["2017", "2016", "reduced"],
)
def test_layouts(tmp_path, inner, lists):
    davis = Davis(package(tmp_path, inner, lists))
    assert davis.names == ("cows", "bear")
    assert len(davis) == 2
    cows = davis[0]
    assert cows == davis.sequence("cows") == next(iter(davis))
    assert [path.name for path in cows.frames] == ["00000.jpg", "00001.jpg", "00002.jpg"]
    assert cows.masks == [tmp_path / "Annotations" / inner / "cows" / f"{index:05d}.png" for index in range(3)]


def test_years_and_splits(tmp_path):
    lists = {"ImageSets/2016/train.txt": "bear", "ImageSets/2017/val.txt": "cows"}
    package(tmp_path, lists=lists)
    assert Davis(tmp_path, split="train").names == ("bear",)
    assert Davis(str(tmp_path), year=2017).names == ("cows",)
    with pytest.raises(DataError, match=r"looked for ImageSets/2016/val\.txt.* found ImageSets/2016/train\.txt"):
        Davis(tmp_path)


def test_lists_of_files_are_of_2016(tmp_path):
    package(tmp_path, lists={"ImageSets/480p/val.txt": FILE_LIST})
    with pytest.raises(DataError, match=r"ImageSets/2017/val\.txt"):
        Davis(tmp_path, year=2017)


def test_frames_without_masks(tmp_path):
    package(tmp_path, lists={"ImageSets/2016/val.txt": "bear"}, masks=1)
    assert [mask is None for mask in Davis(tmp_path)[0].masks] == [False, True, True]


def test_masks_of_the_unsupervised_task(tmp_path):
    package(tmp_path, lists={"ImageSets/2017/train.txt": "bear"})
    with pytest.raises(DataError, match="has no Annotations_unsupervised; ask for its Annotations, or unpack"):
        Davis(tmp_path, 2017, "train", annotations="Annotations_unsupervised")
    touch(tmp_path / "Annotations_unsupervised" / "480p" / "bear", ".png", 2)
    (bear,) = Davis(tmp_path, 2017, "train", annotations="Annotations_unsupervised")
    own = tmp_path / "Annotations_unsupervised" / "480p" / "bear"
    assert bear.masks == [own / "00000.png", own / "00001.png", None]
    assert Davis(tmp_path, 2017, "train")[0].masks[2] == tmp_path / "Annotations" / "480p" / "bear" / "00002.png"


def test_the_splits_of_a_package(tmp_path):
    package(tmp_path, lists={"ImageSets/2017/val.txt": "bear", "ImageSets/2017/train.txt": "cows"})
    assert splits_of(tmp_path, 2017) == ["train", "val"]
    assert splits_of(tmp_path, 2016) == []


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        Davis(tmp_path / "none")
    with pytest.raises(DataError, match=r"looked for .*JPEGImages/480p"):
        Davis(tmp_path)
    package(tmp_path, lists={"ImageSets/2016/val.txt": "bear\nwolf", "ImageSets/2016/train.txt": "\n"})
    davis = Davis(tmp_path)
    with pytest.raises(DataError, match="wolf has no pictures"):
        davis[1]
    with pytest.raises(DataError, match="no sequence 'cows'"):
        davis.sequence("cows")
    with pytest.raises(DataError, match="has 480p and no 1080p"):
        Davis(tmp_path, resolution="1080p")
    with pytest.raises(DataError, match="names no sequence"):
        Davis(tmp_path, split="train")
    (tmp_path / "JPEGImages" / "480p" / "bear" / "00001.jpg").unlink()
    with pytest.raises(DataError, match=r"00001\.png has no picture"):
        davis[0]


@pytest.mark.parametrize("inner", ["", "Annotations", "Annotations/480p"])
def test_annotations_are_found_from_every_folder(tmp_path, inner):
    package(tmp_path, lists={"ImageSets/2016/val.txt": "cows\nwolf\n"})
    found = find_annotations(tmp_path / inner)
    assert found.folder == tmp_path / "Annotations" / "480p"
    assert list(found.sequences) == ["cows"]
    assert [path.name for path in found.sequences["cows"]] == ["00000.png", "00001.png", "00002.png"]
    assert found.left_out == ("wolf",)
    assert found.listed_by == tmp_path / "ImageSets" / "2016" / "val.txt"
    assert list(find_annotations(tmp_path / inner, ["bear", "bear"]).sequences) == ["bear"]


@pytest.mark.parametrize("inner", ["", "Annotations"])
def test_annotations_without_a_list(tmp_path, inner):
    package(tmp_path, inner="")
    assert list(find_annotations(tmp_path / inner).sequences) == ["bear", "cows"]


def test_annotations_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="no annotations folder"):
        find_annotations(tmp_path / "none")
    with pytest.raises(DataError, match="has no annotations"):
        find_annotations(tmp_path)
    package(tmp_path)
    with pytest.raises(DataError, match="no annotations of wolf"):
        find_annotations(tmp_path, ["bear", "wolf"])


@pytest.mark.skipif(not (DATA / "davis16-dev").is_dir(), reason=f"no davis16-dev in {DATA}; set ROTOSCOPE_DATA")
def test_real_validation_sequences():
    davis = Davis(DATA / "davis16-dev")
    assert len(davis) == 6
    assert all(None not in sequence.masks for sequence in davis)


@pytest.mark.skipif(not (DATA / "davis16-half").is_dir(), reason=f"no davis16-half in {DATA}; set ROTOSCOPE_DATA")
def test_real_training_sequences():
    davis = Davis(DATA / "davis16-half", split="train")
    assert len(davis) == 30
    assert sum(len(sequence.frames) for sequence in davis) == 2079
