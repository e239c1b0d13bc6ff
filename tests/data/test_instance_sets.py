"""Readers of instance data sets, and categories on their way into batches."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from rotoscope.data import kitti_mots, youtube_vis
from rotoscope.data.batches import made
from rotoscope.data.categories import CLASS_MAPS, class_map
from rotoscope.data.clips import spaced_indices
from rotoscope.data.coco import Coco
from rotoscope.data.reading import read_clip
from rotoscope.data.rendered import RenderedClips
from rotoscope.data.sources import FramesOf, StillClips, moving_things
from rotoscope.data.stills.cutouts import cut_from
from rotoscope.data.stills.scenes import SceneOptions
from rotoscope.data.tracks import VOID, of_tracks
from rotoscope.errors import DataError, OptionError
from rotoscope.masks.category_names import KINDS, MOVERS, OVIS, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from rotoscope.masks.run_length import encode, to_coco, to_string
from rotoscope.training.recipe import ClipShape, PictureSet, VideoData, VideoSet
from rotoscope.training.sources import source, stills

SIZE = (24, 32)


def rng(seed=0):
    return np.random.default_rng(seed)


def square(top, left, side=6):
    mask = np.zeros(SIZE, np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def write_pictures(folder, names):
    folder.mkdir(parents=True)
    for place, name in enumerate(names):
        Image.fromarray(np.full((*SIZE, 3), 10 * place, np.uint8)).save(folder / name)


def write_set(root, annotations, pictures, names=("00000.jpg", "00005.jpg", "00010.jpg")):
    """Two videos: one with two tracks that overlap on the first frame, one without any."""
    tracks = [(1, [square(2, 2), None, square(4, 4)]), (7, [square(4, 4), square(10, 10), None])]
    content = {
        "categories": [{"id": 1, "name": "person"}, {"id": 7, "name": "ape"}],
        "videos": [
            {"id": n, "width": 32, "height": 24, "length": 3, "file_names": [f"{name}/{one}" for one in names]}
            for n, name in ((4, "first"), (9, "second"))
        ],
        "annotations": [
            {
                "id": place,
                "video_id": 4,
                "category_id": category,
                "iscrowd": 0,
                "segmentations": [None if mask is None else to_coco(encode(mask)) for mask in masks],
                "areas": [None if mask is None else int(mask.sum()) for mask in masks],
            }
            for place, (category, masks) in enumerate(tracks, 1)
        ],
    }
    annotations.parent.mkdir(parents=True, exist_ok=True)
    annotations.write_text(json.dumps(content))
    for name in ("first", "second"):
        write_pictures(pictures / name, names)


LAYOUTS = {
    "2019": ("train.json", "train/JPEGImages"),
    "2021": ("train/instances.json", "train/JPEGImages"),
    "ovis": ("annotations_train.json", "train"),
    "converted": ("annotations/instances_train.json", "JPEGImages/train"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_youtube_vis_tracks_become_labels_with_categories(tmp_path, layout):
    annotations, pictures = LAYOUTS[layout]
    write_set(tmp_path, tmp_path / annotations, tmp_path / pictures)
    first, second = youtube_vis.find_sequences(tmp_path)
    assert (first.name, first.annotated, dict(first.categories)) == ("first", [0, 1, 2], {1: 1, 2: 7})
    assert (second.name, second.annotated) == ("second", [])
    frames, labels = read_clip(first, [0, 1, 2])
    assert frames[:, 0, 0, 0].tolist() == pytest.approx([0, 10, 20], abs=1)
    wanted = np.zeros((3, *SIZE), np.uint8)
    wanted[0][square(2, 2)], wanted[0][square(4, 4)] = 1, 2  # the later track lies on top
    wanted[1][square(10, 10)], wanted[2][square(4, 4)] = 2, 1
    np.testing.assert_array_equal(labels, wanted)


def test_youtube_vis_keeps_wanted_categories_only(tmp_path):
    write_set(tmp_path, tmp_path / "train.json", tmp_path / "train" / "JPEGImages")
    (only,) = youtube_vis.find_sequences(tmp_path, names=["first"], classes={7: 3})
    assert dict(only.categories) == {1: 3}
    assert only.annotated == [0, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content.pop("annotations"), "never given out"),
        (lambda content: content["videos"][0]["file_names"].__setitem__(0, "../../x.jpg"), "outside"),
        (lambda content: content["videos"][0].__setitem__("width", 30), "32x24"),
    ],
)
def test_broken_youtube_vis_is_refused(tmp_path, change, words):
    path = tmp_path / "train.json"
    write_set(tmp_path, path, tmp_path / "train" / "JPEGImages")
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=words):
        youtube_vis.find_sequences(tmp_path)


def test_missing_files_are_told(tmp_path):
    with pytest.raises(DataError, match="looked for train/instances"):
        youtube_vis.find_sequences(tmp_path)
    write_set(tmp_path, tmp_path / "train.json", tmp_path / "train" / "JPEGImages")
    with pytest.raises(DataError, match="no video third"):
        youtube_vis.find_sequences(tmp_path, names=["third"])


def write_kitti(root, name, lines, frames):
    write_pictures(root / "training" / "image_02" / name, [f"{index:06d}.png" for index in range(frames)])
    (root / "instances_txt").mkdir(exist_ok=True)
    text = "".join(f"{i} {n} {c} 24 32 {to_string(encode(mask))}\n" for i, n, c, mask in lines)
    (root / "instances_txt" / f"{name}.txt").write_text(text)


def test_kitti_mots_is_cut_where_nothing_is_shown_and_ignored_regions_are_void(tmp_path):
    car, person, ignored = square(2, 2), square(2, 20), square(14, 2)
    lines = [(0, 1001, 1, car), (0, 2001, 2, person), (0, 10000, 10, ignored), (3, 1001, 1, car)]
    lines += [(5, 10000, 10, ignored), (6, 1001, 1, np.zeros_like(car)), (10, 2001, 2, person), (11, 1002, 1, car)]
    write_kitti(tmp_path, "0000", lines, 12)
    write_kitti(tmp_path, "0002", lines, 12)  # of the validation set
    first, second = kitti_mots.find_sequences(tmp_path)
    assert [first.name, second.name] == ["0000", "0000-2"]
    assert [path.stem for path in first.frames] == ["000000", "000003"]  # frames that show no object are left out
    assert [path.stem for path in second.frames] == ["000010", "000011"]
    assert dict(first.categories) == {1: 1, 2: 2}
    _, labels = read_clip(first, [0, 1])
    assert [set(np.unique(one).tolist()) for one in labels] == [{0, 1, 2, VOID}, {0, 1}]
    assert (labels[0] == VOID).sum() == 36
    assert [one.name for one in kitti_mots.find_sequences(tmp_path, "val")] == ["0002", "0002-2"]


def test_kitti_mots_says_what_is_missing(tmp_path):
    write_kitti(tmp_path, "0000", [(5, 1001, 1, square(2, 2))], 3)
    with pytest.raises(DataError, match="has 3 pictures, its annotation has frame 5"):
        kitti_mots.find_sequences(tmp_path)
    with pytest.raises(DataError, match="no split 'test'"):
        kitti_mots.find_sequences(tmp_path, "test")
    with pytest.raises(DataError, match="there is no folder"):
        kitti_mots.find_sequences(tmp_path / "none")


def test_too_many_tracks_are_refused():
    with pytest.raises(DataError, match="more than 254"):
        of_tracks("many", [], SIZE, [(1, {})] * 255)


def test_batches_carry_the_category_of_each_id(tmp_path):
    write_set(tmp_path, tmp_path / "train.json", tmp_path / "train" / "JPEGImages")
    shape = ClipShape(2, SIZE)
    clips = source(VideoData("videos", (VideoSet("youtube-vis", "."),), rule="spaced"), shape, tmp_path)
    plain = RenderedClips(1, 2, SIZE)
    assert made([plain.draw(0, rng())]).categories is None
    batch = made([clips.draw(0, rng()), plain.draw(0, rng())])
    assert batch.categories is not None
    assert batch.categories.shape == (2, 256)
    assert batch.categories.dtype == torch.int64
    assert batch.categories[0].nonzero().flatten().tolist() == [1, 2]
    assert batch.categories[0, 1:3].tolist() == [1, 7]
    assert not batch.categories[1].any()


def test_void_background_leaves_objects(tmp_path):
    write_set(tmp_path, tmp_path / "train.json", tmp_path / "train" / "JPEGImages")
    table = VideoData("videos", (VideoSet("youtube-vis", ".", void_background=True),), rule="spaced")
    clip = source(table, ClipShape(3, SIZE), tmp_path).draw(0, rng())
    labels = clip.render()[1]
    assert set(labels.unique().tolist()) == {1, 2, VOID}


def write_coco(root):
    """One picture of a dog, a person on it, and a tie."""
    (root / "images").mkdir()
    Image.fromarray(np.full((80, 100, 3), 90, np.uint8)).save(root / "images" / "a.jpg")
    boxes = [(18, [5, 5, 60, 60]), (32, [2, 2, 40, 40]), (1, [20, 20, 50, 50])]
    objects = [
        {
            "id": place,
            "image_id": 1,
            "category_id": category,
            "bbox": [x, y, w, h],
            "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
        }
        for place, (category, (x, y, w, h)) in enumerate(boxes)
    ]
    content = {"images": [{"id": 1, "file_name": "a.jpg", "height": 80, "width": 100}], "annotations": objects}
    (root / "instances_train.json").write_text(json.dumps(content))


def test_coco_objects_keep_their_categories_through_moving_pictures(tmp_path):
    write_coco(tmp_path)
    every = Coco(tmp_path / "instances_train.json")
    assert every.categories(0) == {1: 18, 2: 32, 3: 1}
    mapped = stills(PictureSet("coco", "instances_train.json", classes="coco-youtube-vis"), tmp_path)
    assert mapped.categories(0) == {1: 8, 2: 1}  # a dog and a person of YouTube-VIS; the tie is none of its things
    assert set(np.unique(mapped.read(0)[1]).tolist()) == {0, 1, 2}
    clips = StillClips([mapped], [], [], 3, SIZE, SceneOptions(moved=1.0))
    batch = made([clips.draw(0, rng())])
    assert batch.categories[0, :3].tolist() == [0, 8, 1]


def test_coco_categories_may_be_void(tmp_path):
    write_coco(tmp_path)
    found = Coco(tmp_path / "instances_train.json", classes={1: 2, 18: VOID})
    assert found.categories(0) == {1: 2}
    labels = found.read(0)[1]
    assert set(np.unique(labels).tolist()) == {0, 1, VOID}
    assert labels[40, 40] == 1  # the person lies on the dog, whatever the order
    with pytest.raises(DataError, match="no picture with an object"):
        Coco(tmp_path / "instances_train.json", classes={18: VOID})


def test_track_categories_may_be_void(tmp_path):
    write_set(tmp_path, tmp_path / "train.json", tmp_path / "train" / "JPEGImages")
    first = youtube_vis.find_sequences(tmp_path, classes={1: VOID, 7: 1})[0]
    assert dict(first.categories) == {1: 1}
    assert first.annotated == [0, 1]
    assert first.labels(2).max() == VOID


def test_what_does_not_count_is_never_cut_out_as_a_thing(tmp_path):
    write_set(tmp_path, tmp_path / "train.json", tmp_path / "train" / "JPEGImages")
    found = youtube_vis.find_sequences(tmp_path, names=["first"])
    open_background = [replace(one, void_background=True) for one in found]
    thing = cut_from(FramesOf(open_background), least=1)(1, rng())
    assert thing.mask.sum() <= 36
    moving = moving_things(open_background, spans=(1,), least=1)
    with pytest.raises(DataError, match="on every frame"):  # no track is there on all three frames, the void is
        moving(3, rng())


def test_class_maps_name_categories_that_exist():
    assert (len(YOUTUBE_VIS_2019), len(YOUTUBE_VIS_2021), len(OVIS)) == (40, 40, 25)
    assert YOUTUBE_VIS_2019[class_map("coco-youtube-vis")[17] - 1] == "cat"
    assert YOUTUBE_VIS_2019[class_map("voc-youtube-vis")[8] - 1] == "cat"
    assert OVIS[class_map("coco-ovis")[17] - 1] == "Cat"
    movers = class_map("coco-movers")
    assert [MOVERS[movers[number] - 1] for number in (1, 2, 9, 16, 25)] == [
        *("person", "vehicle", "vehicle"),
        *("animal",) * 2,
    ]
    assert not {10, 15, 26, 27} & set(movers)
    kinds = class_map("coco-kinds")
    assert {number: kinds[number] for number in movers} == movers
    assert {KINDS[kinds[number] - 1] for number in set(kinds) - set(movers)} == {"thing"}
    assert set(kinds) == set(class_map("coco-80"))
    sizes = {"coco-youtube-vis": 40, "voc-youtube-vis": 40, "coco-ovis": 25, "coco-things": 1, "voc-things": 1}
    sizes |= {"mapillary-kitti": 2, "coco-movers": 3, "coco-kinds": 4, "coco-objects": 1}
    sizes |= {"coco-80": 80, "visolo-2019": 40, "visolo-2021": 40}
    for name, classes in CLASS_MAPS.items():
        assert set(classes.values()) <= {*range(1, sizes[name] + 1), VOID}
    with pytest.raises(OptionError, match="coco-things"):
        class_map("coco")


@pytest.mark.parametrize(
    ("start", "span", "frames", "indices"),
    [
        (0, 16, 8, [0, 2, 5, 7, 9, 11, 14, 16]),
        (0, 16, 16, [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16]),
        (0, 8, 8, [0, 1, 2, 3, 5, 6, 7, 8]),
        (5, 16, 8, [5, 7, 10, 12, 14, 16, 19, 21]),
        (3, 9, 8, [3, 4, 6, 7, 8, 9, 11, 12]),
    ],
)
def test_spaced_indices_are_the_published_ones(start, span, frames, indices):
    assert spaced_indices(100, start, frames, span, rng()) == indices


def test_spaced_indices_fit_into_short_videos():
    assert spaced_indices(5, 3, 4, 8, rng()) == [0, 1, 3, 4]
    assert spaced_indices(1, 0, 3, 8, rng()) == [0, 0, 0]
