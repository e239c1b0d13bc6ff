"""The fast PNG reader gives what pillow gives, or leaves the file to pillow."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from rotoscope.errors import MaskError
from rotoscope.masks import scanlines
from rotoscope.masks.png import palette_png, read_png
from rotoscope.masks.scanlines import read_plain

SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(params=["zlib", "zlib-ng"], autouse=True)
def library(request, monkeypatch):
    """The standard library's, and the faster one where it is installed."""
    if request.param == "zlib-ng":
        monkeypatch.setattr(scanlines, "_library", pytest.importorskip("zlib_ng.zlib_ng"))
    else:
        monkeypatch.setattr(scanlines, "_library", zlib)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def filtered(values, kinds):
    """Filter each line by its own kind: 0 none, 1 the one on the left, 2 the one above."""
    lines = []
    above = np.zeros(values.shape[1], np.uint8)
    for line, kind in zip(values, kinds, strict=True):
        left = np.concatenate(([0], line[:-1])).astype(np.uint8)
        lines.append(bytes([kind]) + (line - (0, left, above)[kind]).astype(np.uint8).tobytes())
        above = line
    return b"".join(lines)


def png(values, kinds, colour=0, extra=(), pieces=1):
    height, width = values.shape
    packed = zlib.compress(filtered(values, kinds))
    step = -(-len(packed) // pieces)
    parts = [packed[place : place + step] for place in range(0, len(packed), step)]
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return (
        SIGNATURE
        + chunk(b"IHDR", header)
        + b"".join(chunk(*one) for one in extra)
        + b"".join(chunk(b"IDAT", part) for part in parts)
        + chunk(b"IEND", b"")
    )


maps = st.tuples(st.integers(1, 9), st.integers(1, 12)).flatmap(
    lambda size: st.tuples(
        hnp.arrays(np.uint8, size, elements=st.sampled_from([0, 0, 0, 1, 1, 7, 255])),
        st.lists(st.sampled_from([0, 1, 2]), min_size=size[0], max_size=size[0]),
    )
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(maps, st.integers(1, 3))
def test_filters(pair, pieces):
    values, kinds = pair
    data = png(values, kinds, pieces=pieces)
    found = read_plain(data)
    assert found is not None
    assert found.palette is None
    assert np.array_equal(found.values, values)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), values)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_what_pillow_writes(values):
    """Adaptive filters go beyond the three; then the reader steps aside."""
    for mode in ("L", "P"):
        image = Image.fromarray(values)
        if mode == "P":
            image.putpalette([level // 2 for level in range(256) for _ in range(3)])
        stream = io.BytesIO()
        image.save(stream, "PNG")
        found = read_plain(stream.getvalue())
        assert found is None or np.array_equal(found.values, values)
        assert found is not None or mode == "L"


def test_palette():
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    found = read_plain(palette_png(values))
    assert np.array_equal(found.values, values)
    assert found.palette.tolist()[1] == [128, 0, 0]


ONES = np.ones((4, 5), np.uint8)
GOOD = png(ONES, [1] * 4)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no picture",
        GOOD[:-4],
        GOOD[:40],
        GOOD[:45] + bytes([GOOD[45] ^ 1]) + GOOD[46:],
        GOOD.replace(b"IEND", b"IENd"),
        png(ONES, [1] * 4, colour=3),
        png(ONES, [1] * 4, colour=3, extra=[(b"PLTE", b"\0" * 6), (b"tRNS", b"\0")]),
        png(ONES, [1] * 4)[:16] + struct.pack(">II", 9, 9) + png(ONES, [1] * 4)[24:],
    ],
    ids=["nothing", "text", "no end", "cut", "flipped bit", "unknown end", "no palette", "transparent", "wrong size"],
)
def test_everything_else_is_left_to_pillow(data):
    assert read_plain(data) is None


def test_wrong_amount_of_data():
    lying = bytearray(GOOD)
    lying[16:24] = struct.pack(">II", 5, 9)  # nine lines announced, four there
    lying[29:33] = struct.pack(">I", zlib.crc32(bytes(lying[12:29])))
    with pytest.raises(MaskError, match="announces 5x9 pixels and holds 4 lines"):
        read_plain(bytes(lying))


def test_damaged_pixels_and_too_many_pixels(tmp_path):
    path = tmp_path / "00003.png"
    header = struct.pack(">IIBBBBB", 5, 4, 8, 0, 0, 0, 0)
    path.write_bytes(SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", b"no zlib") + chunk(b"IEND", b""))
    with pytest.raises(MaskError, match=r"00003\.png is damaged: its pixels"):
        read_png(path)
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    path.write_bytes(SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    with pytest.raises(MaskError, match=r"cannot read .*00003\.png"):
        read_png(path)


def test_a_damaged_file_is_told_by_its_name(tmp_path):
    path = tmp_path / "00003.png"
    path.write_bytes(GOOD[:50])
    with pytest.raises(MaskError, match=r"00003\.png"):
        read_png(path)


def test_other_formats_only_where_asked_for(tmp_path):
    path = tmp_path / "00001.pgm"
    Image.fromarray(ONES * 200).save(path)
    with pytest.raises(MaskError, match="PPM picture"):
        read_png(path)
    assert (read_png(path, ("PNG", "PPM")).values == 200).all()
