"""The newest frames' features: whole clips from anywhere, parts, repeated frames."""

import pytest
import torch

from rotoscope.models.stem_seg.features import FeatureRing


def features(index, layout=torch.contiguous_format):
    return [torch.full((1, 2, side, side), float(index)).to(memory_format=layout) for side in (4, 2)]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_clips_in_order_wherever_they_start(stride, layout):
    ring = FeatureRing(4)
    for index in range(23):
        ring.push(features(index, layout))
        assert ring.frames == range(max(0, index - 3), index + 1)
        if index >= 3 and index % stride == 0:
            for level, side in zip(ring.clip(range(index - 3, index + 1)), (4, 2), strict=True):
                assert level.shape == (1, 2, 4, side, side)
                assert level[0, 1, :, 1, 0].tolist() == [index - 3, index - 2, index - 1, index]
                kind = torch.channels_last_3d if layout == torch.channels_last else layout
                assert level.is_contiguous(memory_format=kind)


def test_repeated_frames_and_parts():
    ring = FeatureRing(4)
    assert ring.frames == range(0)
    for index in range(6):
        ring.push(features(index))
    assert ring.clip([2, 2, 2, 5])[1][0, 0, :, 0, 0].tolist() == [2, 2, 2, 5]
    assert ring.clip([4])[0][0, 0, :, 0, 0].tolist() == [4]
    ring.clear()
    assert ring.frames == range(0)
