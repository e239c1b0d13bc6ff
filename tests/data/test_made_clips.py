"""Clips composed from annotated pictures: what is in them, the same by the same seed, taken by every reader."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.cli.app import main
from rotoscope.data import davis, youtube_vis
from rotoscope.data.clip_set import AnnotatedClip, ClipSetWriter
from rotoscope.data.made_clips import InstancePictures, MadeClips, made_clips, still_clips
from rotoscope.errors import DataError, MaskError, OptionError, OutputError
from rotoscope.masks.label_map import read_label_png
from rotoscope.masks.run_length import encode
from rotoscope.masks.video_set_file import write_video_set
from rotoscope.masks.youtube_vis import AnnotatedTrack, Video, VideoSet, read_video_set

SIZE = (120, 160)
WANTED = MadeClips(objects=(2, 3), frames=(4, 6), size=(96, 128), seed=7)


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """Eight pictures, each with a disc of category 3 and, on every second one, a square of category 5."""
    root = tmp_path_factory.mktemp("coco")
    (root / "images").mkdir()
    generator = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(8):
        ground = generator.integers(0, 90, (6, 8, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(ground).resize(SIZE[::-1], Image.Resampling.BICUBIC)).copy()
        turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        disc = np.stack([50 + 25 * np.cos(turns), 60 + 30 * np.sin(turns)], axis=1)
        shapes = {3: disc, 5: np.array([[95, 40], [140, 40], [140, 90], [95, 90]], float)}
        rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
        picture[((columns - 50) / 25) ** 2 + ((rows - 60) / 30) ** 2 < 1] = (240, 40, 40)
        if number % 2:
            picture[40:90, 95:140] = (40, 40, 240)
        for category in (3, 5) if number % 2 else (3,):
            points = shapes[category]
            low, high = points.min(axis=0), points.max(axis=0)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": category,
                    "bbox": [*low.tolist(), *(high - low).tolist()],
                    "segmentation": [points.ravel().tolist()],
                }
            )
        Image.fromarray(picture).save(root / "images" / f"p{number}.jpg", quality=95)
        split = "val" if number < 6 else "train"
        images.append(
            {"id": number, "file_name": f"p{number}.jpg", "height": SIZE[0], "width": SIZE[1], "split": split}
        )
    categories = [{"id": 3, "name": "disc"}, {"id": 5, "name": "square"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content))
    return root / "instances.json"


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def call(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["make-clips", *map(str, arguments)])
    return stopped.value.code


def test_every_instance_is_seen_at_first_and_has_the_colour_of_its_category(coco):
    found = list(made_clips(InstancePictures(coco), 6, WANTED))
    assert [clip.name for clip in found] == [f"{number:04d}" for number in range(6)]
    for clip in found:
        frames = len(clip.pictures)
        assert 4 <= frames <= 6
        assert clip.labels.shape == (frames, 96, 128)
        ids = sorted(set(clip.labels.ravel().tolist()) - {0})
        assert ids == list(range(1, len(ids) + 1)) == sorted(clip.categories)
        assert 2 <= len(ids) <= 3
        counts = np.bincount(clip.labels[0].ravel(), minlength=256)
        assert (counts[ids] >= 0.001 * clip.labels[0].size).all()
        assert not counts[255]
    assert {category for clip in found for category in clip.categories.values()} == {3, 5}


def test_masks_lie_where_the_things_are(coco, tmp_path):
    assert call(coco, "-o", tmp_path / "o", "--clips", 3, "--frames", 3, "--size", "96x128", "--objects", "1-3") == 0
    agreeing = pixels = 0
    for clip in sorted((tmp_path / "o" / "JPEGImages").iterdir()):
        for path in sorted(clip.iterdir()):
            with Image.open(path) as picture:
                colours = np.asarray(picture, np.int64)
            vivid = colours.max(axis=2) - colours.min(axis=2) > 90
            marked = read_label_png(tmp_path / "o" / "Annotations" / clip.name / f"{path.stem}.png") > 0
            agreeing += int((vivid == marked).sum())
            pixels += vivid.size
    assert agreeing > 0.97 * pixels


def test_things_move_smoothly_and_keep_their_ids(coco):
    moved = []
    for clip in made_clips(InstancePictures(coco), 4, WANTED):
        for number in clip.categories:
            middles = [np.argwhere(frame == number).mean(axis=0) for frame in clip.labels if (frame == number).any()]
            steps = np.linalg.norm(np.diff(middles, axis=0), axis=1)
            moved.append(float(steps.sum()))
            assert (steps < 40).all()
    assert max(moved) > 5


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(coco, tmp_path):
    common = (coco, "--clips", 2, "--frames", "3-5", "--size", "64x96", "--objects", "2-3")
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert call(*common, "-o", tmp_path / name, "--seed", seed) == 0
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(tmp_path / "a") != files(tmp_path / "c")
    assert call(coco, "-o", tmp_path / "d", "--clips", 1, *common[3:], "--seed", 1) == 0
    first = {name: data for name, data in files(tmp_path / "a").items() if "/0000/" in name}
    assert first == {name: data for name, data in files(tmp_path / "d").items() if "/0000/" in name}


def test_what_is_written_is_read_as_davis_and_as_youtube_vis(coco, tmp_path, capsys):
    root = tmp_path / "o"
    assert call(coco, "-o", root, "--clips", 2, "--frames", 4, "--size", "64x96", "--objects", "2-3") == 0
    assert capsys.readouterr().out.startswith("2 clips, 8 frames, ")
    for year, masks in ((2017, "Annotations"), (2017, "Annotations_unsupervised"), (2016, "Annotations")):
        found = davis.Davis(root, year, "val", annotations=masks)
        assert [len(one.frames) for one in found] == [4, 4]
    content = read_video_set(root / "instances.json")
    assert content.categories == {3: "disc", 5: "square"}
    assert [(video.name, video.frame_count, video.width, video.height) for video in content.videos.values()] == [
        ("0000", 4, 96, 64),
        ("0001", 4, 96, 64),
    ]
    sequences = youtube_vis.find_sequences(root, ".")
    for sequence in sequences:
        assert all(path.is_file() for path in sequence.frames)
        for index in range(4):
            stored = read_label_png(root / "Annotations" / sequence.name / f"{index:05d}.png")
            assert np.array_equal(sequence.labels(index), stored)


@pytest.mark.parametrize("benchmark", ["davis17", "davis17-unsupervised", "youtube-vis"])
def test_the_scorers_take_them(coco, tmp_path, capsys, benchmark):
    root = tmp_path / "o"
    assert call(coco, "-o", root, "--clips", 2, "--frames", 4, "--size", "64x96", "--objects", "2-3") == 0
    predictions = root / "Annotations"
    if benchmark == "youtube-vis":
        content = json.loads((root / "instances.json").read_text())
        keys = ("video_id", "category_id", "segmentations")
        results = [{**{key: one[key] for key in keys}, "score": 0.5} for one in content["annotations"]]
        predictions = tmp_path / "results.json"
        predictions.write_text(json.dumps(results))
    file = tmp_path / "scores.json"
    arguments = ["--annotations", root, "--predictions", predictions, "--json", file]
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", benchmark, *map(str, arguments)])
    assert (stopped.value.code, capsys.readouterr().err) == (0, "")
    scores = json.loads(file.read_text())["global"]
    assert scores["AP" if benchmark == "youtube-vis" else "J&F-Mean"] == 1.0


def test_stills_are_the_pictures_themselves(coco, tmp_path):
    found = {clip.name: clip for clip in still_clips(InstancePictures(coco, split="val"), 99, MadeClips((2, 2)))}
    assert sorted(found) == ["p1", "p3", "p5"]
    for name, clip in found.items():
        assert list(clip.pictures) == [(coco.parent / "images" / f"{name}.jpg").read_bytes()]
        assert clip.labels.shape == (1, *SIZE)
        assert clip.categories == {1: 3, 2: 5}
    assert call(coco, "-o", tmp_path / "o", "--still", "--clips", 2, "--objects", 1) == 0
    assert len(read_video_set(tmp_path / "o" / "instances.json").videos) == 2


def test_classes_leave_out_pictures_with_others_and_name_the_rest(coco, tmp_path):
    pictures = InstancePictures(coco, classes={3: 2})
    assert [pictures.path(number).stem for number in pictures.usable] == ["p0", "p2", "p4", "p6"]
    assert call(coco, "-o", tmp_path / "o", "--classes", "coco-movers", "--still", "--objects", "1-2") == 0
    content = read_video_set(tmp_path / "o" / "instances.json")
    assert content.categories == {1: "person", 2: "vehicle", 3: "animal"}
    tracks = [track for tracks in content.tracks.values() for track in tracks]
    assert len(tracks) == 12
    assert {track.category_id for track in tracks} == {2}


def test_stills_keep_pictures_with_others_which_are_not_annotated(coco):
    pictures = InstancePictures(coco, classes={5: 1}, among_others=True)
    found = {clip.name: clip for clip in still_clips(pictures, 99, MadeClips((1, 1)))}
    assert sorted(found) == ["p1", "p3", "p5", "p7"]
    for clip in found.values():
        assert clip.categories == {1: 1}
        assert clip.labels[0, 65, 120] == 1  # the square
        assert clip.labels[0, 60, 50] == 0  # the disc


def test_what_cannot_be_made_is_told(coco, tmp_path, capsys):
    for wrong, words in (
        (("--objects", "0-2"), "objects from 0 to 2: expected whole numbers above 0"),
        (("--objects", "3-2"), "objects from 3 to 2"),
        (("--objects", "many"), "--objects 'many' is no number and no range"),
        (("--frames", "0"), "frames from 0 to 0"),
        (("--size", "64"), "--size '64' is not height x width"),
        (("--size", "8x64"), "clips of 64x8 pixels; expected 32 or more"),
        (("--clips", "0"), "--clips 0: expected 1 or more"),
        (("--seed", "-1"), "seed -1: expected 0 or more"),
        (("--classes", "coco-ovis", "--still", "--objects", "9"), "no picture has 9 to 9 objects"),
        (("--split", "test"), "has no picture of test"),
    ):
        assert call(coco, "-o", tmp_path / "o", *wrong) == 2
        assert words in capsys.readouterr().err
    (tmp_path / "o").mkdir(exist_ok=True)
    (tmp_path / "o" / "kept").write_text("")
    assert call(coco, "-o", tmp_path / "o") == 2
    assert "holds something already" in capsys.readouterr().err
    with pytest.raises(DataError, match="no picture has at most 1 objects, all of them 16 pixels"):
        next(made_clips(_Small(), 1, MadeClips((1, 1))))
    with pytest.raises(OptionError, match="expected at most 100"):
        MadeClips((1, 101))


class _Small:
    usable = (0,)

    def categories(self, number):
        return {1: 1}

    def smallest(self, number):
        return 3.0


def test_void_and_a_folder_in_use_are_refused(tmp_path):
    writer = ClipSetWriter(tmp_path / "o", {1: "thing"})
    labels = np.zeros((1, 4, 4), np.uint8)
    labels[0, 0, 0] = 255
    with pytest.raises(MaskError, match=r"has the ids \[255\] without a category"):
        writer.write(AnnotatedClip("a", [b""], labels, {1: 1}))
    with pytest.raises(MaskError, match="has 2 pictures and 1 masks"):
        writer.write(AnnotatedClip("a", [b"", b""], labels, {1: 1}))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="holds something already"):
        ClipSetWriter(tmp_path / "file", {})


def test_annotation_files_come_back_as_they_were(tmp_path):
    mask = np.zeros((6, 9), bool)
    mask[1:4, 2:8] = True
    videos = {4: Video(4, "a", 9, 6, 3, ("a/0.jpg", "a/1.jpg", "a/2.jpg")), 5: Video(5, "b", 9, 6, 1, ("b/0.jpg",))}
    track = AnnotatedTrack(2, 4, 7, True, 3, {1: encode(mask)}, (18.0,))
    write_video_set(tmp_path / "x.json", VideoSet(videos, {7: "thing"}, {4: [track]}))
    found = read_video_set(tmp_path / "x.json")
    assert found.videos == videos
    assert found.categories == {7: "thing"}
    (back,) = found.tracks[4]
    assert (back.id, back.category_id, back.crowd, back.frame_count, back.areas) == (2, 7, True, 3, (18.0,))
    assert back.masks == track.masks
    assert json.loads((tmp_path / "x.json").read_text())["annotations"][0]["bboxes"] == [None, [2, 1, 6, 3], None]
    write_video_set(tmp_path / "y.json", VideoSet(videos, {7: "thing"}, None))
    assert read_video_set(tmp_path / "y.json").tracks is None
