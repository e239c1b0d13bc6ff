import pytest
import torch
from torch.nn import functional

from rotoscope.backbones.fpn import FeaturePyramid


@torch.no_grad()
@pytest.mark.parametrize("enlarge", ["nearest", "bilinear"])
def test_a_coarse_map_reaches_every_finer_one(enlarge):
    torch.manual_seed(0)
    pyramid = FeaturePyramid((3, 4, 5), 6, enlarge)
    maps = [torch.rand(2, 3, 16, 24), torch.rand(2, 4, 8, 12), torch.rand(2, 5, 4, 6)]
    found = pyramid(maps)
    assert [tuple(level.shape) for level in found] == [(2, 6, 16, 24), (2, 6, 8, 12), (2, 6, 4, 6)]
    top, middle, fine = (inner(x) for inner, x in zip(reversed(pyramid.inner), reversed(maps), strict=True))
    corners = False if enlarge == "bilinear" else None
    middle = middle + functional.interpolate(top, scale_factor=2, mode=enlarge, align_corners=corners)
    fine = fine + functional.interpolate(middle, scale_factor=2, mode=enlarge, align_corners=corners)
    torch.testing.assert_close(found[0], pyramid.outer[0](fine))
    torch.testing.assert_close(found[2], pyramid.outer[2](top))


def test_odd_sizes_meet():
    found = FeaturePyramid((2, 2), 3)([torch.rand(1, 2, 7, 9), torch.rand(1, 2, 4, 5)])
    assert [level.shape[-2:] for level in found] == [(7, 9), (4, 5)]
