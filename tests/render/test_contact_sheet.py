import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.errors import MaskError, OptionError, OutputError
from rotoscope.masks.run_length import encode
from rotoscope.render import ContactSheet, track_colour
from rotoscope.types import ObjectMask


def fill(sheet: ContactSheet, number: int, size: tuple[int, int] = (48, 64)) -> ContactSheet:
    labels = np.zeros(size, np.uint8)
    labels[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = 1
    for index in range(number):
        image = np.full((*size, 3), index % 256, np.uint8)
        sheet.add(image, labels, index, index / 24)
    return sheet


@pytest.mark.parametrize("number", [0, 1, 2, 5, 12, 23, 24, 25, 100])
@pytest.mark.parametrize("size", [(48, 64), (64, 36), (1, 1), (2, 90)])
def test_a_sheet_of_any_number_and_shape(number: int, size: tuple[int, int]) -> None:
    picture = fill(ContactSheet(width=480, title="x" * 200), number, size).image()
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[1] <= 480
    assert 30 < picture.shape[0] < 4000


@pytest.mark.parametrize("number", [1, 3, 12, 24, 37, 100, 1000])
def test_pictures_are_evenly_spaced_and_begin_with_the_first(number: int) -> None:
    sheet = fill(ContactSheet(), number)
    shown = [kept.index for kept in sheet._shown()]
    assert shown[0] == 0
    assert len(shown) == min(12, number)
    gaps = np.diff(shown)
    if number > 1:
        assert gaps.min() >= 1
        assert gaps.max() <= 2 * gaps.min()
        assert shown[-1] >= number * 0.85 - 1
    assert sheet.count == number


def test_frames_that_are_not_kept_cost_nothing() -> None:
    sheet = fill(ContactSheet(columns=2, rows=1), 64)
    broken = np.zeros((1, 1), np.float64)  # would be refused if it were looked at
    sheet.add(np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint8), 64, 64 / 24)
    sheet.add(broken, broken, 65, 0.0)  # type: ignore[arg-type]
    assert sheet.count == 66


def test_memory_does_not_grow_with_the_stream() -> None:
    def peak(number: int) -> int:
        tracemalloc.start()
        sheet = ContactSheet(columns=2, rows=1)
        fill(sheet, number, (300, 400))
        kept = sum(item.image.width * item.image.height * 3 for item in sheet._kept)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert kept <= 4 * 720 * 405 * 3
        return peak

    peak(4)
    assert peak(400) < 1.2 * peak(40) + 100_000


def test_masks_are_drawn_in_their_colour() -> None:
    sheet = ContactSheet(width=600)
    mask = np.zeros((400, 600), bool)
    mask[100:300, 150:450] = True
    sheet.add(np.zeros((400, 600, 3), np.uint8), [ObjectMask(2, encode(mask), label="car")], 0, 0.0)
    picture = sheet.image().astype(int)
    tint = np.abs(picture - 0.38 * track_colour(2)).max(axis=2) <= 2
    assert 0.15 < tint.mean() < 0.5


def test_frames_of_other_sizes_and_4k_fit_in() -> None:
    sheet = ContactSheet(width=480)
    for size in ((1080, 1920), (1920, 1080), (16, 16), (2160, 3840)):
        sheet.add(np.zeros((*size, 3), np.uint8), np.ones(size, np.uint8), 0, 4000.0)
    assert sheet.image().shape[1] <= 480


def test_save_writes_a_png(tmp_path: Path) -> None:
    sheet = fill(ContactSheet(title="clip"), 3)
    sheet.save(tmp_path / "new" / "sheet.png")
    with Image.open(tmp_path / "new" / "sheet.png") as picture:
        assert np.array_equal(np.asarray(picture), sheet.image())
    with pytest.raises(OutputError, match=r"\.png"):
        sheet.save(tmp_path / "sheet.jpg")
    assert [path.name for path in tmp_path.rglob("*.*")] == ["sheet.png"]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(OptionError, match="columns"):
        ContactSheet(columns=0)
    with pytest.raises(OptionError, match="240"):
        ContactSheet(width=10)
    with pytest.raises(MaskError):
        ContactSheet().add(np.zeros((4, 4, 3), np.uint8), np.zeros((5, 5), np.uint8), 0, 0.0)
    with pytest.raises(OptionError, match="pixel"):
        ContactSheet().add(np.zeros((0, 4, 3), np.uint8), [], 0, 0.0)
