"""Masks in boxes: pasting equals the detector's, boxes are tight, doubles go."""

import numpy as np
import pytest
import torch

from rotoscope.backbones.detector import paste
from rotoscope.ops.box_masks import best_masks, pasted, tight_boxes


@pytest.mark.parametrize("size", [(40, 60), (7, 100), (1, 1)])
def test_pasting_is_the_detectors(size):
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(0, 256, (12, 28, 28), generator=generator, dtype=torch.uint8)
    corners = torch.rand(12, 2, generator=generator) * 60 - 10
    boxes = torch.cat([corners, corners + torch.rand(12, 2, generator=generator) * 50], dim=1)
    boxes[0] = torch.tensor([5.0, 5.0, 5.0, 5.0])  # without an area
    boxes[1] = torch.tensor([-90.0, -90.0, -50.0, -60.0])  # outside
    expected = paste.pasted(masks.float() / 255, boxes, size)
    torch.testing.assert_close(pasted(masks, boxes, size), expected, atol=1e-5, rtol=0)


def test_tight_boxes():
    masks = torch.zeros(3, 10, 14, dtype=torch.bool)
    masks[0, 2:5, 3:9] = True
    masks[2, 9, 13] = True
    boxes, there = tight_boxes(masks)
    assert boxes.tolist() == [[3, 2, 9, 5], [0, 0, 14, 10], [13, 9, 14, 10]]
    assert there.tolist() == [True, False, True]


def test_doubles_and_empty_masks_go_and_the_best_stay():
    full = np.full((5, 28, 28), 255, np.uint8)
    full[3] = 60  # nowhere solid
    boxes = torch.tensor([[0, 0, 20, 20], [1, 1, 21, 21], [30, 5, 50, 30], [5, 5, 15, 15], [2, 25, 12, 39]]).float()
    scores = torch.tensor([0.5, 0.9, 0.3, 0.99, 0.7])
    places, tight = best_masks(torch.from_numpy(full), boxes, scores, (40, 60), 50, 0.4, 0.4)
    assert places.tolist() == [1, 4, 2]
    assert torch.equal(tight, tight_boxes(pasted(torch.from_numpy(full), boxes, (40, 60)) > 0.4)[0][places])
    assert best_masks(torch.from_numpy(full), boxes, scores, (40, 60), 2, 0.4, 0.4)[0].tolist() == [1, 4]
