from __future__ import annotations

import errno
import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from rotoscope.errors import OutputError
from rotoscope.video import VideoWriter, open_video
from tests.video.clips import number, numbered


def write(path: Path, images: list[np.ndarray], rate: float = 25, times: list[float] | None = None, **options) -> Path:
    with VideoWriter(path, images[0].shape[:2], rate, **options) as writer:
        for index, image in enumerate(images):
            writer.write(image, None if times is None else times[index])
    return path


@pytest.mark.parametrize("suffix", ["mp4", "m4v", "mov", "mkv", "webm", "MP4"])
def test_what_is_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / "new" / f"a.{suffix}", [numbered(index) for index in range(12)])
    frames = list(open_video(path))
    assert [number(frame.image) for frame in frames] == list(range(12))
    assert [frame.timestamp for frame in frames] == pytest.approx([index / 25 for index in range(12)], abs=1e-3)
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name]


def test_an_mp4_is_one_that_browsers_play(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", [numbered(index) for index in range(12)], 30000 / 1001)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as opened:
        stream = opened.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == Fraction(30000, 1001)
        assert stream.duration * stream.time_base == Fraction(12 * 1001, 30000)
        assert opened.duration == pytest.approx(12 * 1001 / 30000 * 1e6, abs=1000)


@pytest.mark.parametrize(("height", "matrix"), [(48, 6), (720, 1)])
def test_colours_come_back_and_are_marked(tmp_path: Path, height: int, matrix: int) -> None:
    image = np.full((height, 64, 3), (200, 40, 90), np.uint8)
    path = write(tmp_path / "a.mp4", [image], crf=5)
    np.testing.assert_allclose(open_video(path).seek(0).image[8:16, 8:16], image[8:16, 8:16], atol=4)
    with av.open(str(path)) as opened:
        context = opened.streams.video[0].codec_context
        marks = context.colorspace, context.color_primaries, context.color_trc, context.color_range
        assert marks == (matrix, matrix, matrix, 1)


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (33, 47)])
def test_odd_and_tiny_sizes_are_made_even_by_their_edge(tmp_path: Path, size: tuple[int, int], suffix: str) -> None:
    image = np.full((*size, 3), 60, np.uint8)
    image[-1:] = 180
    path = write(tmp_path / f"a.{suffix}", [image] * 2, crf=4)
    video = open_video(path)
    assert video.info.size == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert video.seek(1).image[-1].mean() == pytest.approx(180, abs=12)


@pytest.mark.parametrize("start", [0.0, 0.078, 40_000.0, -0.5])
def test_times_are_kept(tmp_path: Path, start: float) -> None:
    gaps = [0.0, 0.022, 0.222, 0.232, 0.822, 0.922]
    path = write(tmp_path / "a.mp4", [numbered(index) for index in range(6)], times=[start + gap for gap in gaps])
    video = open_video(path)
    first = start if 0 <= start < 1 else 0.0
    assert [frame.timestamp for frame in video] == pytest.approx([first + gap for gap in gaps], abs=1e-4)
    assert video.count().seconds == pytest.approx(0.922 + 1 / 25, abs=1e-3)


def test_equal_times_are_moved_on_and_earlier_ones_refused(tmp_path: Path) -> None:
    images = [numbered(index) for index in range(3)]
    times = [frame.timestamp for frame in open_video(write(tmp_path / "a.mp4", images, times=[0.0, 0.5, 0.5]))]
    assert all(later > earlier for earlier, later in pairwise(times))
    with pytest.raises(OutputError, match=r"timestamp 0\.2"):
        write(tmp_path / "b.mp4", images, times=[0.0, 0.5, 0.2])
    with pytest.raises(OutputError, match="nan"):
        write(tmp_path / "b.mp4", images, times=[0.0, float("nan"), 0.2])
    assert not (tmp_path / "b.mp4").exists()


def ramp() -> np.ndarray:
    image = np.zeros((32, 64, 4), np.uint8)
    image[..., :3] = (220, 120, 40)
    image[..., 3] = np.linspace(0, 255, 64)
    return image


def test_alpha_in_prores(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mov", [ramp()] * 3, alpha=True)
    with av.open(str(path)) as opened:
        rgba = next(opened.decode(video=0)).to_ndarray(format="rgba")
        assert opened.streams.video[0].codec_context.name == "prores"
    np.testing.assert_allclose(rgba[..., 3].astype(int), ramp()[..., 3], atol=6)
    np.testing.assert_allclose(rgba[8:-8, 8:-8, :3].reshape(-1, 3).mean(0), (220, 120, 40), atol=6)


def test_alpha_in_webm(tmp_path: Path) -> None:
    path = write(tmp_path / "a.webm", [ramp()] * 3, alpha=True, crf=10)
    with av.open(str(path)) as opened:
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        pictures = [picture for packet in opened.demux(video=0) if packet.size for picture in decoder.decode(packet)]
    assert pictures[0].format.name == "yuva420p"
    rgba = pictures[0].to_ndarray(format="rgba")
    np.testing.assert_allclose(rgba[..., 3].astype(int), ramp()[..., 3], atol=10)


def test_an_opaque_image_may_join_transparent_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mov", [ramp()[..., :3]], alpha=True)
    with av.open(str(path)) as opened:
        assert next(opened.decode(video=0)).to_ndarray(format="rgba")[..., 3].min() >= 250


@pytest.mark.parametrize(
    ("name", "alpha", "words"),
    [("a.gif", False, "possible: .mp4"), ("a", False, "missing"), ("a.mp4", True, "possible: .webm, .mov")],
)
def test_the_suffix_is_checked(tmp_path: Path, name: str, alpha: bool, words: str) -> None:
    with pytest.raises(OutputError, match=words):
        VideoWriter(tmp_path / name, (4, 4), 25, alpha=alpha)


def test_options_out_of_range(tmp_path: Path) -> None:
    for arguments, words in (
        (((0, 4), 25), "size 0x4"),
        (((4, 4), 0), "frame rate 0"),
        (((4, 4), float("nan")), "frame rate nan"),
    ):
        with pytest.raises(OutputError, match=words):
            VideoWriter(tmp_path / "a.mp4", *arguments)
    with pytest.raises(OutputError, match="crf 99"):
        VideoWriter(tmp_path / "a.mp4", (4, 4), 25, crf=99)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 6, 4), np.uint8), "alpha=True"),
        (np.zeros((4, 6, 3), np.float32), "float32"),
        (np.zeros((6, 4, 3), np.uint8), r"\(6, 4, 3\), expected uint8 \(4, 6, 3\)"),
        ([1, 2], "list"),
    ],
)
def test_images_are_checked_and_nothing_stays(tmp_path: Path, image: object, words: str) -> None:
    with pytest.raises(OutputError, match=words), VideoWriter(tmp_path / "a.mp4", (4, 6), 25) as writer:  # noqa: PT012
        writer.write(np.zeros((4, 6, 3), np.uint8))
        writer.write(image)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_an_aborted_file_leaves_what_was_there_before(tmp_path: Path, fault: type[BaseException]) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(fault), VideoWriter(path, (48, 64), 25) as writer:  # noqa: PT012
        for index in range(30):
            writer.write(numbered(index))
        raise fault
    assert path.read_bytes() == b"precious"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_no_frame_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no frame"), VideoWriter(tmp_path / "a.mp4", (4, 4), None):
        pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="not open"):
        VideoWriter(tmp_path / "a.mp4", (4, 4), 25).write(np.zeros((4, 4, 3), np.uint8))


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    images = [numbered(0)]
    with pytest.raises(OutputError, match="file"):
        write(tmp_path / "file" / "a.mp4", images)
    with pytest.raises(OutputError, match="folder of this name"):
        write(tmp_path / "folder.mp4", images)
    if os.geteuid() != 0:
        (tmp_path / "shut").mkdir(mode=0o500)
        with pytest.raises(OutputError, match="permission"):
            write(tmp_path / "shut" / "a.mp4", images)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    # A limit on the size of files makes writing fail as a full disk does, at the same calls.
    script = f"""
import resource, numpy as np
from pathlib import Path
from rotoscope.errors import OutputError
from rotoscope.video import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
try:
    with VideoWriter(Path("a.{suffix}"), (120, 160), 25, crf=5) as writer:
        for _ in range(60):
            writer.write(np.roll(noise, 3, 1)); noise = noise[::-1].copy()
            noise = np.random.default_rng(noise[0, 0]).integers(0, 255, noise.shape).astype(np.uint8)
except OutputError as error:
    print("OutputError", error)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"OutputError cannot write a.{suffix}: "), done
    assert "pixels" not in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_cause_is_put_into_words(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", (4, 4), 25)
    assert "disk is full" in str(writer._explained(av.error.OSError(errno.ENOSPC, "No space left on device")))


def test_a_size_that_the_codec_refuses(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="60000x2"), VideoWriter(tmp_path / "a.mp4", (2, 60000), 25) as writer:
        writer.write(np.zeros((2, 60000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
