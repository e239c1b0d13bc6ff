import pytest
import torch

from rotoscope.ops.boxes import BoxCode, clipped, overlap, sides
from rotoscope.ops.nms import suppressed


def some_boxes(count, seed=0):
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed)) * 100
    return torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)


@pytest.mark.parametrize("inclusive", [False, True])
def test_the_code_is_its_own_inverse(inclusive):
    code = BoxCode((0.1, 0.1, 0.2, 0.2), inclusive)
    boxes, wanted = some_boxes(20), some_boxes(20, seed=1)
    torch.testing.assert_close(code.decode(boxes, code.encode(boxes, wanted)), wanted, rtol=1e-4, atol=1e-2)


def test_growth_has_a_bound():
    box = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    grown = BoxCode().decode(box, torch.tensor([[0.0, 0.0, 50.0, -50.0]]))
    torch.testing.assert_close(sides(grown), torch.tensor([[1000.0, 0.0]]))
    legacy = BoxCode(inclusive=True).decode(box, torch.tensor([[0.0, 0.0, 0.0, -50.0]]))
    torch.testing.assert_close(
        sides(legacy, inclusive=True), torch.tensor([[17.0, 17 * 16 / 1000]]), rtol=1e-4, atol=1e-4
    )


def test_overlap_of_known_boxes():
    boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [5.0, 0.0, 14.0, 9.0], [20.0, 20.0, 20.0, 20.0]])
    torch.testing.assert_close(overlap(boxes, boxes)[0], torch.tensor([1.0, 36 / 126, 0.0]))
    torch.testing.assert_close(overlap(boxes, boxes, inclusive=True)[0], torch.tensor([1.0, 50 / 150, 0.0]))
    assert overlap(boxes, boxes)[2, 2] == 0  # no area
    assert overlap(boxes, boxes, inclusive=True)[2, 2] == 1  # one pixel


def test_clipping():
    box = torch.tensor([[-5.0, -6.0, 50.0, 60.0]])
    assert clipped(box, (30, 40)).tolist() == [[0, 0, 40, 30]]
    assert clipped(box, (30, 40), inclusive=True).tolist() == [[0, 0, 39, 29]]


def plain_nms(boxes, scores, threshold, groups):
    order = sorted(range(len(boxes)), key=lambda place: -scores[place])
    kept = []
    for place in order:
        over = [
            float(overlap(boxes[place : place + 1], boxes[other : other + 1])) > threshold
            for other in kept
            if groups[other] == groups[place]
        ]
        if not any(over):
            kept.append(place)
    return kept


@pytest.mark.parametrize("rows", [7, 1024])
def test_suppression_is_the_plain_form(rows, monkeypatch):
    monkeypatch.setattr("rotoscope.ops.nms._ROWS", rows)
    boxes = some_boxes(60)
    scores = torch.rand(60, generator=torch.Generator().manual_seed(2)).round(decimals=1)  # with ties
    groups = torch.arange(60) % 3
    for threshold in (0.0, 0.3, 0.7):
        found = suppressed(boxes, scores, threshold, groups).tolist()
        assert found == plain_nms(boxes, scores.tolist(), threshold, groups.tolist())


def test_an_overlap_that_equals_the_threshold_stays():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 5.0, 10.0, 15.0]])  # IoU 1 / 3
    assert suppressed(boxes, torch.tensor([1.0, 0.5]), float(torch.tensor(50 / 150))).tolist() == [0, 1]
    assert suppressed(boxes, torch.tensor([1.0, 0.5]), 0.33).tolist() == [0]


def test_no_boxes_and_scores_that_are_no_numbers():
    assert suppressed(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []
    boxes = some_boxes(1).expand(3, -1)
    assert suppressed(boxes, torch.tensor([float("nan"), 0.2, 0.3]), 0.5).tolist() == [2]
