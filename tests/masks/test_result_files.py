"""DAVIS folders, YouTube-VIS JSON and MOTS text: what is written comes back, what is broken is named."""

import json

import numpy as np
import pytest
from PIL import Image

from rotoscope.errors import MaskError
from rotoscope.masks.davis import DavisWriter, SoftWriter, read_davis
from rotoscope.masks.label_map import read_label_png, write_label_png
from rotoscope.masks.mots import read_mots, write_mots
from rotoscope.masks.run_length import decode, empty, encode, to_string
from rotoscope.masks.youtube_vis import read_youtube_vis, video_entries, write_youtube_vis
from rotoscope.types import FrameResult, ObjectMask, Track

SIZE = (12, 16)


def mask(left, width=4, size=SIZE):
    pixels = np.zeros(size, np.bool_)
    pixels[3:9, left : left + width] = True
    return encode(pixels)


def car_and_person():
    return [
        Track(1, "car", 0.75, {0: mask(0), 2: mask(2)}),
        Track(2, "pedestrian", 0.5, {1: mask(8), 2: mask(8)}),
    ]


def result(index, objects, name=None, soft=None):
    return FrameResult(index, index / 25, SIZE, tuple(objects), name, soft)


def test_davis_folder(tmp_path):
    tracks = car_and_person()
    with DavisWriter(tmp_path / "out") as writer:
        for index in range(4):
            objects = [ObjectMask(track.id, track.masks[index]) for track in tracks if index in track.masks]
            path = writer.write(result(index, objects))
            assert path == tmp_path / "out" / f"{index:05d}.png"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{index:05d}.png" for index in range(4)]
    assert [(track.id, track.masks) for track in read_davis(tmp_path / "out")] == [
        (track.id, track.masks) for track in tracks
    ]
    assert not read_label_png(tmp_path / "out" / "00003.png").any()


def test_davis_names(tmp_path):
    assert DavisWriter(tmp_path).write(result(3, [], "frame_a")).name == "frame_a.png"
    soft = np.arange(192, dtype=np.uint8).reshape(SIZE)
    path = SoftWriter(tmp_path / "soft").write(result(3, [], soft=soft))
    assert np.array_equal(np.array(Image.open(path)), soft)
    with pytest.raises(MaskError, match="no soft map"):
        SoftWriter(tmp_path).write(result(3, []))
    with pytest.raises(MaskError, match="frame"):
        SoftWriter(tmp_path).write(result(3, [], soft=soft.T))


def test_davis_black_and_white_and_void(tmp_path):
    pixels = decode(mask(4)).astype(np.uint8)
    for index in range(2):
        (tmp_path / "bw").mkdir(exist_ok=True)
        Image.fromarray(pixels * 255 * index).save(tmp_path / "bw" / f"{index:05d}.png")
        labels = pixels * 2
        labels[0] = 255
        write_label_png(tmp_path / "void" / f"{index:05d}.png", labels)
    (track,) = read_davis(tmp_path / "bw")
    assert (track.id, track.masks) == (1, {1: mask(4)})
    assert [track.id for track in read_davis(tmp_path / "void", void=255)] == [2]
    assert [track.id for track in read_davis(tmp_path / "void")] == [2, 255]


def test_davis_folders_that_cannot_be_read(tmp_path):
    with pytest.raises(MaskError, match="no folder"):
        read_davis(tmp_path / "none")
    with pytest.raises(MaskError, match="holds no PNG"):
        read_davis(tmp_path)
    write_label_png(tmp_path / "0.png", np.zeros((4, 5), np.uint8))
    write_label_png(tmp_path / "1.png", np.zeros((5, 4), np.uint8))
    with pytest.raises(MaskError, match=r"1\.png is 4x5, the frame is 5x4"):
        read_davis(tmp_path)


CATEGORIES = {"pedestrian": 1, "car": 5}


def test_youtube_vis(tmp_path):
    path = tmp_path / "results.json"
    entries = [
        *video_entries(7, car_and_person(), 4, CATEGORIES),
        *video_entries(9, [Track(4, "car", 0.1)], 2, CATEGORIES),
    ]
    write_youtube_vis(path, entries)
    first = json.loads(path.read_text())[0]
    assert first == {
        "video_id": 7,
        "category_id": 5,
        "segmentations": [
            {"size": [12, 16], "counts": to_string(mask(0))},
            None,
            {"size": [12, 16], "counts": to_string(mask(2))},
            None,
        ],
        "score": 0.75,
    }
    videos = read_youtube_vis(path, CATEGORIES)
    assert videos[7].tracks == tuple(car_and_person())
    assert videos[7].frame_count == 4
    assert videos[9].tracks == (Track(1, "car", 0.1),)
    assert [track.label for track in read_youtube_vis(path)[7].tracks] == ["5", "1"]
    assert video_entries(7, [Track(1)], 1)[0]["category_id"] == 1


def test_youtube_vis_that_cannot_be_written():
    with pytest.raises(MaskError, match="none of: car, pedestrian"):
        video_entries(1, [Track(1, "dog")], 2, CATEGORIES)
    with pytest.raises(MaskError, match="frame 2, the video has 2 frames"):
        video_entries(1, car_and_person(), 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video_id": "7"}, "video_id"),
        ({"score": None}, "score"),
        ({"category_id": 3}, "category 3"),
        ({"segmentations": None}, "segmentations"),
        ({"segmentations": [None]}, "1 frames, others of video 7 have 4"),
        ({"segmentations": [None, "x", None, None]}, "frame 1"),
        ({"segmentations": [None, None, {"size": [2, 3], "counts": "7"}, None]}, "frame 2: run lengths sum to 7"),
        ({"segmentations": [{"size": [2, 3], "counts": [6]}, {"size": [3, 2], "counts": [6]}, None, None]}, "masks of"),
    ],
)
def test_youtube_vis_that_cannot_be_read(tmp_path, change, message):
    entries = video_entries(7, car_and_person(), 4, CATEGORIES)
    path = tmp_path / "results.json"
    path.write_text(json.dumps([entries[0], entries[1] | change]))
    with pytest.raises(MaskError, match=message) as caught:
        read_youtube_vis(path, CATEGORIES)
    assert "entry 1" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "{}", "[1]", None])
def test_youtube_vis_that_is_none(tmp_path, text):
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(MaskError, match=r"results\.json"):
        read_youtube_vis(path)


def test_mots(tmp_path):
    path = tmp_path / "0002.txt"
    write_mots(path, car_and_person())
    lines = path.read_text().splitlines()
    assert lines[0] == f"0 1001 1 12 16 {to_string(mask(0))}"
    assert [line.split()[:3] for line in lines] == [
        ["0", "1001", "1"],
        ["1", "2002", "2"],
        ["2", "1001", "1"],
        ["2", "2002", "2"],
    ]
    tracks = read_mots(path)
    assert [(track.id, track.label) for track in tracks] == [(1001, "car"), (2002, "pedestrian")]
    assert [track.masks for track in tracks] == [track.masks for track in car_and_person()]
    write_mots(path, tracks)
    assert path.read_text().splitlines() == lines


def test_mots_masks_never_overlap(tmp_path):
    tracks = [
        Track(1, "car", 0.2, {0: mask(0, 8)}),
        Track(2, "car", 0.9, {0: mask(4, 8)}),
        Track(3, "car", 0.1, {0: mask(5, 2)}),
    ]
    write_mots(tmp_path / "cut.txt", tracks)
    found = {track.id: track.masks[0] for track in read_mots(tmp_path / "cut.txt")}
    assert found == {1001: mask(0, 4), 1002: mask(4, 8)}


@pytest.mark.parametrize("other", [mask(4, 8), mask(8)], ids=["overlap", "apart"])
def test_mots_masks_without_a_pixel_are_lines_too(tmp_path, other):
    nothing = mask(0, 0)
    tracks = [
        Track(1, "car", 0.9, {0: mask(0, 8), 1: nothing}),
        Track(2, "car", 0.2, {0: nothing, 1: nothing}),
        Track(3, "car", 0.5, {0: other}),
    ]
    write_mots(tmp_path / "0002.txt", tracks)
    found = {track.id: track.masks for track in read_mots(tmp_path / "0002.txt")}
    assert found == {1001: tracks[0].masks, 1002: tracks[1].masks, 1003: {0: mask(8)}}


def test_mots_ids_may_change_their_class(tmp_path):
    path = tmp_path / "0002.txt"
    path.write_text(f"0 1001 1 12 16 {to_string(mask(0))}\n1 1001 2 12 16 {to_string(mask(8))}\n")
    assert read_mots(path) == [Track(1001, "car", 1.0, {0: mask(0)}), Track(1001, "pedestrian", 1.0, {1: mask(8)})]
    write_mots(tmp_path / "again.txt", read_mots(path))
    assert (tmp_path / "again.txt").read_text() == path.read_text()


def test_mots_ids_that_would_meet_are_numbered_anew(tmp_path):
    tracks = [Track(1, "car", 1.0, {0: mask(0)}), Track(1001, "car", 1.0, {0: mask(8)})]
    write_mots(tmp_path / "two.txt", tracks)
    assert {track.id: track.masks[0] for track in read_mots(tmp_path / "two.txt")} == {1001: mask(0), 1002: mask(8)}


def test_mots_of_more_tracks_than_a_thousand(tmp_path):
    tracks = [Track(number, "car", 1.0, {number: mask(0)}) for number in range(1, 1202)]
    tracks.append(Track(1202, "pedestrian", 1.0, {0: mask(8)}))
    write_mots(tmp_path / "many.txt", tracks)
    found = read_mots(tmp_path / "many.txt")
    assert [track.masks for track in found] == [track.masks for track in tracks]
    assert [(track.id, track.label) for track in found[-2:]] == [(1_001_201, "car"), (2_000_001, "pedestrian")]


def test_mots_without_masks(tmp_path):
    write_mots(tmp_path / "none.txt", [])
    assert (tmp_path / "none.txt").read_text() == ""
    assert read_mots(tmp_path / "none.txt") == []


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        ([Track(1, "dog")], "'dog'.* one of: car"),
        ([Track(1)], "one of"),
        ([Track(0, "car")], "ids start at 1"),
        (
            [Track(1, "car", 1.0, {3: mask(0)}), Track(1, "car", 1.0, {3: mask(8)})],
            "two tracks .* id 1 on frame 3",
        ),
        ([Track(1, "car", 1.0, {0: mask(0)}), Track(2, "car", 1.0, {0: mask(0, size=(9, 9))})], "one size"),
    ],
)
def test_mots_that_cannot_be_written(tmp_path, tracks, message):
    with pytest.raises(MaskError, match=message):
        write_mots(tmp_path / "no.txt", tracks)
    assert not (tmp_path / "no.txt").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0 1001 1 12 16"], "line 1 .* 5 fields"),
        (["0 1001 1 12 16 x y"], "7 fields"),
        (["-1 1001 1 12 16 {a}"], "line 1"),
        (["0 1001 3 12 16 {a}"], "class 3"),
        (["0 1001 1 16 13 {a}"], "line 1 .*sum to"),
        (["0 1001 1 12 16 {a}", "0 1001 1 12 16 {b}"], "line 2 .*second mask on frame 0"),
        (["0 1001 1 12 16 {a}", "0 1001 2 12 16 {b}"], "line 2 .*second mask"),
        (["0 1001 1 12 16 {a}", "0 1002 1 16 12 {e}"], "line 2 .*frame 0"),
        (["4 1001 1 12 16 {a}", "4 1002 1 12 16 {a}"], "frame 4 .*overlap"),
    ],
)
def test_mots_that_cannot_be_read(tmp_path, lines, message):
    codes = {"a": to_string(mask(0)), "b": to_string(mask(8)), "e": to_string(empty((16, 12)))}
    path = tmp_path / "0002.txt"
    path.write_text("".join(line.format(**codes) + "\n" for line in lines))
    with pytest.raises(MaskError, match=message):
        read_mots(path)


def test_mots_files_that_are_none(tmp_path):
    with pytest.raises(MaskError, match="cannot read"):
        read_mots(tmp_path / "none.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(MaskError, match="ASCII"):
        read_mots(tmp_path / "bytes.txt")
