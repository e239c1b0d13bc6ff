"""Packed masks are the masks that were packed, in less memory."""

import numpy as np
import pytest

from rotoscope.masks.run_length import encode
from rotoscope.models.propose_reduce.packed import PackedMasks


def discs(frames, size=(96, 128)):
    rows, columns = np.ogrid[: size[0], : size[1]]
    return {n: encode((rows - 40) ** 2 + (columns - 3 * n - 30) ** 2 < 900) for n in frames}


def test_they_are_what_was_put_in_ascending_order():
    given = discs([5, 3, 9])
    packed = PackedMasks(given)
    packed.put(4, discs([4])[4])
    assert list(packed) == [3, 4, 5, 9]
    assert packed == discs([3, 4, 5, 9])
    assert packed[9].counts.dtype == np.uint32
    assert packed.get(6) is None
    assert (3 in packed, 6 in packed, len(packed)) == (True, False, 4)
    assert not PackedMasks()


def test_they_take_less_than_the_runs_themselves():
    given = discs(range(30), (480, 854))
    plain = sum(mask.counts.nbytes for mask in given.values())
    packed = PackedMasks(given)
    assert packed.nbytes - 30 * 150 < 0.5 * plain
    assert PackedMasks().nbytes == 0


def test_a_second_mask_or_another_size_is_refused():
    packed = PackedMasks(discs([0]))
    for frame, size in ((0, (96, 128)), (1, (96, 127))):
        with pytest.raises(ValueError, match=f"frame {frame}"):
            packed.put(frame, encode(np.ones(size, bool)))
