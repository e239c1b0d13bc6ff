import pytest

from rotoscope.data.youtube_vos import find_sequences
from rotoscope.errors import DataError
from tests.data.small_files import mask, names, picture


@pytest.fixture
def package(tmp_path):
    """Two videos of train, every fifth frame; the masks of the second were cleaned."""
    for video in ("003234408d", "0043f083b5"):
        for number in (0, 5, 10, 100000):
            picture(tmp_path / "train" / "JPEGImages" / video / f"{number:05d}.jpg")
            mask(tmp_path / "train" / "Annotations" / video / f"{number:05d}.png")
    for number in (5, 10):
        mask(tmp_path / "train" / "CleanedAnnotations" / "0043f083b5" / f"{number:05d}.png")
    (tmp_path / "train" / "meta.json").write_text("{}")
    (tmp_path / "train" / "JPEGImages" / "._003234408d").touch()
    (tmp_path / "train" / "JPEGImages" / "003234408d" / "._00000.jpg").touch()
    return tmp_path


@pytest.mark.parametrize("inner", ["", "train"])
def test_frames_are_in_order_and_cleaned_masks_go_first(package, inner):
    first, second = find_sequences(package / inner)
    assert (first.name, second.name) == ("003234408d", "0043f083b5")
    assert names(first.frames) == ["00000.jpg", "00005.jpg", "00010.jpg", "100000.jpg"]
    assert names(first.masks) == ["00000.png", "00005.png", "00010.png", "100000.png"]
    assert {path.parent.parent.name for path in first.masks} == {"Annotations"}
    assert names(second.masks) == [None, "00005.png", "00010.png", None]
    assert second.masks[1] == package / "train" / "CleanedAnnotations" / "0043f083b5" / "00005.png"
    assert second.annotated == [1, 2]


def test_names_and_splits(package):
    assert [found.name for found in find_sequences(package, names=["0043f083b5"])] == ["0043f083b5"]
    with pytest.raises(DataError, match="no sequence nothing; it has 2, such as 003234408d"):
        find_sequences(str(package), names=["nothing"])
    picture(package / "valid" / "JPEGImages" / "a" / "00003.jpg")
    mask(package / "valid" / "Annotations" / "a" / "00003.png")
    assert [found.name for found in find_sequences(package, "valid")] == ["a"]


def test_what_is_wrong_is_said(package, tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        find_sequences(tmp_path / "none")
    with pytest.raises(DataError, match=r"looked for .*test/JPEGImages and .*JPEGImages"):
        find_sequences(package, "test")
    frames = package / "train" / "JPEGImages" / "003234408d"
    (frames / "00010.jpg").unlink()
    with pytest.raises(DataError, match=r"Annotations/003234408d/00010\.png has no picture in .*003234408d; add it"):
        find_sequences(package)
    for path in frames.iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"003234408d has no pictures: looked for \.jpg, \.jpeg files in"):
        find_sequences(package)


def test_a_video_without_masks_is_refused(package):
    picture(package / "train" / "JPEGImages" / "zebra" / "00000.jpg")
    with pytest.raises(DataError, match=r"zebra has no masks: looked for \.png files in .*Annotations/zebra"):
        find_sequences(package)
