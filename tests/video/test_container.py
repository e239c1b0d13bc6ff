from __future__ import annotations

import os
import random
import struct
import threading
import warnings
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotoscope.errors import VideoError, VideoWarning
from rotoscope.video import Video, open_video, read_ahead
from tests.video.clips import encode, number, numbered

IMAGES = [numbered(index) for index in range(120)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("clip") / "clip.mp4", IMAGES, options={"g": "20", "bf": "3"})


def test_frames_are_upright_rgb_in_order_and_can_be_read_again(clip: Path) -> None:
    video = open_video(clip)
    assert (video.info.name, video.info.size, video.info.frame_count) == ("clip", (48, 64), 120)
    assert video.info.frame_rate == 25
    for _ in range(2):
        frames = list(video)
        assert [number(frame.image) for frame in frames] == list(range(120))
        assert [frame.index for frame in frames] == list(range(120))
        assert [frame.timestamp for frame in frames] == pytest.approx([index / 25 for index in range(120)])
        for frame in frames:
            flags = frame.image.flags
            assert frame.image.dtype == np.uint8
            assert frame.image.shape == (48, 64, 3)
            assert flags["C_CONTIGUOUS"]
            assert flags["WRITEABLE"]
    top_left, top_right, low_left = frames[0].image[3, 3], frames[0].image[3, -3], frames[0].image[-3, 3]
    np.testing.assert_allclose([top_left, top_right, low_left], np.eye(3) * 255, atol=12)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("c.mp4", "libx264", "yuv420p"),
        ("c.mov", "libx264", "yuv444p"),
        ("c.avi", "mpeg4", "yuv420p"),
        ("c.avi", "libx264", "yuv420p"),
        ("c.mkv", "libx265", "yuv420p10le"),
        ("c.webm", "libvpx-vp9", "yuv420p"),
        ("c.ts", "libx264", "yuv420p"),
        ("c.h264", "libx264", "yuv420p"),
        ("c.gif", "gif", "rgb8"),
        ("c.mkv", "ffv1", "bgr0"),
    ],
)
def test_seek_gives_the_frame_and_time_of_iteration(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    options = {"g": "15"} if codec != "libx265" else {"x265-params": "log-level=none:keyint=15:open-gop=1"}
    path = encode(tmp_path / name, IMAGES[:80], codec=codec, pixels=pixels, options=options)
    with open_video(path) as known, open_video(path) as fresh:
        frames = list(known)
        assert [number(frame.image) for frame in frames] == list(range(80))
        for video in (known, fresh):
            for index in (50, 51, 79, 3, 70, 0, 45, 45):
                found = video.seek(index)
                assert (found.index, found.timestamp) == (index, frames[index].timestamp)
                np.testing.assert_array_equal(found.image, frames[index].image)
        assert [frame.index for frame in known.frames(60, 64)] == [60, 61, 62, 63]
        np.testing.assert_array_equal(next(known.frames(60)).image, frames[60].image)


@settings(max_examples=15, deadline=None)
@given(order=st.lists(st.integers(0, 119), min_size=1, max_size=6))
def test_seek_in_any_order(clip: Path, order: list[int]) -> None:
    with open_video(clip) as video:
        for index in order:
            assert number(video.seek(index).image) == index


def test_a_jump_does_not_decode_from_the_start(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rotoscope.video import decoder

    video = open_video(clip)
    assert video.count().frames == 120
    numbers = []
    original = decoder.Decoder._number
    monkeypatch.setattr(decoder.Decoder, "_number", lambda self, p: numbers.append(1) or original(self, p))
    assert number(video.seek(110).image) == 110
    assert len(numbers) < 20


def test_frames_out_of_range(clip: Path) -> None:
    video = open_video(clip)
    with pytest.raises(VideoError, match="no frame 120"):
        video.seek(120)
    with pytest.raises(VideoError, match="from 0"):
        video.seek(-1)
    assert list(video.frames(200)) == []
    assert list(video.frames(5, 5)) == []
    assert [frame.index for frame in video.frames(118)] == [118, 119]


def test_variable_rate_is_kept(tmp_path: Path) -> None:
    times = [0.078, 0.1, 0.3, 0.31, 0.9, 1.0]
    path = encode(tmp_path / "vfr.mkv", IMAGES[:6], times=times)
    video = open_video(path)
    assert [frame.timestamp for frame in video] == pytest.approx(times, abs=1e-3)
    assert video.seek(3).timestamp == pytest.approx(0.31, abs=1e-3)
    assert video.count().variable_rate
    assert video.details()["variable rate"] == "yes"
    assert video.info.frame_count is None


# The nine numbers of a tkhd: a point (x, y) is shown at (a x + c y, b x + d y), y pointing down.
ONE = 65536
TURNS = {
    "clockwise": ((0, ONE, -ONE, 0), lambda image: np.rot90(image, -1)),
    "counterclockwise": ((0, -ONE, ONE, 0), np.rot90),
    "half": ((-ONE, 0, 0, -ONE), lambda image: np.rot90(image, 2)),
    "mirror": ((-ONE, 0, 0, ONE), np.fliplr),
    "flip": ((ONE, 0, 0, -ONE), np.flipud),
    "transpose": ((0, ONE, ONE, 0), lambda image: image.transpose(1, 0, 2)),
}


@pytest.mark.parametrize("turn", TURNS)
def test_rotation_of_the_track_header_is_applied(tmp_path: Path, turn: str) -> None:
    (a, b, c, d), expected = TURNS[turn]
    path = encode(tmp_path / "plain.mp4", IMAGES[5:8])
    plain = [frame.image for frame in open_video(path)]
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    matrix = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], ">i4")
    data[place : place + 36] = matrix.tobytes()
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data)
    video = open_video(turned)
    frames = list(video)
    assert video.info.size == frames[0].size == expected(plain[0]).shape[:2]
    for frame, image in zip(frames, plain, strict=True):
        np.testing.assert_array_equal(frame.image, expected(image))
        assert frame.image.flags["C_CONTIGUOUS"]
    assert video.details()["rotation"] != "none"


@pytest.mark.parametrize(("space", "full"), [(1, False), (6, False), (1, True), (9, False)])
def test_colours_follow_the_matrix_and_range_that_the_file_names(tmp_path: Path, space: int, full: bool) -> None:
    red, blue = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[space]
    colour = np.array([0.75, 0.25, 0.2])
    luma = red * colour[0] + (1 - red - blue) * colour[1] + blue * colour[2]
    chroma = (colour[2] - luma) / (2 - 2 * blue), (colour[0] - luma) / (2 - 2 * red)
    planes = [luma * 255, *(128 + part * 255 for part in chroma)] if full else []
    planes = planes or [16 + luma * 219, *(128 + part * 224 for part in chroma)]
    path = tmp_path / "colour.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, 2 if full else 1
        frame = av.VideoFrame(32, 32, "yuv420p")
        frame.colorspace, frame.color_range = space, 2 if full else 1
        for plane, value in zip(frame.planes, planes, strict=True):
            plane.update(np.full(plane.buffer_size, round(value), np.uint8).tobytes())
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    image = open_video(path).seek(0).image
    np.testing.assert_allclose(image.reshape(-1, 3).mean(0), colour * 255, atol=3)


def test_transparency_is_laid_over_black(tmp_path: Path) -> None:
    path = tmp_path / "alpha.mov"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("png", rate=25)
        stream.height, stream.width, stream.pix_fmt = 20, 30, "rgba"
        output.mux(
            stream.encode(av.VideoFrame.from_ndarray(np.full((20, 30, 4), (200, 100, 50, 128), np.uint8), "rgba"))
        )
        output.mux(stream.encode(None))
    np.testing.assert_allclose(open_video(path).seek(0).image[5, 5], [100, 50, 25], atol=1)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (33, 47), (17, 853)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    path = encode(tmp_path / "odd.mkv", [image], codec="ffv1", pixels="bgr0")
    np.testing.assert_array_equal(open_video(path).seek(0).image, image)


def test_a_name_with_colon_and_percent(tmp_path: Path) -> None:
    path = encode(tmp_path / "plain.mp4", IMAGES[:3]).rename(tmp_path / "12:30 100%d [é].mp4")
    assert len(list(open_video(path))) == 3
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert len(list(open_video(path.name))) == 3
    finally:
        os.chdir(here)


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def no_index(path: Path) -> None:
    whole = encode(path.with_name("whole.mp4"), IMAGES[:20]).read_bytes()
    path.write_bytes(whole[: whole.index(b"moov") - 50])


BAD = {
    "missing": (lambda path: None, "does not exist"),
    "empty": (lambda path: path.touch(), "empty"),
    "text": (lambda path: path.write_text("not a video\n" * 99), "not a video"),
    "noise": (lambda path: path.write_bytes(random.Random(0).randbytes(4000)), "not a video"),
    "audio": (audio_only, "no video stream, only audio"),
    "cut": (no_index, "moov"),
    "folder": (lambda path: path.mkdir(), "holds no pictures"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_get_one_clear_line(tmp_path: Path, kind: str) -> None:
    make, words = BAD[kind]
    path = tmp_path / "bad.mp4"
    make(path)
    with pytest.raises(VideoError, match=words) as caught:
        open_video(path)
    assert "bad.mp4" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_is_not_character_art(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("\x1b[31mhello\n" * 50)
    with pytest.raises(VideoError):
        open_video(path)


def delivered(video: Video) -> tuple[list[int], list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        numbers = [number(frame.image) for frame in video]
        list(video)
    assert all(issubclass(item.category, VideoWarning) for item in caught)
    return numbers, [str(item.message) for item in caught]


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("a.mp4", {"movflags": "+faststart"}),
        ("f.mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.mkv", {}),
        ("a.webm", {}),
        ("a.avi", {}),
    ],
)
def test_a_cut_file_gives_the_frames_before_the_cut_and_one_warning(
    tmp_path: Path, name: str, container: dict[str, str]
) -> None:
    codec = "libvpx" if name.endswith("webm") else "libx264"
    grain = np.random.default_rng(0).integers(0, 60, (60, 120, 160, 3)).astype(np.uint8)
    images = [numbered(index, (120, 160)) // 2 + grain[index] for index in range(60)]
    options = {"g": "10", "bf": "0"} | ({"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx" else {})
    path = encode(tmp_path / name, images, codec=codec, container=container, options=options)
    whole, told = delivered(open_video(path))
    assert whole == list(range(60))
    assert told == []
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    numbers, told = delivered(open_video(path))
    assert 10 < len(numbers) < 60
    assert numbers == list(range(len(numbers)))
    assert len(told) == 1
    assert "cut off" in told[0]


def test_an_edit_list_leaves_frames_out_without_a_warning(tmp_path: Path) -> None:
    path = encode(tmp_path / "whole.mp4", IMAGES, options={"g": "20", "bf": "3"})
    data = bytearray(path.read_bytes())
    place = data.index(b"elst") + 12
    milliseconds, ticks = struct.unpack(">Ii", data[place : place + 8])
    # As a phone trims: from frame 33 on, for half the length; the sample table still lists all.
    data[place : place + 8] = struct.pack(">Ii", milliseconds // 2, ticks + 33 * 512)
    path.write_bytes(data)
    video = open_video(path)
    frames = list(video)
    assert [number(frame.image) for frame in frames] == list(range(33, 93))
    assert frames[0].timestamp == 0
    assert number(video.seek(50).image) == 83


def test_damage_in_the_middle_is_left_out_and_counted(tmp_path: Path) -> None:
    path = encode(tmp_path / "m.mp4", [np.roll(image, 7 * i, 1) for i, image in enumerate(IMAGES[:60])])
    packets = []
    with av.open(str(path)) as opened:
        packets = [packet.pos for packet in opened.demux(video=0) if packet.size > 40][20:23]
    data = bytearray(path.read_bytes())
    for place in packets:
        data[place + 4 : place + 40] = random.Random(place).randbytes(36)
    path.write_bytes(data)
    video = open_video(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frames = list(video)
        assert [frame.index for frame in video] == list(range(len(frames)))
    assert 50 <= len(frames) <= 60
    assert len(caught) == 1
    assert "damaged" in str(caught[0].message)
    times = [frame.timestamp for frame in frames]
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx(59 / 25)
    for index in (0, 30, len(frames) - 1):
        assert video.seek(index).timestamp == times[index]


def test_nothing_decodable_is_an_error(tmp_path: Path) -> None:
    path = encode(tmp_path / "m.mp4", IMAGES[:5], container={"movflags": "+faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])
    with pytest.raises(VideoError, match="no frame"):
        open_video(path)


def test_a_change_of_size_is_scaled_and_told_once(tmp_path: Path) -> None:
    # A transport stream may simply change its parameter sets: two of them, one behind the other.
    first = encode(tmp_path / "a.ts", IMAGES[:5])
    second = encode(tmp_path / "b.ts", [numbered(index, (96, 128)) for index in range(5, 10)])
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    video = open_video(path)
    numbers, told = delivered(video)
    assert numbers == list(range(10))
    assert len(told) == 1
    assert "from frame 5 on" in told[0]
    assert "128x96" in told[0]
    assert "64x48" in told[0]


def test_times_never_stand_still_or_go_back(tmp_path: Path) -> None:
    one = encode(tmp_path / "a.ts", IMAGES[:5])
    path = tmp_path / "both.ts"
    path.write_bytes(one.read_bytes() * 2)  # the second half starts its clock anew
    times = [frame.timestamp for frame in open_video(path)]
    assert len(times) == 10
    assert all(later > earlier for earlier, later in pairwise(times))


def test_missing_times_follow_the_rate(tmp_path: Path) -> None:
    path = encode(tmp_path / "raw.h264", IMAGES[:10], rate=Fraction(25))
    times = [frame.timestamp for frame in open_video(path)]
    assert np.diff(times) == pytest.approx([1 / 25] * 9)


def test_iterations_are_independent_and_lazy(clip: Path) -> None:
    video = open_video(clip)
    for left, right in zip(video, video, strict=True):
        assert left.index == right.index
        if left.index == 5:
            break
    before = threading.active_count()
    for frame in read_ahead(video):
        assert number(frame.image) == frame.index
        if frame.index == 20:
            break
    assert threading.active_count() <= before + 1
    assert number(video.seek(100).image) == 100


def test_a_video_is_returned_as_it_is(clip: Path) -> None:
    with open_video(clip, name="other") as video:
        assert open_video(video) is video
        assert video.info.name == "other"


def test_ordinary_files() -> None:
    root = Path(os.environ.get("ROTOSCOPE_DATA", Path(__file__).parents[3] / "shared" / "data"))
    files = sorted((root / "videos").glob("*.mp4"))
    if not files:
        pytest.skip("real videos are not here; set ROTOSCOPE_DATA")
    for path in files:
        with open_video(path) as video:
            frames = list(video.frames(0, 40))
            assert frames[-1].index == 39
            assert frames[0].size == video.info.size
            np.testing.assert_array_equal(video.seek(39).image, frames[39].image)
