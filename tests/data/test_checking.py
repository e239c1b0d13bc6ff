"""`data.checking`: each thing that can be wrong is made, and must be told with its file and no other."""

import json

import numpy as np
import pytest
from PIL import Image

from rotoscope.data.checking import Counts, Problem, check
from rotoscope.errors import DataError, OptionError
from tests.data.small_files import SIZE, labels, mask, picture
from tests.data.test_coco import content, square

COUNT = 4


@pytest.fixture
def own(tmp_path):
    """Two good sequences of a user's own."""
    for name in ("ant", "cow"):
        for number in range(COUNT):
            picture(tmp_path / "frames" / name / f"{number:05d}.jpg")
            mask(tmp_path / "masks" / name / f"{number:05d}.png")
    return tmp_path


def told(root, kind="folder", workers=1):
    """Each problem as (severity, path below the root, message)."""
    return [
        (problem.severity, problem.path.relative_to(root).as_posix(), problem.message)
        for problem in check(root, kind, workers).problems
    ]


def only(root, severity, place, words, kind="folder"):
    """Make sure that there is one problem, and what it is."""
    found = told(root, kind)
    assert [(one[0], one[1]) for one in found] == [(severity, place)], found
    assert words in found[0][2]
    return True


def test_good_data(own):
    for hidden in ("frames/._ant", "frames/ant/._00000.jpg", "masks/ant/._00000.png", "masks/.DS_Store"):
        (own / hidden).touch()
    seen = []
    found = check(own, progress=lambda name, total: seen.append((name, total)))
    assert (found.kind, found.problems, found.errors) == ("folder", (), 0)
    assert found.counts == Counts(2, 8, 8, 0, 2, {SIZE: 8})
    assert seen == [("ant", 8)] * 4 + [("cow", 8)] * 4


# One sequence with one fault: what is done to it, and what must be told.


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def soft(path):
    large = Image.new("L", (64, 48))
    large.paste(255, (10, 10, 50, 40))
    large.rotate(20).resize(SIZE[::-1], Image.Resampling.BILINEAR).save(path)


def lossy(path):
    path.unlink()
    mask(path.with_suffix(".jpg"))


@pytest.mark.parametrize(
    ("change", "severity", "place", "words"),
    [
        (lambda f, m: cut(f / "00001.jpg"), "error", "frames/cow/00001.jpg", "cannot be read: image file is truncated"),
        (lambda f, m: (f / "00001.jpg").write_bytes(b""), "error", "frames/cow/00001.jpg", "is empty (0 bytes)"),
        (lambda f, m: (f / "00001.jpg").write_text("no"), "error", "frames/cow/00001.jpg", "is not a picture"),
        (lambda f, m: cut(m / "00001.png"), "error", "masks/cow/00001.png", "cannot be read: "),
        (lambda f, m: (m / "00001.png").write_bytes(b""), "error", "masks/cow/00001.png", "is empty (0 bytes)"),
        (lambda f, m: (m / "00001.png").write_text("no"), "error", "masks/cow/00001.png", "is no picture"),
        (lambda f, m: mask(m / "00009.png"), "error", "masks/cow/00009.png", "has no picture in"),
        (lambda f, m: mask(m / "00001.PNG"), "error", "masks/cow/00001.png", "and 00001.PNG are one mask by name"),
        (lambda f, m: picture(f / "00001.png"), "error", "frames/cow/00001.png", "and 00001.jpg are one frame by name"),
        (
            lambda f, m: mask(m / "00001.png", labels((6, 8))),
            "error",
            "masks/cow/00001.png",
            "is 8x6, its picture is 16x12",
        ),
        (lambda f, m: mask(m / "00001.png", labels().T), "error", "masks/cow/00001.png", "is the picture turned"),
        (lambda f, m: mask(m / "00001.png", labels(ids=(9, 300))), "error", "masks/cow/00001.png", "has the id 300"),
        (lambda f, m: picture(m / "00001.png"), "error", "masks/cow/00001.png", "is a colour picture"),
        (
            lambda f, m: Image.new("RGBA", SIZE[::-1]).save(m / "00001.png"),
            "error",
            "masks/cow/00001.png",
            "transparent",
        ),
        (lambda f, m: mask(m / "00001.bmp"), "error", "masks/cow/00001.bmp", "is not read as a mask; expected .png"),
        (
            lambda f, m: mask(m / "00001.jpg"),
            "error",
            "masks/cow/00001.jpg",
            "is a JPEG, whose compression changes ids",
        ),
        (
            lambda f, m: Image.fromarray(labels()).save(m / "00001.png", "JPEG"),
            "error",
            "masks/cow/00001.png",
            "is a JPEG",
        ),
        (lambda f, m: soft(m / "00001.png"), "warning", "masks/cow/00001.png", "levels of grey, as soft edges have"),
        (
            lambda f, m: (m / "00001.png").unlink(),
            "warning",
            "frames/cow",
            "1 of 4 frames has no mask, the first is 00001",
        ),
        (
            lambda f, m: picture(f / "00004.tif"),
            "warning",
            "frames/cow",
            "holds 1 file of other kinds, such as 00004.tif",
        ),
    ],
)
def test_one_fault(own, change, severity, place, words):
    change(own / "frames" / "cow", own / "masks" / "cow")
    assert only(own, severity, place, words)
    assert check(own).errors == (severity == "error")


def test_sizes_of_a_sequence(own):
    picture(own / "frames" / "cow" / "00002.jpg", (24, 32))
    mask(own / "masks" / "cow" / "00002.png", labels((24, 32)))
    words = "is 32x24, 3 of 4 frames of cow are 16x12 (width x height)"
    assert only(own, "error", "frames/cow/00002.jpg", words)
    assert check(own).counts.sizes == {SIZE: 7, (24, 32): 1}


def test_frames_without_a_mask_are_one_line(own):
    for number in (0, 1, 3):
        (own / "masks" / "cow" / f"{number:05d}.png").unlink()
    assert only(own, "warning", "frames/cow", "3 of 4 frames have no mask, the first is 00000.jpg")
    assert check(own).counts.annotated == 5


def test_numbers_that_leave_gaps(own):
    for number in (7, 8, 20):
        picture(own / "frames" / "cow" / f"{number:05d}.jpg")
        mask(own / "masks" / "cow" / f"{number:05d}.png")
    assert only(own, "warning", "frames/cow", "00007.jpg follows 00003.jpg, and 1 more place like it")


def test_even_steps_leave_no_gap(own):
    for name in ("frames/cow", "masks/cow"):
        for number, path in reversed(list(enumerate(sorted((own / name).iterdir())))):
            path.rename(path.with_stem(f"{number * 5:05d}"))
    assert told(own) == []


def test_sequences_on_one_side(own):
    mask(own / "masks" / "yak" / "00000.png")
    picture(own / "frames" / "dog" / "00000.jpg")
    picture(own / "frames" / "eel" / "00000.jpg")
    (own / "masks" / "eel").mkdir()
    (own / "frames" / "fox").mkdir()
    (own / "masks" / "fox").mkdir()
    (own / "frames" / "gnu").mkdir()
    mask(own / "masks" / "gnu" / "00000.png")
    assert told(own) == [
        ("error", "masks/yak", f"holds masks of a sequence that is not there: no folder {own}/frames/yak"),
        ("error", "frames/dog", f"has no masks: there is no folder {own}/masks/dog"),
        ("error", "frames/eel", f"has no masks: none of .png in {own}/masks/eel is named like one"),
        ("error", "frames/fox", "holds no pictures; expected .jpg, .jpeg, .png, .bmp, .webp files"),
        ("error", "frames/gnu", "holds no pictures; expected .jpg, .jpeg, .png, .bmp, .webp files"),
        ("error", "masks/gnu", "holds 1 mask without pictures"),
    ]


def test_empty_masks(own):
    mask(own / "masks" / "cow" / "00001.png", labels(ids=()))
    assert told(own) == []
    for number in range(COUNT):
        mask(own / "masks" / "cow" / f"{number:05d}.png", labels(ids=()))
    assert only(own, "warning", "masks/cow", "all its 4 masks are empty")


def test_masks_whose_background_is_not_0(own):
    for number in range(COUNT):
        mask(own / "masks" / "cow" / f"{number:05d}.png", labels() + 1)
    assert only(own, "warning", "masks/cow", "no mask has a pixel of background")


def test_files_beside_the_sequences(own):
    picture(own / "frames" / "loose.jpg")
    mask(own / "masks" / "loose.png")
    found = told(own)
    assert [one[:2] for one in found] == [("warning", "frames"), ("warning", "masks")]
    assert "holds 1 file beside the folders of its sequences, such as loose.jpg" in found[0][2]


@pytest.mark.parametrize(
    "values",
    [
        labels(ids=(1, 2, 3)),
        labels(ids=(80, 160, 255)),  # grey levels as ids, as FBMS has them
        labels() * 255,
        np.kron(np.arange(40, dtype=np.uint8).reshape(5, 8), np.ones((4, 4), np.uint8)),
    ],
)
def test_ids_are_not_taken_for_soft_edges(own, values):
    for number in range(COUNT):
        picture(own / "frames" / "cow" / f"{number:05d}.jpg", values.shape)
        mask(own / "masks" / "cow" / f"{number:05d}.png", values)
    assert told(own) == []


def test_a_few_levels_without_area_are_soft_edges(own):
    values = labels() * 255
    values[2:10, 1], values[2, 2:5] = 64, 128
    mask(own / "masks" / "cow" / "00001.png", values)
    assert told(own) == []  # two objects may be thin
    values[9, 2:5] = 200
    mask(own / "masks" / "cow" / "00001.png", values)
    assert only(own, "warning", "masks/cow/00001.png", "holds 4 levels of grey, as soft edges have")


def test_every_problem_is_told_and_workers_change_nothing(own):
    for number in (0, 1, 3):
        cut(own / "frames" / "ant" / f"{number:05d}.jpg")
        (own / "masks" / "cow" / f"{number:05d}.png").write_bytes(b"")
    found = told(own)
    assert [one[1] for one in found] == [
        *(f"frames/ant/{number:05d}.jpg" for number in (0, 1, 3)),
        *(f"masks/cow/{number:05d}.png" for number in (0, 1, 3)),
    ]
    for number in range(COUNT, 12):  # more than one process is handed at once
        picture(own / "frames" / "ant" / f"{number:05d}.jpg")
        mask(own / "masks" / "ant" / f"{number:05d}.png")
    assert told(own, workers=2) == found
    assert check(own, workers=2).counts == check(own).counts


def test_remarks_of_the_library_name_the_file(own):
    exif = Image.Exif()
    exif[0x010F] = "maker"
    path = own / "frames" / "cow" / "00001.jpg"
    with Image.open(path) as image:
        image.load()
        image.save(path, exif=exif.tobytes()[:-8])
    assert [one[:2] for one in told(own)] == [("warning", "frames/cow/00001.jpg")]


# Single pictures.


@pytest.fixture
def people(tmp_path):
    for number in range(3):
        picture(tmp_path / "images" / f"{number}.jpg", (12 + number, 16))
        mask(tmp_path / "masks" / f"{number}.png", labels((12 + number, 16), (1, 2)))
    return tmp_path


def test_good_pictures(people):
    found = check(people)
    assert (found.kind, found.problems) == ("pictures", ())
    assert found.counts == Counts(0, 0, 3, 3, 6, {(12, 16): 1, (13, 16): 1, (14, 16): 1})


def test_pictures_with_faults(people):
    picture(people / "images" / "9.jpg")
    mask(people / "masks" / "8.png")
    mask(people / "masks" / "1.png", labels((13, 16), ()))
    (people / "images" / "more").mkdir()
    picture(people / "images" / "2.png", (14, 16))
    assert [(*one[:2], one[2][:30]) for one in told(people, "pictures")] == [
        ("warning", "images/more", "is a folder among single pictu"),
        ("error", "images/2.png", "and 2.jpg are one picture by n"),
        ("error", "masks/8.png", f"has no picture in {people}/images; add it, or remove the mask"[:30]),
        ("warning", "images", "1 of 5 pictures has no mask, t"),
        ("warning", "masks", "1 of 4 masks is empty, nothing"),
    ]


# Data sets as they are published.


def davis(root, bases=("Annotations",), year="2017"):
    for name in ("bear", "cows"):
        for number in range(3):
            picture(root / "JPEGImages" / "480p" / name / f"{number:05d}.jpg")
            for base in bases:
                mask(root / base / "480p" / name / f"{number:05d}.png")
    sets = root / "ImageSets" / year
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("bear\n")
    (sets / "val.txt").write_text("cows\n")
    (sets / "test-dev.txt").write_text("elsewhere\n")


@pytest.mark.parametrize(("year", "kind"), [("2016", "davis16"), ("2017", "davis17")])
def test_davis(tmp_path, year, kind):
    davis(tmp_path, year=year)
    found = check(tmp_path)
    assert (found.kind, found.problems) == (kind, ())
    assert found.counts == Counts(2, 6, 6, 0, 2, {SIZE: 6})


def test_davis_with_both_kinds_of_masks(tmp_path):
    davis(tmp_path, ("Annotations", "Annotations_unsupervised"))
    (tmp_path / "Annotations_unsupervised" / "480p" / "bear" / "00001.png").write_bytes(b"")
    assert only(tmp_path, "error", "Annotations_unsupervised/480p/bear/00001.png", "is empty", "davis17")
    assert check(tmp_path).counts == Counts(2, 6, 6, 0, 2, {SIZE: 6})


def test_davis_lists_and_folders_that_disagree(tmp_path):
    davis(tmp_path)
    (tmp_path / "ImageSets" / "2017" / "train.txt").write_text("bear\nwolf\n")
    (tmp_path / "ImageSets" / "2017" / "val.txt").write_text("bear\n")
    for base in ("JPEGImages", "Annotations"):
        (tmp_path / base / "480p" / "zebra").mkdir()
    found = told(tmp_path, "davis17")
    words = "holds 2 folders that no list names, and that nothing reads: cows, zebra"
    assert found == [
        ("warning", "JPEGImages/480p", words),
        ("warning", "Annotations/480p", words),
        ("error", "JPEGImages/480p/wolf", "there is no such folder; expected .jpg, .jpeg, .png files"),
    ]


def test_youtube_vos(tmp_path):
    for number in (0, 5, 30):
        picture(tmp_path / "train" / "JPEGImages" / "a1" / f"{number:05d}.jpg")
        mask(tmp_path / "train" / "CleanedAnnotations" / "a1" / f"{number:05d}.png", labels(ids=(1, 2)))
    found = check(tmp_path)
    assert (found.kind, found.problems) == ("youtube-vos", ())
    assert found.counts == Counts(1, 3, 3, 0, 2, {SIZE: 3})
    (tmp_path / "train" / "CleanedAnnotations" / "b2").mkdir()
    assert only(tmp_path, "error", "train/CleanedAnnotations/b2", "a sequence that is not there", "youtube-vos")


def test_fbms(tmp_path):
    for base, name in (("Testset", "cars1"), ("Trainingset", "bear01")):
        for number in (1, 2, 3):
            picture(tmp_path / base / name / f"{name}_{number:02d}.jpg")
        mask(tmp_path / base / name / "GroundTruth" / f"{name}_{1:02d}_gt.ppm")
    found = check(tmp_path)
    assert (found.kind, found.problems) == ("fbms", ())
    assert found.counts == Counts(2, 6, 2, 0, 2, {SIZE: 6})
    mask(tmp_path / "Testset" / "cars1" / "GroundTruth" / "cars1_04_gt.ppm")
    assert only(tmp_path, "error", "Testset/cars1/GroundTruth/cars1_04_gt.ppm", "has no picture", "fbms")
    assert check(tmp_path / "Testset").kind == "fbms"


def test_visal(tmp_path):
    for name in ("boat", "boat2"):
        for number in (1, 2, 3):
            picture(tmp_path / "ViSal" / name / f"{name}_{number}.bmp")
        mask(tmp_path / "GroundTruth" / f"{name}_2.png", labels(ids=()) if name == "boat" else None)
    found = check(tmp_path)
    assert (found.kind, found.counts) == ("visal", Counts(2, 6, 2, 0, 1, {SIZE: 6}))
    assert only(tmp_path, "warning", "GroundTruth", "boat: its mask is empty", "visal")
    mask(tmp_path / "GroundTruth" / "boat_2.png")
    mask(tmp_path / "GroundTruth" / "cat_2.png")
    assert only(tmp_path, "error", "GroundTruth/cat_2.png", "has no picture of its name in any sequence", "visal")


# COCO.


@pytest.fixture
def coco(tmp_path):
    def write(data, pictures=2):
        for number in range(pictures):
            picture(tmp_path / "images" / f"{number}.jpg", (60, 80))
        (tmp_path / "instances.json").write_text(json.dumps(data))
        return tmp_path

    return write


def test_good_coco(coco):
    root = coco(content([square(1, 0, 0, 0), square(2, 0, 40.5, 20.5)], 2))
    for given in (root, root / "instances.json"):
        found = check(given)
        assert (found.kind, found.problems) == ("coco", ())
        assert found.counts == Counts(0, 0, 1, 2, 2, {(60, 80): 2})


CODE = {"size": [60, 80], "counts": [4800]}


@pytest.mark.parametrize(
    ("changed", "severity", "words"),
    [
        ({"id": 1}, "error", "annotation 1 stands there twice, the second time as annotations[1]"),
        ({"image_id": 7}, "error", "annotation 2 belongs to the picture 7, which is not in the list"),
        ({"bbox": [1, 2, 3]}, "error", "annotation 2 of 1.jpg has the box [1, 2, 3]; expected four numbers"),
        ({"bbox": [0, 0, 90, 5]}, "warning", "its box [0, 0, 90, 5] reaches out of the picture of 80x60"),
        ({"segmentation": None}, "error", "annotation 2 of 1.jpg has no outline"),
        ({"segmentation": []}, "error", "annotation 2 of 1.jpg: its outline is empty"),
        ({"segmentation": [[90, 1, 99, 1, 99, 9]]}, "error", "its outline lies outside of the picture of 80x60"),
        ({"segmentation": [[70, 1, 99, 1, 99, 9]]}, "warning", "its outline reaches 19 pixels out of the picture"),
        ({"segmentation": [[1, 1, 9, 1, 9, 9], [1, 2]]}, "warning", "a polygon of other than three or more pairs"),
        ({"segmentation": [["a"] * 6]}, "error", "the outline of annotation 2 cannot be read"),
        ({"segmentation": [1, 2, 3]}, "error", "the outline of annotation 2 cannot be read"),
        ({"segmentation": CODE | {"size": [80, 60]}}, "error", "its size is (80, 60), the picture's is (60, 80)"),
        ({"segmentation": CODE | {"counts": [5]}}, "error", "run lengths sum to 5"),
        ({"segmentation": CODE}, "warning", "annotation 2 of 1.jpg has an empty outline"),
    ],
)
def test_faults_of_annotations(coco, changed, severity, words):
    root = coco(content([square(1, 0, 0, 0), square(2, 1, 0, 0) | changed]))
    assert only(root, severity, "instances.json", words, "coco")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"id": 0}, "the pictures 0.jpg and 2.jpg have one id, 0"),
        ({"file_name": "0.jpg"}, "the picture 0.jpg stands there twice, as 0 and as 2"),
        ({"height": 0}, "images[2] has the height 0 and the width 80"),
        ({"file_name": 5}, "images[2] has the id 2 and the file_name 5"),
    ],
)
def test_faults_of_picture_entries(coco, changed, words):
    data = content([square(1, 0, 0, 0)], 3)
    data["images"][2] |= changed
    assert only(coco(data, 3), "error", "instances.json", words, "coco")


def test_coco_pictures_with_faults(coco):
    data = content([square(1, 0, 0, 0), square(2, 3, 0, 0)], 4)
    root = coco(data, 3)
    picture(root / "images" / "1.jpg", (60, 70))
    cut(root / "images" / "2.jpg")
    del data["images"][0]["width"]
    (root / "instances.json").write_text(json.dumps(data))
    assert [(*one[:2], one[2][:40]) for one in told(root, "coco")] == [
        ("error", "instances.json", "images[0] has no width"),
        ("error", "images/3.jpg", "is not there, and instances.json names i"),
        ("error", "instances.json", "annotation 1 belongs to the picture 0, w"),
        ("error", "images/2.jpg", "cannot be read: image file is truncated "),
        ("error", "images/1.jpg", "is 70x60, instances.json says 80x60 (wid"),
    ]


def test_coco_files_that_cannot_be_used(coco, tmp_path):
    root = coco(content([]))
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val.json").write_text("{")
    assert only(root, "error", "annotations/instances_val.json", "is no JSON", "coco")
    (root / "annotations" / "instances_val.json").write_text("[]")
    assert only(root, "error", "annotations/instances_val.json", "is not COCO's", "coco")
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "instances_x.json").write_text(json.dumps(content([])))
    assert only(alone, "error", "x", "there is no such folder of pictures; instances_x.json names 2 in it", "coco")


def test_what_cannot_be_checked(tmp_path, own):
    with pytest.raises(DataError, match="there is no folder"):
        check(tmp_path / "none")
    with pytest.raises(OptionError, match="at least one worker, found 0"):
        check(own, workers=0)
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match=r"is laid out in no way that is known.*docs/training\.md"):
        check(tmp_path / "bare")
    (tmp_path / "bare" / "masks").mkdir()
    with pytest.raises(DataError, match="has none of the folders frames, JPEGImages, images"):
        check(tmp_path / "bare")
    for kind in ("pictures", "davis16", "davis17", "youtube-vos", "coco"):
        with pytest.raises(DataError, match=str(own)):
            check(own, kind)
    (own / "file.txt").touch()
    with pytest.raises(DataError, match="is no folder; the kind fbms needs one"):
        check(own / "file.txt", "fbms")


def test_a_problem_can_be_compared(tmp_path):
    assert Problem(tmp_path, "a", "error") == Problem(tmp_path, "a", "error")
