from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope.errors import MaskError, OptionError, OutputError
from rotoscope.render import CutoutFolder, cutout


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 255, (20, 30, 3), dtype=np.uint8)


def test_a_hard_mask_keeps_its_pixels_and_nothing_of_the_rest(image: np.ndarray) -> None:
    mask = np.zeros((20, 30), bool)
    mask[5:9, 3:20] = True
    result = cutout(image, mask)
    assert result.shape == (20, 30, 4)
    assert np.array_equal(result[mask][:, :3], image[mask])
    assert (result[mask][:, 3] == 255).all()
    assert not result[~mask].any()


def test_a_soft_mask_becomes_the_alpha_with_straight_colour(image: np.ndarray) -> None:
    soft = np.random.default_rng(1).integers(0, 256, (20, 30), dtype=np.uint8)
    result = cutout(image, soft)
    assert np.array_equal(result[..., 3], soft)
    assert np.array_equal(result[soft > 0][:, :3], image[soft > 0])


def test_a_folder_of_pictures(tmp_path: Path, image: np.ndarray) -> None:
    folder = CutoutFolder(tmp_path / "cut")
    mask = np.ones((20, 30), bool)
    assert folder.write(image, mask, 7).name == "00007.png"
    path = folder.write(image, mask, 8, name="shot.0008")
    assert path == tmp_path / "cut" / "shot.0008.png"
    with Image.open(path) as picture:
        assert picture.mode == "RGBA"
        assert np.array_equal(np.asarray(picture), cutout(image, mask))
    assert len(list((tmp_path / "cut").iterdir())) == 2


def test_what_is_wrong_is_said(tmp_path: Path, image: np.ndarray) -> None:
    with pytest.raises(MaskError, match="uint8"):
        cutout(image, np.zeros((20, 30), np.float32))  # type: ignore[arg-type]
    with pytest.raises(MaskError, match="20, 30"):
        cutout(image, np.zeros((30, 20), bool))
    with pytest.raises(OptionError, match="RGB"):
        cutout(image[..., :2], np.zeros((20, 30), bool))
    for name in ("../a", "", "..", "a/b"):
        with pytest.raises(OutputError, match="stem"):
            CutoutFolder(tmp_path).write(image, np.zeros((20, 30), bool), 0, name)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        CutoutFolder(tmp_path / "file").write(image, np.zeros((20, 30), bool), 0)
