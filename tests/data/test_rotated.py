"""VISOLO's cutting of clips: the official geometry, and what is drawn."""

import numpy as np
import pytest

from rotoscope.data.batches import made
from rotoscope.data.clips import around_indices, drawn_indices
from rotoscope.data.rotated import RotatedCrop, Turn
from rotoscope.data.sources import CopiedStills
from rotoscope.errors import OptionError
from rotoscope.ops.resize import resize_labels, resize_picture
from rotoscope.training.recipe import ClipShape, PictureSet, StillData, TurnRecipe, VideoData, VideoSet
from rotoscope.training.sources import source
from tests import golden
from tests.data.test_instance_sets import write_coco, write_set

CASES = golden.cases("visolo", "augment_geometry")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_geometry_is_the_official_one(case):
    given, chosen, bounds = golden.arrays("visolo", case), case["options"], case["tolerance"]
    crop = tuple(chosen["crop_size"])
    whole = RotatedCrop(crop, longest=chosen["max_size"]).resized(given["mask"].shape, chosen["short_edge"])
    assert whole == tuple(given["resized_size"])
    turn = Turn(whole, chosen["angle_degrees"])
    assert turn.canvas == tuple(given["rotated_size"])
    picture, mask = resize_picture(given["image"], whole), resize_labels(given["mask"], whole)
    polygon = given["polygon"] * [whole[1] / given["mask"].shape[1], whole[0] / given["mask"].shape[0]]
    if chosen["flip"]:
        picture, mask = picture[:, ::-1], mask[:, ::-1]
        polygon[:, 0] = whole[1] - polygon[:, 0]
    corner = chosen["crop_y0"], chosen["crop_x0"]
    found = turn.picture(corner, crop, picture)
    assert np.abs(found.astype(float) - given["out_image"]).mean() <= bounds["image_mean_abs"]
    found = turn.labels(corner, crop, mask)
    assert ((found > 0) != (given["out_mask"] > 0)).mean() <= bounds["mask_differing_fraction"]
    moved = turn.points(polygon) - corner[::-1]
    inside = moved[((moved > 0) & (moved < crop[::-1])).all(axis=1)]
    distances = np.linalg.norm(inside[:, None] - given["out_polygon"], axis=2).min(axis=1)
    assert len(inside) >= 2
    assert distances.max() <= bounds["polygon_vertex_atol"]


def bilinear_with_black_border(turn, image):
    """What the specification says, pixel by pixel: the value at the place that a canvas pixel comes from."""
    (height, width), (high, wide) = turn.size, turn.canvas
    sine, cosine = np.sin(np.radians(turn.degrees)), np.cos(np.radians(turn.degrees))
    y, x = np.mgrid[:high, :wide] + 0.5 - np.array([high / 2, wide / 2])[:, None, None]
    x, y = cosine * x - sine * y + width / 2 - 0.5, sine * x + cosine * y + height / 2 - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    found = np.zeros((high, wide))
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        value = image[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
        found += np.where(inside, value * (1 - abs(x - column)) * (1 - abs(y - row)), 0)
    return found


def test_the_border_of_a_turned_picture_is_black():
    turn, grey = Turn((4, 4), -7.5), np.full((4, 4, 3), 200, np.uint8)
    found = turn.picture((0, 0), turn.canvas, grey)
    assert found[..., 0].tolist() == [
        [163, 200, 190, 163],
        [190, 200, 200, 200],
        [200, 200, 200, 190],
        [163, 190, 200, 163],
    ]
    assert turn.labels((0, 0), turn.canvas, grey[..., 0]).min() == 200


@pytest.mark.parametrize("degrees", [-15.0, -7.5, -0.1, 0.0, 3.3, 15.0])
@pytest.mark.parametrize("size", [(4, 4), (5, 7), (1, 9), (40, 31)], ids=str)
def test_turned_pictures_are_interpolated_against_black(size, degrees):
    turn, image = Turn(size, degrees), np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    found = turn.picture((0, 0), turn.canvas, image)
    expected = np.stack([bilinear_with_black_border(turn, layer) for layer in np.moveaxis(image, 2, 0)], axis=2)
    assert np.abs(found - expected).max() <= 0.5001


class OnePicture:
    def __len__(self):
        return 1

    def read(self, index):
        picture = np.full((60, 90, 3), 200, np.uint8)
        labels = np.zeros((60, 90), np.uint8)
        labels[20:40, 30:60] = 7
        return picture, labels


def test_a_picture_becomes_a_clip_whose_frames_differ():
    cutting = RotatedCrop((32, 48), short_edges=(40, 50), flip_each=True)
    source = CopiedStills(OnePicture(), 3, cutting)
    clip, labels = source.draw(0, np.random.default_rng(0)).render()
    assert clip.shape == (3, 3, 32, 48)
    assert labels.shape == (3, 32, 48)
    assert set(labels.unique().tolist()) <= {0, 7}
    assert (labels == 7).any()
    assert not (labels[0] == labels[1]).all()
    again = source.draw(0, np.random.default_rng(0)).render()
    assert (again[0] == clip).all()


def test_frames_are_drawn_near_the_start_with_replacement():
    generator = np.random.default_rng(0)
    drawn = [drawn_indices(30, 5, 3, 20, generator) for _ in range(200)]
    every = np.array(drawn)
    assert every.min() == 0
    assert every.max() == 24
    assert any(len(set(one)) < 3 for one in drawn)
    assert any(one != sorted(one) for one in drawn)
    assert drawn_indices(1, 0, 3, 20, generator) == [0, 0, 0]


def test_frames_around_one_are_sorted_and_near_it():
    generator = np.random.default_rng(0)
    drawn = [around_indices(30, 10, 8, 8, generator) for _ in range(200)]
    assert all(clip == sorted(clip) for clip in drawn)
    assert {index for clip in drawn for index in clip} == set(range(6, 14))
    assert {index for _ in range(200) for index in around_indices(30, 0, 8, 8, generator)} == {0, 1, 2, 3}
    assert {index for _ in range(200) for index in around_indices(30, 29, 8, 8, generator)} == {25, 26, 27, 28, 29}
    assert around_indices(1, 0, 3, 8, generator) == [0, 0, 0]


def test_recipes_cut_videos_and_pictures_so(tmp_path):
    shape, turn = ClipShape(3, (20, 28)), TurnRecipe(short_edges=(24, 30), flip_each=True)
    write_set(tmp_path / "vis", tmp_path / "vis" / "train.json", tmp_path / "vis" / "train" / "JPEGImages")
    videos = VideoData(
        "videos",
        (VideoSet("youtube-vis", "vis"),),
        spans=(20,),
        rule="drawn",
        even=True,
        crop="rotated",
        turn=turn,
    )
    write_coco(tmp_path)
    pictures = StillData("stills", (PictureSet("coco", "instances_train.json"),), engine="rotated", turn=turn)
    for table in (videos, pictures):
        clips = source(table, shape, tmp_path)
        batch = made([clips.draw(0, np.random.default_rng(seed)) for seed in range(2)])
        assert batch.clips.shape == (2, 3, 3, 20, 28)
        ids = set(batch.masks.unique().tolist()) - {0}
        assert ids
        assert all(batch.categories[0, one] > 0 for one in ids)
    two = StillData("stills", pictures.pictures * 2, engine="rotated")
    with pytest.raises(OptionError, match="one set"):
        source(two, shape, tmp_path)
