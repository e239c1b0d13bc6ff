import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rotoscope.errors import MaskError, OptionError
from rotoscope.masks.run_length import encode
from rotoscope.render import overlay, track_colour
from rotoscope.render.overlay import tag_text
from rotoscope.types import ObjectMask


def grey(height: int, width: int, level: int = 100) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def square(height: int, width: int, top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_inside_is_the_blend_and_outside_is_untouched() -> None:
    image, mask = grey(120, 160), square(120, 160, 30, 40, 50)
    before = image.copy()
    drawn = overlay(image, [ObjectMask(1, encode(mask))], opacity=0.5)
    assert np.array_equal(image, before), "the input is not written to"
    expected = (100 + track_colour(1).astype(int)) / 2
    assert np.abs(drawn[55, 65].astype(int) - expected).max() <= 1
    assert np.array_equal(drawn[:20], image[:20])
    assert np.array_equal(drawn[:, 110:], image[:, 110:])


def test_without_contour_exactly_the_mask_changes() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 120, (37, 53, 3), dtype=np.uint8)
    mask = rng.random((37, 53)) < 0.3
    drawn = overlay(image, [ObjectMask(3, encode(mask))], contour=False)
    assert np.array_equal((drawn != image).any(axis=2), mask)


def test_the_contour_is_the_track_colour_on_the_border() -> None:
    drawn = overlay(grey(480, 854), [ObjectMask(2, encode(square(480, 854, 100, 100, 200)))], opacity=0.0)
    assert np.abs(drawn[200, 100].astype(int) - track_colour(2)).max() < 30
    assert np.array_equal(drawn[200, 200], [100, 100, 100]), "an opacity of 0 leaves the inside as it is"


def test_a_contour_grows_with_the_frame() -> None:
    def line_width(height: int, width: int) -> int:
        mask = square(height, width, 0, 0, height)
        drawn = overlay(grey(height, width), [ObjectMask(1, encode(mask))], opacity=0.0)
        return int((drawn[height // 2] != 100).any(axis=1).sum())

    assert line_width(1080, 1920) > 1.7 * line_width(240, 426)


def test_objects_and_their_label_map_give_the_same_picture() -> None:
    first, second = square(90, 120, 10, 10, 30), square(90, 120, 50, 60, 25)
    labels = np.zeros((90, 120), np.int32)
    labels[first], labels[second] = 1, 700
    objects = [ObjectMask(1, encode(first)), ObjectMask(700, encode(second))]
    assert np.array_equal(overlay(grey(90, 120), objects), overlay(grey(90, 120), labels))


def test_names_are_written_inside_the_frame() -> None:
    image = grey(100, 140)
    mask = square(100, 140, 0, 100, 40)
    item = ObjectMask(1, encode(mask), 0.5, "a rather long name of a category")
    drawn = overlay(image, [item], names=True)
    plain = overlay(image, [item])
    assert (drawn != plain).any()
    assert drawn.shape == image.shape


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (2, 3)])
@pytest.mark.parametrize("filled", [True, False])
def test_the_smallest_frames(shape: tuple[int, int], filled: bool) -> None:
    mask = np.full(shape, filled)
    image = grey(*shape, 10)
    drawn = overlay(image, [ObjectMask(1, encode(mask), 0.9, "dog")], names=True)
    assert drawn.shape == image.shape
    assert (drawn != image).any() == filled


def test_no_objects_give_an_equal_picture_of_its_own() -> None:
    image = grey(5, 6)
    drawn = overlay(image, [])
    assert np.array_equal(drawn, image)
    assert not np.shares_memory(drawn, image)
    assert drawn.flags.writeable


def test_pictures_that_are_views_are_fine() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    labels = np.zeros((40, 60), np.uint8)
    labels[10:20, 10:30] = 1
    straight = overlay(np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(labels[:, ::-1]))
    assert np.array_equal(overlay(image[:, ::-1], labels[:, ::-1]), straight)
    image.flags.writeable = False
    assert overlay(image, labels).shape == image.shape


@settings(max_examples=40, deadline=None)
@given(
    labels=hnp.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.integers(0, 3)),
    contour=st.booleans(),
)
def test_any_label_map_is_drawn_on_its_pixels(labels: np.ndarray, contour: bool) -> None:
    image = grey(*labels.shape, 0)
    drawn = overlay(image, labels, contour=contour)
    assert ((drawn != image).any(axis=2) | (labels == 0)).all()


def test_what_is_wrong_is_said() -> None:
    image = grey(4, 6)
    with pytest.raises(MaskError, match="4x6"):
        overlay(image, [ObjectMask(1, encode(np.ones((6, 4), bool)))])
    with pytest.raises(MaskError, match="label map"):
        overlay(image, np.zeros((3, 3), np.uint8))
    with pytest.raises(MaskError, match="-1"):
        overlay(image, np.full((4, 6), -1, np.int32))
    with pytest.raises(MaskError, match="float"):
        overlay(image, np.zeros((4, 6), np.float32))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="opacity"):
        overlay(image, [], opacity=1.5)
    with pytest.raises(OptionError, match="uint8"):
        overlay(image.astype(np.float32), [])  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="RGB"):
        overlay(image[..., 0], [])


def plates(drawn: np.ndarray, ids: range) -> dict[int, int]:
    """Pixels of the pure colour of each id, which only its plate has."""
    return {number: int((drawn == track_colour(number)).all(axis=2).sum()) for number in ids}


def test_names_kept_apart_do_not_cover_one_another() -> None:
    mask = encode(square(200, 300, 100, 120, 60))
    objects = [ObjectMask(number, mask, 0.5, "dog") for number in range(1, 7)]
    alone = {item.track_id: overlay(grey(200, 300), [item], names=True, opacity=0, contour=False) for item in objects}
    sizes = {number: plates(drawn, range(number, number + 1))[number] for number, drawn in alone.items()}
    over = overlay(grey(200, 300), objects, names=True, opacity=0, contour=False)
    apart = overlay(grey(200, 300), objects, names=True, apart=True, opacity=0, contour=False)
    assert plates(over, range(1, 6)) == dict.fromkeys(range(1, 6), 0)
    assert plates(apart, range(1, 7)) == sizes
    assert np.array_equal(
        overlay(grey(200, 300), objects[:1], names=True, apart=True, opacity=0, contour=False), alone[1]
    )


def test_names_without_room_near_their_object_go_elsewhere_in_the_picture() -> None:
    objects = [ObjectMask(number, encode(square(300, 300, 2, 2, 12)), 0.5, "dog") for number in range(1, 21)]
    alone = {item.track_id: overlay(grey(300, 300), [item], names=True, opacity=0, contour=False) for item in objects}
    drawn = overlay(grey(300, 300), objects, names=True, apart=True, opacity=0, contour=False)
    assert plates(drawn, range(1, 21)) == {
        number: plates(picture, range(number, number + 1))[number] for number, picture in alone.items()
    }


def test_where_there_is_no_room_names_still_are_drawn() -> None:
    objects = [ObjectMask(number, encode(square(24, 60, 4, 4, 16)), 0.5, "dog") for number in range(1, 7)]
    drawn = overlay(grey(24, 60), objects, names=True, apart=True, opacity=0, contour=False)
    assert plates(drawn, range(6, 7))[6] > 0


@pytest.mark.parametrize("number", range(1, 25))
def test_names_are_legible_on_their_plates(number: int) -> None:
    """The ratio of luminances that guides for screens ask for of large letters, 3 to 1, for every colour and ground."""
    for level in (0, 255):
        item = ObjectMask(number, encode(square(120, 200, 60, 60, 40)), 0.5, "dog")
        drawn = overlay(grey(120, 200, level), [item], names=True, opacity=0, contour=False)
        plate = (drawn == track_colour(number)).all(axis=2)
        rows, columns = np.flatnonzero(plate.any(axis=1)), np.flatnonzero(plate.any(axis=0))
        inside = drawn[rows[0] + 2 : rows[-1] - 1, columns[0] + 2 : columns[-1] - 1].reshape(-1, 3)
        light = luminance(inside)
        own = luminance(track_colour(number)[None])[0]
        ratios = (np.maximum(light, own) + 0.05) / (np.minimum(light, own) + 0.05)
        assert ratios.max() > 3
        assert (ratios > 2.5).mean() > 0.05, "letters and not a pixel"


def luminance(colours: np.ndarray) -> np.ndarray:
    values = colours / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize(
    ("label", "score", "text"),
    [
        (None, 0.934, "1: 0.93"),
        ("dog", 0.934, "1 dog 0.93"),
        ("a  dog", 1.0, "1 a dog"),
        (None, None, "1"),
        ("", 0.5, "1: 0.50"),
    ],
)
def test_a_tag_keeps_id_and_score_apart(label, score, text):
    assert tag_text(ObjectMask(1, encode(np.ones((2, 2), bool)), score, label)) == text
