import numpy as np
import pytest
from scipy import ndimage

from rotoscope.data.synthetic import SyntheticClip, moving_disc_clip
from rotoscope.errors import OptionError

SMALL = (90, 160)


def test_frames_and_label_maps_have_the_contract_of_the_package() -> None:
    clip = SyntheticClip(frames=6, size=SMALL, seed=1, frame_rate=12.0)
    assert len(clip) == 6
    assert clip.info.size == SMALL
    assert clip.names == {1: "dog", 2: "car"}
    for index, (frame, labels) in enumerate(clip):
        assert frame.index == index
        assert frame.timestamp == pytest.approx(index / 12.0)
        assert frame.image.shape == (*SMALL, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert labels.shape == SMALL
        assert labels.dtype == np.uint8
        assert set(np.unique(labels)) == {0, 1, 2}


def test_the_same_seed_gives_the_same_clip_and_another_seed_another() -> None:
    first, again, other = (SyntheticClip(3, SMALL, seed) for seed in (5, 5, 6))
    for index in (2, 0, 1):
        assert np.array_equal(first[index][0].image, again[index][0].image)
        assert np.array_equal(first[index][1], again[index][1])
        assert not np.array_equal(first[index][0].image, other[index][0].image)
    assert np.array_equal(next(iter(first))[0].image, first[0][0].image)


@pytest.mark.parametrize("seed", range(4))
def test_the_things_are_large_visible_and_travel(seed: int) -> None:
    clip = SyntheticClip(frames=9, size=(120, 214), seed=seed)
    middles: dict[int, list[float]] = {1: [], 2: []}
    for _, labels in clip:
        for track_id in (1, 2):
            mask = labels == track_id
            assert mask.mean() > 0.008
            middles[track_id].append(float(np.nonzero(mask)[1].mean()))
    dog, car = (middles[track_id][-1] - middles[track_id][0] for track_id in (1, 2))
    assert abs(dog) > 0.3 * 214
    assert dog * car < 0, "dog and car go opposite ways"


@pytest.mark.parametrize("seed", range(3))
def test_the_bush_hides_part_of_the_dog_for_a_while(seed: int) -> None:
    areas = [int((labels == 1).sum()) for _, labels in SyntheticClip(24, SMALL, seed, things=1)]
    assert min(areas[10:20]) < 0.85 * np.median(areas)
    assert min(areas[10:20]) > 0.2 * np.median(areas)
    assert areas[-1] > 0.85 * np.median(areas)


def test_the_ground_truth_is_where_the_car_is_drawn() -> None:
    """The same scene without the car differs by the car and its shadow only."""
    with_car, without = SyntheticClip(4, SMALL, 2, things=2), SyntheticClip(4, SMALL, 2, things=1)
    labels = with_car[1][1]
    assert np.array_equal(labels == 1, without[1][1] == 1)
    change = np.abs(with_car[1][0].image.astype(int) - without[1][0].image).max(axis=2)
    car = labels == 2
    assert (change[ndimage.binary_erosion(car)] > 3).mean() > 0.9
    rows = np.nonzero(car)[0]
    above = np.zeros(SMALL, bool)
    above[: rows.max() - SMALL[0] // 20] = True  # below lies the shadow
    assert (change[above & ~ndimage.binary_dilation(car, iterations=4)] == 0).all()


def test_the_dogs_outline_is_an_edge_of_the_picture() -> None:
    frame, labels = SyntheticClip(4, SMALL, 2, things=1)[1]
    image = frame.image.astype(np.float32).mean(axis=2)
    slope = np.hypot(ndimage.sobel(image, 0), ndimage.sobel(image, 1))
    dog = labels == 1
    outline = ndimage.binary_dilation(dog) & ~ndimage.binary_erosion(dog)
    shifted = np.roll(outline, (12, 25), (0, 1)) & ~outline
    assert slope[outline].mean() > 1.3 * slope[shifted].mean()


def test_neighbouring_frames_are_alike_and_the_camera_moves() -> None:
    clip = SyntheticClip(72, SMALL, 4)
    first, second = clip[30][0].image.astype(int), clip[31][0].image.astype(int)
    change = np.abs(first - second).mean()
    assert 0.5 < change < 30
    top = np.abs(clip[0][0].image[:20].astype(int) - clip[71][0].image[:20].astype(int)).mean()
    assert top > 3, "the sky moves with the camera"


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (160, 90), (33, 200), (200, 24)])
@pytest.mark.parametrize("frames", [1, 2])
def test_odd_sizes_and_the_shortest_clips(size: tuple[int, int], frames: int) -> None:
    for frame, labels in SyntheticClip(frames, size, 0):
        assert frame.size == size
        assert labels.shape == size
        assert (labels == 1).any()


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(OptionError, match="things"):
        SyntheticClip(things=3)
    with pytest.raises(OptionError, match="frames"):
        SyntheticClip(frames=0)
    with pytest.raises(OptionError, match="size"):
        SyntheticClip(size=(8, 100))
    with pytest.raises(OptionError, match="rate"):
        SyntheticClip(frame_rate=0)
    with pytest.raises(OptionError, match="seed"):
        SyntheticClip(seed=-1)
    with pytest.raises(OptionError, match="frames"):
        moving_disc_clip(0)
    with pytest.raises(IndexError):
        SyntheticClip(2, SMALL)[2]


@pytest.mark.parametrize("seed", range(3))
def test_the_disc_moves_and_its_mask_is_exact(seed: int) -> None:
    frames, masks = moving_disc_clip(5, (48, 80), seed)
    assert [frame.index for frame in frames] == list(range(5))
    ground = np.median(np.stack([frame.image for frame in frames]), axis=0)
    for frame, mask in zip(frames, masks, strict=True):
        assert frame.image.shape == (48, 80, 3)
        assert mask.dtype == np.bool_
        assert 0.5 * np.pi * (0.22 * 48) ** 2 < mask.sum() < 1.2 * np.pi * (0.22 * 48) ** 2
        outside = np.abs(frame.image - ground).max(axis=2)[~np.logical_or.reduce(masks)]
        assert outside.max() == 0, "nothing but the disc changes"
    again, _ = moving_disc_clip(5, (48, 80), seed)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(frames, again, strict=True))
    assert not np.array_equal(masks[0], masks[-1])
