import pytest
import torch

from rotoscope.ops.roi_align import RoiAlign


def plain(feature, box, scale, variant):
    """One box, sample by sample, as the papers and codes say."""
    channels, height, width = feature.shape
    shift = 0.5 if variant.aligned else 0.0
    x0, y0 = box[0] * scale - shift, box[1] * scale - shift
    more = 1 if variant.inclusive else 0
    w = max((box[2] + more) * scale - shift - x0, variant.least)
    h = max((box[3] + more) * scale - shift - y0, variant.least)
    out = torch.zeros(channels, variant.size, variant.size)
    for row in range(variant.size):
        for column in range(variant.size):
            for i in range(variant.samples):
                for j in range(variant.samples):
                    y = y0 + (row + (i + 0.5) / variant.samples) * h / variant.size
                    x = x0 + (column + (j + 0.5) / variant.samples) * w / variant.size
                    if y < -1 or y > height or x < -1 or x > width:
                        continue
                    y, x = max(y, 0), max(x, 0)
                    top, left = int(y), int(x)
                    if top >= height - 1:
                        top, y = height - 1, height - 1
                    if left >= width - 1:
                        left, x = width - 1, width - 1
                    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
                    ly, lx = y - top, x - left
                    value = (1 - ly) * ((1 - lx) * feature[:, top, left] + lx * feature[:, top, right])
                    value = value + ly * ((1 - lx) * feature[:, bottom, left] + lx * feature[:, bottom, right])
                    out[:, row, column] += value / variant.samples**2
    return out


BOXES = [
    (0, 0, 64, 48),
    (-30, -20, 20, 20),
    (50, 40, 120, 90),
    (10.3, 5.7, 11.1, 6.2),
    (200, 200, 240, 240),
    (40, 30, 20, 10),
]


@pytest.mark.parametrize(
    "variant",
    [
        RoiAlign(3, aligned=True),
        RoiAlign(3, least=1.0),
        RoiAlign(2, samples=3, inclusive=True),
        RoiAlign(1, samples=1),
    ],
)
def test_it_is_the_plain_form(variant):
    torch.manual_seed(0)
    feature = torch.rand(2, 4, 6, 8)
    boxes = torch.tensor(BOXES)
    of = torch.tensor([0, 1, 0, 1, 0, 1])
    found = variant(feature, boxes, 1 / 8, of)
    for box, which, one in zip(BOXES[:5], of, found, strict=False):
        torch.testing.assert_close(one, plain(feature[which], box, 1 / 8, variant), rtol=1e-4, atol=1e-5)


def test_no_boxes_give_nothing():
    assert RoiAlign()(torch.rand(1, 3, 4, 4), torch.zeros(0, 4), 0.25).shape == (0, 3, 7, 7)


def test_a_box_that_is_no_number_gives_zeros():
    found = RoiAlign(2)(torch.rand(1, 3, 4, 4), torch.tensor([[float("nan")] * 4, [0, 0, 8, 8]]), 0.25)
    assert found[0].abs().max() == 0
    assert found[1].min() > 0


def test_gradients_reach_the_map():
    torch.manual_seed(0)
    feature = torch.rand(1, 2, 5, 5, requires_grad=True)
    boxes = torch.tensor([[1.0, 2.0, 17.0, 15.0], [0.0, 0.0, 6.0, 19.0]])
    weight = torch.rand(2, 2, 3, 3)
    variant = RoiAlign(3, aligned=True)
    (variant(feature, boxes, 0.25) * weight).sum().backward()
    step = torch.zeros_like(feature)
    step[0, 1, 2, 2] = 0.5
    with torch.no_grad():  # the pooling is linear in the map
        change = (variant(feature + step, boxes, 0.25) - variant(feature, boxes, 0.25)) * weight
    torch.testing.assert_close(change.sum(), feature.grad[0, 1, 2, 2] * 0.5, rtol=1e-4, atol=1e-5)


def test_blocks_do_not_show(monkeypatch):
    torch.manual_seed(0)
    feature, boxes = torch.rand(1, 2, 5, 5), torch.rand(20, 4).cumsum(dim=1) * 8
    whole = RoiAlign(2)(feature, boxes, 0.25)
    monkeypatch.setattr("rotoscope.ops.roi_align._BINS", 12)
    assert torch.equal(RoiAlign(2)(feature, boxes, 0.25), whole)
