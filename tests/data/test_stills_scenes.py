import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from rotoscope.data.stills.cutouts import Cutout, cut, cut_from, soft_edges
from rotoscope.data.stills.layers import render
from rotoscope.data.stills.motion import Range
from rotoscope.data.stills.scenes import DENSITY, LEAST_WAY, Scene, SceneOptions
from rotoscope.errors import DataError
from tests.data.made import Squares

SIZE = (48, 80)
REST = Range(0, 0, 0, 0)
CALM = {"view": REST, "own": REST, "bend": 0.0, "tone": 0.0, "blur": 0.0}
ALONE = {"second": 0.0, "look_alike": 0.0, "occluder": 0.0}
seeds = st.integers(0, 10_000)


def scene(seed=0, frames=3, size=SIZE, **options):
    return Scene(frames, size, SceneOptions(**options), np.random.default_rng(seed))


def green_square(frames, generator):
    """A thing like no background."""
    texture = np.zeros((24, 24, 3), np.uint8)
    texture[...] = [0, 255, 0]
    mask = np.zeros((24, 24), np.bool_)
    mask[2:-2, 2:-2] = True
    return Cutout(texture, mask)


def grey(size=(40, 60)):
    return np.full((*size, 3), 128, np.uint8)


def middles(labels, label=1):
    """(T, 2): where an object is on each frame, in pixels."""
    return np.array([np.argwhere(frame.numpy() == label).mean(axis=0) for frame in labels])


def green(clip):
    """Where the green square shows: (T, H, W)."""
    return (clip[1] > 0.75) & (clip[0] < 0.25)


def test_the_same_seed_gives_the_same_clip_and_another_seed_another():
    stills = Squares()
    clips = [render(scene(seed).composition(stills.read(0)[0], cut_from(stills, 50)), SIZE)[0] for seed in (1, 1, 2)]
    assert torch.equal(clips[0], clips[1])
    assert not torch.equal(clips[0], clips[2])
    clips = [render(scene(seed).moved_still(*stills.read(0)), SIZE)[0] for seed in (1, 1, 2)]
    assert torch.equal(clips[0], clips[1])
    assert not torch.equal(clips[0], clips[2])


@pytest.mark.parametrize("parted", [0.0, 1.0])
def test_a_moved_still_keeps_its_ids_and_they_stay_on_their_objects(parted):
    picture, labels = Squares(objects=3, size=(60, 100)).read(0)
    labels[labels == 3] = 200
    calm = CALM | {"own": Range(shake=0.0)}
    for seed in range(10):
        clip, found = render(scene(seed, parted=parted, **calm).moved_still(picture, labels), SIZE)
        assert set(found.unique().tolist()) <= {0, 1, 2, 200}
        assert len(found.unique()) > 1
        for label, hue in ((1, 20), (2, 40), (200, 60)):
            other = functional.pad((found != label).float(), (2, 2, 2, 2), value=1.0)
            inside = functional.max_pool2d(other, 5, 1) == 0  # two pixels in
            assert torch.allclose(clip[1][inside], torch.tensor(hue / 255), atol=0.01)
        if not parted:  # where they part, what they left behind may show
            red = (clip[0] > 0.8) & (clip[1] < 0.3)
            assert (red == (found > 0)).float().mean() > 0.98


def test_objects_of_a_parted_still_move_against_their_surroundings():
    picture, labels = Squares(objects=1, side=20).read(0)
    calm = {"bend": 0.0, "tone": 0.0, "blur": 0.0, "view": REST, "own": Range(shake=0.0)}
    ways = {0.0: [], 1.0: []}
    for seed in range(8):
        paths = {}
        for parted in ways:
            layers = scene(seed, 5, parted=parted, **calm).moved_still(picture, labels)
            assert [isinstance(layer.labels, int) for layer in layers] == [True, False][-len(layers) :]
            paths[parted] = middles(render(layers, SIZE)[1])
            ways[parted].append(np.ptp(paths[parted], axis=0).max())
        assert np.abs(paths[1.0] - paths[0.0]).max() < 6  # it stays about where it was
    assert max(ways[0.0]) == 0
    assert np.median(ways[1.0]) > 0.5


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_a_covering_picture_leaves_no_border_and_shows_some_of_its_object(seed):
    size = tuple(np.random.default_rng(seed).integers(20, 90, 2).tolist())
    picture, labels = Squares(objects=1, size=(40, 60)).read(0)
    one = scene(seed, size=size)
    cover = one._covering(picture, labels)
    aspect = size[1] / size[0]
    corners = np.array([[-aspect, aspect, aspect, -aspect], [-1, -1, 1, 1], [1, 1, 1, 1]])
    assert np.abs((np.linalg.inv(cover) @ corners)[:2]).max() <= 1 + 1e-9
    assert cover[1, 1] == pytest.approx(abs(cover[0, 0]) / 1.5)  # its own aspect ratio
    _, found = render(scene(seed, size=size, **CALM, parted=0.0).moved_still(picture, labels), size)
    assert found.any()


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_objects_cover_the_share_of_the_frame_that_is_asked_for(seed):
    options = CALM | ALONE | {"area": (0.02, 0.1)}
    _, object_layer = scene(seed, 1, **options).composition(grey(), green_square)
    covered = np.linalg.det(np.linalg.inv(object_layer.places[0, :, :2])) * SIZE[0] ** 2  # of the whole texture, pixels
    share = abs(covered) * (object_layer.alpha > 127).mean() / (SIZE[0] * SIZE[1])
    assert 0.02 * 0.8 <= share <= 0.1 * 1.05  # soft edges lie a little further in


def test_an_object_moves_against_the_background_whoever_follows_whom():
    """The background carries a red square; both are measured in the rendered frames."""
    ways = []
    picture = grey((60, 100))
    picture[20:40, 40:60] = [255, 0, 0]
    calm = {"bend": 0.0, "tone": 0.0, "blur": 0.0, "area": (0.02, 0.03)}
    for seed in range(30):
        layers = scene(seed, 5, **calm, **ALONE).composition(picture, green_square)
        clip, labels = render(layers, SIZE)
        red = (clip[0] > 0.75) & (clip[1] < 0.25)
        if min(red.flatten(1).sum(1).min(), (labels == 1).flatten(1).sum(1).min()) < 40:
            continue  # not in view on some frame
        apart = middles(labels) - middles(red.int())
        ways.append(np.linalg.norm(apart - apart[0], axis=1).max() / (SIZE[0] / 2))
    assert len(ways) >= 5
    assert min(ways) > LEAST_WAY / 3  # parts hidden by the frame's edge or the object shift the middles
    assert np.median(ways) > 2 * LEAST_WAY


def test_the_way_against_the_background_is_never_less_than_said():
    own = Range(shift=0.3, scale=0, turn=0, shear=0)  # often too little where the camera follows
    for seed in range(60):
        _, thing = scene(seed, 4, own=own, view=REST, **ALONE).composition(grey(), green_square)
        maps = np.concatenate([thing.places, [[[0, 0, 1]]] * 4], axis=1)
        middle = np.linalg.inv(maps)[:, :2, 2]  # half frame heights; the background does not move
        assert np.linalg.norm(middle - middle[0], axis=1).max() >= LEAST_WAY * 0.99


def test_only_objects_bend():
    bent = set()
    for seed in range(20):
        layers = scene(seed, look_alike=1.0).composition(grey(), green_square)
        assert all(layer.bend is None for layer in layers if not layer.labels)
        bent |= {layer.bend and layer.bend.kind for layer in layers if layer.labels}
    assert bent == {None, "thin_plate", "piecewise_affine"}


def test_what_lies_still_is_background_and_moves_with_it():
    options = {"look_alike": 1.0, "occluder": 1.0, "second": 0.0, "bend": 0.0}
    for seed in range(10):
        layers = scene(seed, 4, **options).composition(grey(), green_square)
        objects = [layer for layer in layers if layer.labels == 1]
        still = [layer for layer in layers[1:] if layer.labels == 0]
        assert len(objects) == 1
        assert len(still) in (2, 3)
        assert layers[-1] is still[-1]  # the occluder is in front
        back = np.concatenate([layers[0].places, [[[0, 0, 1]]] * 4], axis=1).astype(np.float64)
        for layer in still:
            relative = layer.places @ np.linalg.inv(back)
            assert np.allclose(relative, relative[:1], atol=1e-4)


def test_what_hides_an_object_takes_its_label():
    options = CALM | {"second": 0.0, "look_alike": 0.0, "occluder": 1.0, "area": (0.3, 0.3)}
    hidden = 0
    for seed in range(20):
        layers = scene(seed, 1, **options).composition(grey(), green_square)
        _, labels = render(layers, SIZE)
        _, bare = render(layers[:-1], SIZE)
        assert not ((labels > 0) & (bare == 0)).any()
        hidden += int((bare > labels).sum())
    assert hidden


def test_a_second_object_has_a_second_id():
    options = CALM | {"second": 1.0, "look_alike": 0.0, "occluder": 0.0}
    layers = scene(3, **options).composition(grey(), green_square)
    assert [layer.labels for layer in layers] == [0, 1, 2]


def test_labels_lie_where_the_object_shows():
    for seed in range(10):
        layers = scene(seed, 2, tone=0.0, blur=0.0, bend=0.1, **ALONE).composition(grey(), green_square)
        clip, labels = render(layers, SIZE)
        assert (green(clip) != (labels == 1)).float().mean() < 0.02


def test_textures_keep_no_more_pixels_than_are_seen():
    big = Squares(size=(400, 600), side=150, objects=1)
    picture, labels = big.read(0)
    (layer,) = scene(0, parted=0.0).moved_still(picture, labels)
    assert layer.texture.shape[:2] == layer.labels.shape
    assert max(layer.texture.shape) < 600
    (still,) = scene(0, parted=0.0, **CALM).moved_still(picture, labels)
    enlarged = SIZE[0] / (2 / abs(np.linalg.inv(still.places[0, :, :2])[1, 1])) * 2
    assert still.texture.shape[0] == pytest.approx(enlarged * DENSITY, rel=0.05)
    small = Squares(size=(20, 30), side=6, objects=1).read(0)
    assert scene(0, parted=0.0).moved_still(*small)[0].texture.shape == (20, 30, 3)


def test_without_chances_nothing_happens():
    (layer,) = scene(0, parted=0.0, **CALM).moved_still(*Squares().read(0))
    assert layer.bend is None
    assert layer.blur == 0
    assert layer.tone(torch.full((3, 1), 0.3)).unique().tolist() == pytest.approx([0.3])
    assert (layer.places == layer.places[:1]).all()


def test_things_are_cut_out_with_a_margin_and_softened_inwards():
    picture, labels = Squares(objects=2, side=10).read(0)
    thing = cut(picture, labels == 2)
    assert thing.texture.shape == (14, 14, 3)
    assert np.array_equal(thing.texture[2:-2, 2:-2], np.broadcast_to([250, 40, 10], (10, 10, 3)))
    assert thing.mask.sum() == 100
    assert not np.shares_memory(thing.texture, picture)
    soft = soft_edges(thing.mask, (14, 14))
    assert (soft[4:-4, 4:-4] == 255).all()
    assert not soft[~thing.mask].any()
    assert soft_edges(np.stack([thing.mask] * 2), (7, 7)).shape == (2, 7, 7)


def test_a_thing_of_a_video_is_cut_by_all_its_frames_and_can_be_held():
    masks = np.zeros((2, 20, 30), np.bool_)
    masks[0, 5:9, 5:9] = masks[1, 10:14, 20:24] = True
    pictures = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    thing = cut(pictures, masks)
    assert thing.texture.shape == (2, 13, 23, 3)
    held = thing.still(1)
    assert np.array_equal(held.texture, thing.texture[1])
    assert held.still(0) is held


def test_pictures_without_objects_are_refused_in_the_end():
    with pytest.raises(DataError, match="20 pictures without an object of 400 pixels"):
        cut_from(Squares(side=10))(3, np.random.default_rng(0))


def test_narrow_pictures_have_posts_too():
    for width in (2, 3, 9, 40):
        post = scene()._post(grey((30, width)))
        assert post.texture.shape[:2] == post.mask.shape
