from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rotoscope.errors import OptionError, RotoscopeError, VideoError, VideoWarning
from rotoscope.video import find_videos, is_video_path, open_video
from rotoscope.video.pictures import natural_key, read_picture
from tests.video.clips import encode, numbered

GREY = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)
RGB = np.dstack([GREY, GREY[::-1], np.full_like(GREY, 70)])


def save(path: Path, array: np.ndarray, mode: str | None = None, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for index, name in enumerate(["1.png", "2.PNG", "10.png", "a9.png", "a11.bmp"]):
        save(tmp_path / "clip" / name, np.full((4, 6, 3), index, np.uint8))
    (tmp_path / "clip" / ".hidden.png").write_text("junk")
    (tmp_path / "clip" / "Thumbs.db").write_text("junk")
    video = open_video(tmp_path / "clip", frame_rate=10)
    frames = list(video)
    assert [frame.name for frame in frames] == ["1", "2", "10", "a9", "a11"]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.timestamp for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert (video.info.name, video.info.size, video.info.frame_count, video.info.frame_rate) == ("clip", (4, 6), 5, 10)
    assert video.seek(3).name == "a9"
    assert [frame.index for frame in video.frames(3)] == [3, 4]
    with pytest.raises(VideoError, match="no frame 5"):
        video.seek(5)
    assert video.count().frames == 5
    assert video.details()["codec"] == "bmp, png"


@given(numbers=st.lists(st.integers(0, 10**6), min_size=1, max_size=8, unique=True))
def test_natural_order_is_that_of_numbers(numbers: list[int]) -> None:
    names = [f"frame{value}.jpg" for value in numbers]
    assert sorted(names, key=natural_key) == [f"frame{value}.jpg" for value in sorted(numbers)]


@given(names=st.lists(st.text(min_size=1), max_size=6))
def test_any_names_can_be_ordered(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)


def test_the_name_of_a_folder_given_as_a_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "seq" / "0.png", RGB)
    monkeypatch.chdir(tmp_path / "seq")
    assert open_video(".").info.name == "seq"
    assert open_video(".", name="mine").info.name == "mine"


def expected_over_black(alpha: np.ndarray) -> np.ndarray:
    return np.rint(RGB * (alpha[..., None] / 255)).astype(np.uint8)


def test_modes_come_as_rgb_bytes(tmp_path: Path) -> None:
    alpha = np.broadcast_to(np.linspace(0, 255, 20).astype(np.uint8), (12, 20))
    grey3 = np.dstack([GREY] * 3)
    deep = GREY.astype(np.uint16) * 257
    bits = np.where(GREY > 100, 255, 0).astype(np.uint8)
    cases = {
        "rgb.png": (save(tmp_path / "rgb.png", RGB), RGB),
        "grey.png": (save(tmp_path / "grey.png", GREY), grey3),
        "rgba.png": (save(tmp_path / "rgba.png", np.dstack([RGB, alpha])), expected_over_black(alpha)),
        "la.png": (
            save(tmp_path / "la.png", np.dstack([GREY, GREY, GREY, alpha]), "LA"),
            np.rint(grey3 * (alpha[..., None] / 255)).astype(np.uint8),
        ),
        "16.png": (save(tmp_path / "16.png", deep), grey3),
        "16.tif": (save(tmp_path / "16.tif", deep), grey3),
        "32.tif": (save(tmp_path / "32.tif", deep.astype(np.int32)), grey3),
        "unit.tif": (save(tmp_path / "unit.tif", GREY.astype(np.float32) / 255), grey3),
        "float.tif": (save(tmp_path / "float.tif", deep.astype(np.float32)), grey3),
        "bits.png": (save(tmp_path / "bits.png", bits, "1"), np.dstack([bits] * 3)),
        "flat.webp": (save(tmp_path / "flat.webp", RGB, lossless=True), RGB),
        "cmyk.tif": (save(tmp_path / "cmyk.tif", RGB, "CMYK"), RGB),
    }
    palette = Image.fromarray(GREY // 60).convert("P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    palette.save(tmp_path / "palette.png", transparency=2)
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 0], [9, 9, 9]], np.uint8)
    cases["palette.png"] = (tmp_path / "palette.png", colours[GREY // 60])
    for name, (path, expected) in cases.items():
        image = open_video(path).seek(0).image
        assert image.dtype == np.uint8, name
        assert image.flags["C_CONTIGUOUS"], name
        assert image.flags["WRITEABLE"], name
        np.testing.assert_allclose(image.astype(int), expected, atol=1, err_msg=name)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    undo = [
        lambda image: image,
        np.fliplr,
        lambda image: np.rot90(image, 2),
        np.flipud,
        lambda image: image.transpose(1, 0, 2),
        np.rot90,
        lambda image: np.rot90(image, 2).transpose(1, 0, 2),
        lambda image: np.rot90(image, -1),
    ][orientation - 1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", np.ascontiguousarray(undo(RGB)), exif=exif)
    video = open_video(path)
    assert video.info.size == (12, 20)
    np.testing.assert_array_equal(video.seek(0).image, RGB)


@pytest.mark.parametrize("values", [[-1.0, 0.5], [0.0, 70000.0], [0.0, np.nan], [0.0, np.inf]])
def test_values_without_a_clear_range_are_refused(tmp_path: Path, values: list[float]) -> None:
    path = save(tmp_path / "a.tif", np.array([values], np.float32))
    with pytest.raises(VideoError, match=r"a\.tif.*0 to 65535"):
        read_picture(path)


def test_unreadable_and_odd_pictures_are_named(tmp_path: Path) -> None:
    for index in range(3):
        save(tmp_path / f"{index}.png", RGB)
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    with pytest.raises(VideoError, match=r"1\.png"):
        list(open_video(tmp_path))
    save(tmp_path / "1.png", RGB[:, :15])
    with pytest.raises(VideoError, match=r"1\.png is 15x12 .* 0\.png is 20x12"):
        list(open_video(tmp_path))
    (tmp_path / "1.png").write_text("this is text")
    with pytest.raises(VideoError, match=r"1\.png.*not a picture"):
        list(open_video(tmp_path))
    (tmp_path / "1.png").unlink()
    (tmp_path / "1.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(VideoError, match=r"1\.png.*no such file"):
        list(open_video(tmp_path))


def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", RGB)
    for limit in (20, 200):  # more than twice the limit is an error in Pillow, less a warning
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(VideoError, match="too many pixels"):
            open_video(path)


def test_two_pictures_of_one_stem_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "0.png", RGB)
    save(tmp_path / "0.jpg", RGB)
    with pytest.raises(VideoError, match=r"0\.jpg and 0\.png"):
        open_video(tmp_path)


def test_of_several_pages_only_the_first_is_used_and_that_is_told(tmp_path: Path) -> None:
    pages = [Image.fromarray(RGB), Image.fromarray(RGB[::-1].copy())]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.warns(VideoWarning, match="2 pictures"):
        video = open_video(tmp_path / "a.tif")
    np.testing.assert_array_equal(video.seek(0).image, RGB)


def test_folders_without_pictures_say_what_they_hold(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="holds no pictures"):
        open_video(tmp_path)
    (tmp_path / "480p" / "dog").mkdir(parents=True)
    with pytest.raises(VideoError, match="480p"):
        open_video(tmp_path)
    save(tmp_path / "480p" / "dog" / "00000.jpg", RGB)
    with pytest.raises(VideoError, match=r"give one, such as .*dog"):
        open_video(tmp_path / "480p")
    assert open_video(tmp_path / "480p" / "dog").info.name == "dog"


def test_find_videos(tmp_path: Path) -> None:
    for name in ("v10", "v2"):
        save(tmp_path / name / "0.jpg", RGB)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden.mp4").touch()
    encode(tmp_path / "V3.MP4", [numbered(0)])
    assert [path.name for path in find_videos(tmp_path)] == ["v2", "V3.MP4", "v10"]
    assert find_videos(tmp_path / "v2") == [tmp_path / "v2"]
    assert find_videos(tmp_path / "V3.MP4") == [tmp_path / "V3.MP4"]
    assert find_videos(tmp_path / "empty") == find_videos(tmp_path / "notes.txt") == []
    assert [is_video_path(tmp_path / name) for name in ("v2", "V3.MP4", "empty", "notes.txt", "gone.mp4")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    save(tmp_path / "cover.png", RGB)
    assert [path.name for path in find_videos(tmp_path)] == ["v2", "V3.MP4", "v10"]
    with pytest.raises(VideoError, match="does not exist"):
        find_videos(tmp_path / "gone")


def test_arrays(tmp_path: Path) -> None:
    rgba = np.dstack([RGB, np.full_like(GREY, 128)])
    video = open_video([RGB, GREY, rgba], name="mine", frame_rate=2)
    frames = list(video)
    assert (video.info.name, video.info.size, video.info.frame_count) == ("mine", (12, 20), 3)
    np.testing.assert_array_equal(frames[0].image, RGB)
    np.testing.assert_array_equal(frames[1].image, np.dstack([GREY] * 3))
    np.testing.assert_allclose(frames[2].image, RGB * (128 / 255), atol=1)
    assert [frame.timestamp for frame in frames] == [0, 0.5, 1]
    assert len(list(open_video(np.stack([RGB] * 4)))) == 4
    locked = RGB[:, ::-1]
    locked.flags.writeable = False
    image = open_video([locked]).seek(0).image
    assert image.flags["C_CONTIGUOUS"]
    assert image.flags["WRITEABLE"]
    np.testing.assert_array_equal(image, locked)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ([], "empty"),
        ([RGB.astype(np.float32) / 255], "float32 .* values 0 to 0.93"),
        ([RGB, RGB.astype(np.int64)], "array 1 is int64"),
        ([RGB, RGB[:5]], "array 1 is 20x5 .* array 0 is 20x12"),
        ([RGB.transpose(2, 0, 1)], r"shape \(3, 12, 20\)"),
        ([RGB[:, :0]], r"\(12, 0, 3\)"),
        (RGB, "give a list"),
        (["a.png"], "frame 0 is a str"),
        (3, "int is not a video"),
        (b"abc", "bytes is not a video"),
        ((frame for frame in [RGB]), "generator is not a video"),
        ("https://example.org/a.mp4", "download"),
        ("", "holds no|not"),
        ("a\0b.mp4", "cannot be read|does not exist"),
        ("x" * 5000, "cannot be read|does not exist"),
    ],
)
def test_what_is_no_video(source: object, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match=words):
        open_video(source)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_frame_rates_out_of_range(rate: float) -> None:
    with pytest.raises(OptionError, match="frame rate") as caught:
        open_video([RGB], frame_rate=rate)
    assert isinstance(caught.value, RotoscopeError)


def test_davis() -> None:
    root = Path(os.environ.get("ROTOSCOPE_DATA", Path(__file__).parents[3] / "shared" / "data"))
    folder = root / "davis16-dev" / "JPEGImages" / "480p"
    if not folder.is_dir():
        pytest.skip("DAVIS is not here; set ROTOSCOPE_DATA")
    videos = find_videos(folder)
    assert len(videos) > 1
    frames = list(open_video(videos[0]).frames(0, 3))
    assert [frame.name for frame in frames] == ["00000", "00001", "00002"]
    assert frames[0].size == (480, 854)
