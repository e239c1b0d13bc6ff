import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from rotoscope.errors import MaskError, OutputError
from rotoscope.masks.label_map import (
    from_objects,
    is_binary_0_255,
    present,
    read_label_png,
    to_masks,
    write_label_png,
)
from rotoscope.masks.png import voc_palette
from rotoscope.masks.run_length import encode
from rotoscope.masks.soft import read_soft_png, write_soft_png
from rotoscope.types import ObjectMask

SIZE = (8, 10)


def item(track_id, rows, score=1.0):
    mask = np.zeros(SIZE, np.bool_)
    mask[rows] = True
    return ObjectMask(track_id, encode(mask), score)


def random_labels(highest=20, dtype=np.uint8, size=SIZE):
    return np.random.default_rng(highest).integers(0, highest + 1, size).astype(dtype)


def test_the_surest_object_lies_on_top():
    sure, unsure = item(2, slice(0, 4), 0.9), item(1, slice(2, 6), 0.3)
    for objects in ([sure, unsure], [unsure, sure]):
        labels = from_objects(objects, SIZE)
        assert labels[:, 0].tolist() == [2, 2, 2, 2, 1, 1, 0, 0]
        assert labels.dtype == np.uint8


def test_among_equals_the_lower_id_lies_on_top():
    objects = [item(1, slice(0, 4)), item(2, slice(2, 6)), item(3, slice(5, 7))]
    for order in (objects, objects[::-1]):
        assert from_objects(order, SIZE)[:, 0].tolist() == [1, 1, 1, 1, 2, 2, 3, 0]


def test_high_ids_and_no_objects():
    assert from_objects([item(300, slice(1))], SIZE).dtype == np.uint16
    assert not from_objects([], SIZE).any()
    for wrong in (0, -1, 65536):
        with pytest.raises(MaskError, match=f"found {wrong}"):
            from_objects([item(wrong, slice(1))], SIZE)
    with pytest.raises(MaskError, match="is 10x8, the frame is 8x10"):
        from_objects([item(1, slice(1))], (10, 8))


@settings(deadline=None)
@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16]), (5, 6)))
def test_splitting_and_painting_are_inverse(labels):
    masks = to_masks(labels)
    assert list(masks) == sorted(set(labels.ravel().tolist()) - {0}) == present(labels).tolist()
    objects = [ObjectMask(label, encode(mask)) for label, mask in masks.items()]
    assert np.array_equal(from_objects(objects, (5, 6)), labels)
    assert 7 not in to_masks(labels, ignore=7)


def test_palette_is_the_known_one():
    palette = voc_palette()
    assert palette.shape == (256, 3)
    assert palette.dtype == np.uint8
    known = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 7: (128, 128, 128), 8: (64, 0, 0)}
    known |= {15: (192, 128, 128), 19: (128, 192, 0), 20: (0, 64, 128), 255: (224, 224, 192)}
    for label, colour in known.items():
        assert tuple(palette[label]) == colour
    assert len(np.unique(palette, axis=0)) == 256
    assert np.array_equal(voc_palette(5), palette[:5])
    palette[:] = 0
    assert voc_palette()[1, 0] == 128
    with pytest.raises(MaskError):
        voc_palette(257)


@pytest.mark.parametrize(("highest", "dtype"), [(255, np.uint8), (20, np.uint16), (60000, np.uint16), (9, np.int64)])
def test_png_round_trip(tmp_path, highest, dtype):
    labels = random_labels(highest, dtype)
    path = tmp_path / "new" / "00000.png"
    write_label_png(path, labels)
    assert np.array_equal(read_label_png(path, SIZE), labels)
    with Image.open(path) as image:
        assert image.mode == ("P" if highest < 256 else "I;16")
        if highest < 256:
            assert np.array_equal(np.array(image.convert("RGB")), voc_palette()[labels])
    assert [file.name for file in path.parent.iterdir()] == ["00000.png"]


def test_colours_are_mapped_back(tmp_path):
    labels = random_labels(255)
    for mode in ("RGB", "RGBA"):
        Image.fromarray(voc_palette()[labels]).convert(mode).save(tmp_path / "colour.png")
        assert np.array_equal(read_label_png(tmp_path / "colour.png"), labels)


def test_colours_without_meaning(tmp_path):
    pixels = voc_palette()[random_labels()]
    pixels[3, 4] = (1, 2, 3)
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    with pytest.raises(MaskError, match=r"\(1, 2, 3\) at x=4, y=3"):
        read_label_png(tmp_path / "colour.png")
    Image.new("RGBA", (4, 4), (128, 0, 0, 90)).save(tmp_path / "glass.png")
    with pytest.raises(MaskError, match="transparent"):
        read_label_png(tmp_path / "glass.png")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_black_and_white(tmp_path, mode):
    mask = np.where(random_labels(1), 255, 0).astype(np.uint8)
    Image.fromarray(mask).convert(mode).save(tmp_path / "bw.png")
    found = read_label_png(tmp_path / "bw.png")
    assert np.array_equal(found, mask)
    assert is_binary_0_255(found)


def test_what_is_not_black_and_white():
    assert not is_binary_0_255(np.zeros(SIZE, np.uint8))
    assert not is_binary_0_255(np.array([[0, 1, 255]], np.uint8))
    assert is_binary_0_255(np.full(SIZE, 255, np.uint8))


def test_few_bits_are_not_stretched(tmp_path):
    mask = random_labels(1)
    Image.fromarray(mask * 255).convert("1").save(tmp_path / "one.png")
    assert np.array_equal(read_label_png(tmp_path / "one.png"), mask)
    assert read_label_png(tmp_path / "one.png").dtype == np.uint8
    few = random_labels(11)
    image = Image.fromarray(few)
    image.putpalette(voc_palette(12).tobytes())
    image.save(tmp_path / "four.png", bits=4)
    assert np.array_equal(read_label_png(tmp_path / "four.png"), few)
    write_packed_grey(tmp_path / "grey4.png", few)
    assert np.array_equal(read_label_png(tmp_path / "grey4.png"), few)


def write_packed_grey(path, values):
    """Write a grey PNG of four bits, which pillow reads but does not write."""
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = values.shape
    packed = (values[:, 0::2] << 4) | values[:, 1::2]
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", width, height, 4, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_files_that_cannot_be_used(tmp_path):
    with pytest.raises(MaskError, match="no mask file"):
        read_label_png(tmp_path / "none.png")
    Image.fromarray(random_labels()).save(tmp_path / "lossy.png", "JPEG")
    with pytest.raises(MaskError, match="JPEG, whose compression"):
        read_label_png(tmp_path / "lossy.png")
    Image.fromarray(random_labels()).save(tmp_path / "other.bmp")
    with pytest.raises(MaskError, match="BMP"):
        read_label_png(tmp_path / "other.bmp")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(MaskError, match="no picture"):
        read_label_png(tmp_path / "text.png")
    write_label_png(tmp_path / "good.png", random_labels(size=(60, 80)))
    whole = (tmp_path / "good.png").read_bytes()
    for length in (10, 40, 900, len(whole) - 200):
        (tmp_path / "cut.png").write_bytes(whole[:length])
        with pytest.raises(MaskError, match=r"cut\.png"):
            read_label_png(tmp_path / "cut.png")
    with pytest.raises(MaskError, match="is 80x60, the frame is 60x80"):
        read_label_png(tmp_path / "good.png", (80, 60))


def test_maps_that_cannot_be_written(tmp_path):
    for labels in (np.zeros((2, 3)), np.zeros((2, 3, 3), np.uint8), np.full((2, 3), -1), np.full((2, 3), 70000)):
        with pytest.raises(MaskError):
            write_label_png(tmp_path / "no.png", labels)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        write_label_png(tmp_path / "file" / "no.png", random_labels())
    assert not (tmp_path / "no.png").exists()


def test_soft_maps(tmp_path):
    soft = random_labels(255)
    write_soft_png(tmp_path / "soft.png", soft)
    assert np.array_equal(read_soft_png(tmp_path / "soft.png"), soft)
    with Image.open(tmp_path / "soft.png") as image:
        assert image.mode == "L"
    with pytest.raises(MaskError, match="float"):
        write_soft_png(tmp_path / "soft.png", soft / 255)
    write_label_png(tmp_path / "ids.png", soft)
    with pytest.raises(MaskError, match="holds ids"):
        read_soft_png(tmp_path / "ids.png")
