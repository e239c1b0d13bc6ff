import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rotoscope.errors import OptionError
from rotoscope.ops.resize import SizeRule, padding_to, resize_mask, resize_picture

sizes = st.tuples(st.integers(1, 60), st.integers(1, 60))


@given(sizes, sizes, st.integers(0, 99))
def test_masks_are_resized_as_pillow_does(old, new, seed):
    mask = np.random.default_rng(seed).random(old) > 0.5
    expected = Image.fromarray(mask.astype(np.uint8)).resize(new[::-1], Image.Resampling.NEAREST)
    assert np.array_equal(resize_mask(mask, new), np.asarray(expected) != 0)


@given(sizes, st.integers(1, 40))
def test_padding_makes_multiples_and_is_even(size, multiple):
    top, bottom, left, right = padding_to(size, multiple)
    assert (size[0] + top + bottom) % multiple == 0
    assert (size[1] + left + right) % multiple == 0
    assert 0 <= bottom - top <= 1
    assert 0 <= right - left <= 1
    assert top + bottom < multiple


def test_rules():
    assert SizeRule.parse("unchanged").of((7, 9)) == (7, 9)
    assert SizeRule.parse("240x428").of((7, 9)) == (240, 428)
    assert SizeRule.parse("240").of((480, 854)) == (240, 427)
    assert SizeRule.parse("240/500").of((480, 854)) == (240, 427)
    assert SizeRule.parse("240/400").of((480, 854)) == (225, 400)
    assert SizeRule.parse("240/400").of((1000, 10)) == (400, 4)
    for text in ("", "0", "480p", "-3", "480x", "480x854x3", "9000", "480/", "480/400", "480/854/3", "480/9000"):
        with pytest.raises(OptionError):
            SizeRule.parse(text)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_strips_of_pixels_do_not_grow_without_end(height, width):
    rows, columns = SizeRule(240).of((height, width))
    if max(height, width) <= 4 * min(height, width):
        assert min(rows, columns) == 240
    assert rows * columns <= 4.4 * 240 * 240
    assert rows * width == pytest.approx(columns * height, rel=0.2)


def test_pictures_of_the_right_size_are_not_copied():
    image = np.zeros((4, 5, 3), np.uint8)
    assert resize_picture(image, (4, 5)) is image
    assert resize_picture(image, (8, 3)).shape == (8, 3, 3)
